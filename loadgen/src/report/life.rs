//! What became of connections, for people: churn, reconnects, storms.

use super::Style;
use crate::cli::plan::{Plan, Slow, Storm};
use crate::human::{bytes, counted, grouped, time};
use crate::measure::{Latency, LifeTally, Outcome, SlowTally, StormTally};

/// Lines of the report, each with its name.
pub(super) fn lines(plan: &Plan, outcome: &Outcome, style: Style) -> Vec<(&'static str, String)> {
    let life = &outcome.tally.life;
    let mut lines = Vec::new();
    if let Some(rate) = plan.life.churn {
        let missed = match life.churn_missed {
            0 => String::new(),
            n => format!(", {} not there at its turn", grouped(n)),
        };
        let text = format!(
            "{} closed and opened again at {rate} a second in total{missed}",
            grouped(life.churned)
        );
        lines.push(("churn", text));
    }
    if plan.life.reconnect.is_some() {
        lines.push(("reconnects", reconnects(plan, life)));
    }
    for (storm, tally) in plan.life.storms.iter().zip(&life.storms) {
        lines.push(("storm", storm_text(storm, tally, style)));
        lines.extend(survivors(tally).map(|text| ("", text)));
    }
    if let (Some(slow), Some(tally)) = (plan.life.slow, &outcome.tally.slow) {
        lines.push(("slow", slow_text(slow, tally, style)));
    }
    if life.still_away > 0 {
        let text = format!("{} at the end", counted(life.still_away, "connection"));
        lines.push(("still away", style.bad(&text)));
    }
    if life.skipped + life.abandoned > 0 {
        let text = format!(
            "{} not sent and not due, their connections being away on purpose; {} lost with theirs",
            grouped(life.skipped),
            grouped(life.abandoned)
        );
        lines.push(("left out", text));
    }
    lines
}

/// Failed attempts by cause, the storms' among them.
pub(super) fn failures(life: &LifeTally) -> impl Iterator<Item = (&String, &u64)> {
    life.errors.iter().chain(life.storms.iter().flat_map(|storm| &storm.errors))
}

fn slow_text(slow: Slow, tally: &SlowTally, style: Style) -> String {
    let closed = format!("{} closed by the server", grouped(tally.closed_early));
    let closed = if tally.closed_early > 0 { style.doubtful(&closed) } else { closed };
    let times = spread(&tally.answers).map_or_else(String::new, |times| format!(" ({times})"));
    format!(
        "{} at {} a second each: {} read, {} messages{times}, {closed}; in no other line",
        counted(tally.connections, "connection"),
        bytes(slow.per_second as f64),
        bytes(tally.bytes_read as f64),
        grouped(tally.received)
    )
}

fn reconnects(plan: &Plan, life: &LifeTally) -> String {
    let by = plan.life.reconnect.map_or_else(String::new, |retry| format!(" by {retry}"));
    let times = spread(&life.away).map_or_else(String::new, |times| format!(", away {times}"));
    format!("{} back after an end that was not asked for{by}{times}", grouped(life.reconnected))
}

fn storm_text(storm: &Storm, tally: &StormTally, style: Style) -> String {
    if !tally.begun {
        return format!("{storm}: the run ended before it");
    }
    let back = |share| tally.until_back(share).map_or("never".to_owned(), time);
    let text = format!(
        "{storm}: {} dropped, {} back: 99 % after {}, all after {}",
        grouped(tally.dropped),
        grouped(tally.returned),
        back(0.99),
        back(1.0)
    );
    let text = if tally.returned < tally.dropped { style.bad(&text) } else { text };
    match spread(&tally.handshake) {
        Some(times) => format!("{text}; handshake {times}"),
        None => text,
    }
}

/// How those who stayed fared.
fn survivors(tally: &StormTally) -> Option<String> {
    let (before, during) = (spread(&tally.before)?, spread(&tally.during)?);
    Some(format!("answers to who stayed: {during} until all were back, {before} before"))
}

fn spread(latency: &Latency) -> Option<String> {
    let quantile = |quantile| time(latency.quantile(quantile));
    (latency.count() > 0).then(|| format!("p50 {}, p99 {}", quantile(0.5), quantile(0.99)))
}
