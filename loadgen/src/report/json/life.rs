//! What became of connections, in the result file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::plan;
use crate::measure::{Latency, LifeTally, SlowTally, StormTally, Summary};

/// Connections that came back, beside those that were opened once.
#[derive(Serialize)]
pub(super) struct Returns<'a> {
    /// Closed and opened again by `--churn`, in the measured window.
    churned: u64,
    /// Turns at which a connection was not there.
    churn_missed: u64,
    /// Opened again after an end that was not asked for.
    reconnects: u64,
    /// Attempts that failed, those of storms left out.
    reconnect_errors: &'a BTreeMap<String, u64>,
    /// From an end that was not asked for to the 101.
    time_to_reconnect: Option<Summary>,
    still_away: u64,
}

pub(super) fn returns(life: &LifeTally) -> Returns<'_> {
    Returns {
        churned: life.churned,
        churn_missed: life.churn_missed,
        reconnects: life.reconnected,
        reconnect_errors: &life.errors,
        time_to_reconnect: summary(&life.away),
        still_away: life.still_away,
    }
}

/// `None` without samples.
fn summary(latency: &Latency) -> Option<Summary> {
    Some(latency.summary()).filter(|summary| summary.count > 0)
}

/// Connections that read at a trickle; they are in no other count.
#[derive(Serialize)]
pub(super) struct Slow<'a> {
    connections: u64,
    /// Until all was measured.
    bytes_read: u64,
    closed_early: u64,
    errors: &'a BTreeMap<String, u64>,
    due: u64,
    sent: u64,
    received: u64,
    unanswered: u64,
    /// Response, or delivery.
    answers: Option<Summary>,
}

pub(super) fn slow(tally: &SlowTally) -> Slow<'_> {
    Slow {
        connections: tally.connections,
        bytes_read: tally.bytes_read,
        closed_early: tally.closed_early,
        errors: &tally.errors,
        due: tally.due,
        sent: tally.sent,
        received: tally.received,
        unanswered: tally.unanswered,
        answers: summary(&tally.answers),
    }
}

/// One storm.
#[derive(Serialize)]
pub(super) struct Storm<'a> {
    /// From the begin of the measured window.
    at_s: f64,
    share: f64,
    /// `reset` or `fin`.
    farewell: &'static str,
    /// False if the run ended before it.
    begun: bool,
    dropped: u64,
    returned: u64,
    /// From its time until 99 % of the dropped were back; null if they never were.
    time_to_99: Option<u64>,
    time_to_all: Option<u64>,
    /// From its time until each was back: the curve's percentiles.
    back: Option<Summary>,
    connect: Option<Summary>,
    handshake: Option<Summary>,
    /// Attempts that failed.
    errors: &'a BTreeMap<String, u64>,
    survivors: Survivors,
}

/// Answers (response, delivery or, in idle mode, ping) to those who stayed.
#[derive(Serialize)]
struct Survivors {
    before: Option<Summary>,
    /// Until the last one was back.
    during: Option<Summary>,
}

pub(super) fn storms<'a>(planned: &[plan::Storm], found: &'a [StormTally]) -> Vec<Storm<'a>> {
    planned.iter().zip(found).map(|(storm, tally)| one(storm, tally)).collect()
}

fn one<'a>(storm: &plan::Storm, tally: &'a StormTally) -> Storm<'a> {
    Storm {
        at_s: storm.at.as_secs_f64(),
        share: storm.share,
        farewell: storm.farewell.name(),
        begun: tally.begun,
        dropped: tally.dropped,
        returned: tally.returned,
        time_to_99: tally.until_back(0.99),
        time_to_all: tally.until_back(1.0),
        back: summary(&tally.back),
        connect: summary(&tally.connect),
        handshake: summary(&tally.handshake),
        errors: &tally.errors,
        survivors: Survivors { before: summary(&tally.before), during: summary(&tally.during) },
    }
}
