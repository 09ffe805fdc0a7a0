//! Phases of a run, and the fragment matrix: for people and for the result file.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Finished, Style, table};
use crate::cli::plan::{Fragmentation, PhasePlan};
use crate::human::{decimal, grouped, time};
use crate::measure::{Kind, Latencies, Latency, PhaseCounts, PhaseResult, Summary};

/// A phase in the result file.
#[derive(Serialize)]
pub(super) struct PhaseEntry<'a> {
    name: &'a str,
    /// From the beginning of the measured window.
    begins_s: f64,
    duration_s: f64,
    /// In the mean; null without an open loop.
    rate_requested: Option<f64>,
    rate_achieved: f64,
    messages: PhaseCounts,
    latency: BTreeMap<&'static str, Summary>,
}

/// One combination of the fragment matrix in the result file.
#[derive(Serialize)]
pub(super) struct Combination<'a> {
    /// The phase that it is.
    name: &'a str,
    fragments: u32,
    gap: u64,
    ping: bool,
    messages: PhaseCounts,
    response: Option<Summary>,
    /// Null in one frame.
    fragmented: Option<Summary>,
    /// Pongs to pings amid a message; in one frame, to those behind one, and heartbeats.
    pong: Option<Summary>,
}

/// All phases; none if the window is one.
pub(super) fn entries(results: &[PhaseResult]) -> Vec<PhaseEntry<'_>> {
    results.iter().map(entry).collect()
}

fn entry(result: &PhaseResult) -> PhaseEntry<'_> {
    let latency = |kind: Kind| Some((kind.name(), result.latencies.get(kind)?.summary()));
    PhaseEntry {
        name: &result.name,
        begins_s: result.begins.as_secs_f64(),
        duration_s: result.lasts.as_secs_f64(),
        rate_requested: result.rate_requested,
        rate_achieved: result.rate_achieved(),
        messages: result.counts,
        latency: Kind::ALL.into_iter().filter_map(latency).collect(),
    }
}

/// All combinations of a matrix; none of another run.
pub(super) fn combinations(finished: Finished<'_>) -> Vec<Combination<'_>> {
    let entry = |(plan, result)| combination(plan, result);
    matrix(finished).map(entry).collect()
}

fn combination<'a>(plan: &PhasePlan, result: &'a PhaseResult) -> Combination<'a> {
    let Fragmentation { fragments, gap, interleave_ping } = plan.fragmentation;
    let cells = Cells::of(fragments, &result.latencies);
    Combination {
        name: &result.name,
        fragments,
        gap: gap.as_nanos() as u64,
        ping: interleave_ping,
        messages: result.counts,
        response: cells.response.map(Latency::summary),
        fragmented: cells.fragmented.map(Latency::summary),
        pong: cells.pong.map(Latency::summary),
    }
}

/// Each combination's plan and result.
fn matrix(finished: Finished<'_>) -> impl Iterator<Item = (&PhasePlan, &PhaseResult)> {
    let Finished { plan, outcome, .. } = finished;
    let phases = if plan.fragment_matrix.is_some() { &plan.phases[..] } else { &[] };
    phases.iter().zip(&outcome.phase_results)
}

/// What a combination is compared by.
struct Cells<'a> {
    response: Option<&'a Latency>,
    fragmented: Option<&'a Latency>,
    pong: Option<&'a Latency>,
}

impl<'a> Cells<'a> {
    fn of(fragments: u32, latencies: &'a Latencies) -> Self {
        let pong = if fragments > 1 { Kind::InterleavedPing } else { Kind::Ping };
        Self {
            response: latencies.get(Kind::Response),
            fragmented: latencies.get(Kind::Fragmented),
            pong: latencies.get(pong),
        }
    }
}

/// A block for each phase, or the matrix as one table.
pub(super) fn lines(finished: Finished<'_>, style: Style) -> Vec<String> {
    if finished.plan.fragment_matrix.is_some() {
        return matrix_lines(finished, style);
    }
    finished.outcome.phase_results.iter().flat_map(|result| block(result, style)).collect()
}

fn block(result: &PhaseResult, style: Style) -> Vec<String> {
    let PhaseResult { name, begins, lasts, counts, .. } = result;
    let rate = match result.rate_requested {
        None => String::new(),
        Some(rate) => format!(" of {}/s requested", decimal(rate)),
    };
    let faults = |count: u64, what: &str| {
        let text = format!("{} {what}", grouped(count));
        if count > 0 { style.bad(&text) } else { text }
    };
    let head = format!(
        "{} at {:.1} s, {:.1} s long: {}/s{rate}, {} due, {}, {} answered, {}",
        style.heading(&format!("phase {name}")),
        begins.as_secs_f64(),
        lasts.as_secs_f64(),
        decimal(result.rate_achieved()),
        grouped(counts.due),
        faults(counts.due.saturating_sub(counts.sent), "unsent"),
        grouped(counts.received),
        faults(counts.unanswered, "unanswered")
    );
    let mut lines = vec![String::new(), head];
    lines.extend(table::rows(&result.latencies, style));
    lines
}

const COLUMNS: usize = 10;

fn matrix_lines(finished: Finished<'_>, style: Style) -> Vec<String> {
    let name = |text: &str| text.to_owned();
    let head: [String; COLUMNS] = [
        name("fragments"),
        name("gap"),
        name("ping"),
        name("messages"),
        name("response p50"),
        name("p99"),
        name("fragmented p50"),
        name("p99"),
        name("pong p50"),
        name("p99"),
    ];
    let rows = matrix(finished).map(|(plan, result)| {
        let Fragmentation { fragments, gap, interleave_ping } = plan.fragmentation;
        let cells = Cells::of(fragments, &result.latencies);
        let at = |latency: Option<&Latency>, quantile: f64| {
            latency.map_or("-".to_owned(), |latency| time(latency.quantile(quantile)))
        };
        [
            fragments.to_string(),
            humantime::format_duration(gap).to_string(),
            name(if interleave_ping { "on" } else { "off" }),
            grouped(result.counts.received),
            at(cells.response, 0.5),
            at(cells.response, 0.99),
            at(cells.fragmented, 0.5),
            at(cells.fragmented, 0.99),
            at(cells.pong, 0.5),
            at(cells.pong, 0.99),
        ]
    });
    let rows: Vec<[String; COLUMNS]> = rows.collect();
    let width =
        |column: usize| rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let join = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        cells.collect::<Vec<_>>().join("  ")
    };
    let mut lines = vec![String::new(), style.heading(&join(&head))];
    lines.extend(rows.iter().map(join));
    let note = "  fragmented counts from the last fragment; pong to a ping amid a message, in one \
                frame to one behind it";
    lines.push(style.aside(note));
    lines
}
