//! The latency table: one row for each kind, columns as wide as their widest cell.

use super::Style;
use crate::human::{grouped, time};
use crate::measure::{Kind, Latencies, Latency};

/// A percentile with fewer samples beyond it than this is marked: a few stalls decide it.
const ENOUGH_BEYOND: f64 = 100.0;

/// The ladder that people know, with the share of the samples beyond each step.
const LADDER: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p90", 0.1),
    ("p95", 0.05),
    ("p99", 0.01),
    ("p99.9", 0.001),
    ("p99.99", 0.0001),
];

const COLUMNS: usize = 5 + LADDER.len();

type Row = [String; COLUMNS];

/// The table's lines without what explains them.
pub(super) fn rows(latencies: &Latencies, style: Style) -> Vec<String> {
    let mut all = lines(latencies, None, style);
    all.truncate(1 + Kind::ALL.into_iter().filter(|kind| latencies.get(*kind).is_some()).count());
    all
}

/// The table's lines; none without samples.
pub(super) fn lines(
    latencies: &Latencies,
    extra: Option<(&str, &Latency)>,
    style: Style,
) -> Vec<String> {
    let kinds = Kind::ALL.into_iter().filter_map(|kind| Some((kind.name(), latencies.get(kind)?)));
    let extra = extra.filter(|(_, latency)| latency.count() > 0);
    let rows: Vec<Row> = kinds.chain(extra).map(|(name, latency)| row(name, latency)).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let marked = rows.iter().flatten().any(|cell| cell.ends_with('*'));
    let mut widths = [0; COLUMNS];
    let head = head();
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.trim_end_matches('*').len());
        }
    }
    let mut lines = vec![style.heading(&join(&head, &widths))];
    lines.extend(rows.iter().map(|row| join(row, &widths)));
    if [Kind::Response, Kind::Service].iter().all(|kind| latencies.get(*kind).is_some()) {
        let note = "  response counts from when a message was due, service from when it was sent";
        lines.push(style.aside(note));
    }
    if marked {
        let note = "  * fewer than 100 samples lie beyond it: a few stalls decide it";
        lines.push(style.aside(note));
    }
    lines
}

/// The percentiles of a kind that are marked, each with the samples that would unmark it.
pub(super) fn too_few(latency: &Latency) -> impl Iterator<Item = (&'static str, f64)> {
    let count = latency.count();
    let few = LADDER.into_iter().filter(move |(_, beyond)| is_few(count, *beyond));
    few.map(|(name, beyond)| (name, ENOUGH_BEYOND / beyond))
}

/// Seconds that a run of this kind would have to last, at the rate of one that measured `seconds`,
/// for so many samples. Nothing for a kind that happens once for each connection.
pub(super) fn seconds_for(
    samples: f64,
    kind: Kind,
    latency: &Latency,
    seconds: f64,
) -> Option<u64> {
    let lasts = kind.windowed() && seconds > 0.0;
    lasts.then(|| (samples * seconds / latency.count() as f64).ceil() as u64)
}

/// Whether so few of `count` samples lie in the share `beyond` that a stall or two decide it.
pub(crate) fn is_few(count: u64, beyond: f64) -> bool {
    // Products such as 0.01 x 10,000 may be a little off in binary.
    count as f64 * beyond + 1e-6 < ENOUGH_BEYOND
}

fn head() -> Row {
    let [p50, p90, p95, p99, p999, p9999] = LADDER.map(|(name, _)| name.to_owned());
    let name = |text: &str| text.to_owned();
    let (count, min, mean, max) = (name("count"), name("min"), name("mean"), name("max"));
    [name("latency"), count, min, mean, p50, p90, p95, p99, p999, p9999, max]
}

fn row(name: &str, latency: &Latency) -> Row {
    let summary = latency.summary();
    let steps = LADDER.map(|(_, beyond)| {
        let mark = if is_few(summary.count, beyond) { "*" } else { "" };
        format!("{}{mark}", time(latency.quantile(1.0 - beyond)))
    });
    let [p50, p90, p95, p99, p999, p9999] = steps;
    let (min, mean, max) = (time(summary.min), time(summary.mean), time(summary.max));
    [name.to_owned(), grouped(summary.count), min, mean, p50, p90, p95, p99, p999, p9999, max]
}

/// The first column to the left, the others to the right; a mark hangs into the gap.
fn join(row: &Row, widths: &[usize; COLUMNS]) -> String {
    let first = format!("{:<width$} ", row[0], width = widths[0]);
    let others = row.iter().zip(widths).skip(1).map(|(cell, width)| {
        let bare = cell.trim_end_matches('*');
        let mark = if bare.len() < cell.len() { '*' } else { ' ' };
        format!(" {bare:>width$}{mark}")
    });
    let line: String = std::iter::once(first).chain(others).collect();
    line.trim_end().to_owned()
}
