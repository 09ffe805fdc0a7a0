//! The result file, schema `plimsoll.loadgen/1`. Programs depend on its names: a field may be
//! added, never renamed and never given another unit. Times are integer nanoseconds unless the name
//! ends in `_s` or `_seconds`.

mod generator;
mod life;
mod server;

use std::collections::BTreeMap;

use serde::Serialize;
use simd_json::prelude::*;

use super::phases::{self, Combination, PhaseEntry};
use super::{Finished, table};
use crate::cli::plan::{Mode, Pace, Plan};
use crate::find::{Answer, Interval, Limit, Point, Row, Usl};
use crate::judge::Verdict;
use crate::measure::{Kind, Outcome, ServerTally, Summary, Tally};
use crate::slo::Held;

/// Name and version of the schema.
pub(super) const SCHEMA: &str = "plimsoll.loadgen/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    verdict: Verdict,
    verdict_reasons: &'a [String],
    /// The objectives; empty if there are none.
    slo: &'a [Held],
    /// All its servers' URLs, with commas between them.
    target: &'a str,
    /// Each server and its connections.
    targets: &'a [ServerTally],
    embedded: bool,
    loopback: bool,
    mode: &'static str,
    loop_kind: &'static str,
    seed: u64,
    connections: Connections<'a>,
    /// In the order of their times.
    storms: Vec<life::Storm<'a>>,
    slow_consumers: Option<life::Slow<'a>>,
    messages: Messages,
    integrity: Integrity,
    pings: Pings,
    latency: BTreeMap<&'static str, Summary>,
    /// Empty if the window is one phase.
    phase_results: Vec<PhaseEntry<'a>>,
    /// Empty without `--fragment-matrix`.
    fragment_matrix: Vec<Combination<'a>>,
    /// Of each kind the percentiles that fewer than 100 samples lie beyond, each with the seconds
    /// that a run at this rate would have to measure (null for what each connection does once).
    confidence: BTreeMap<&'static str, BTreeMap<String, Option<u64>>>,
    /// How much the last three seconds of the measured window differ; null if it was too short.
    steady_state: Option<Rest>,
    /// Samples over 100 s, which count as 100 s in `latency`.
    latency_overflow: u64,
    generator: generator::Generator<'a>,
    broadcast: Option<Broadcast>,
    server: Option<server::Server<'a>>,
    phases: Phases,
    machine: Machine,
    notes: &'a [String],
    /// What was asked for; durations in nanoseconds.
    plan: &'a Plan,
    /// What was measured as it was measured, every histogram and every second included: what
    /// `loadgen` itself reads again. Null in a summary.
    record: Option<&'a Outcome>,
    /// The search, whose confirmed run the other fields are of.
    find: Option<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    axis: &'static str,
    highest_passing: Option<f64>,
    lowest_failing: Option<f64>,
    gave_way: Option<Limit>,
    gave_way_reason: Option<&'a str>,
    interrupted: bool,
    /// Why the curve has fewer points than it should.
    curve_error: Option<&'a str>,
    steps: usize,
    curve: &'a [Point],
    usl: Option<Usl>,
    sizing: &'a [Row],
}

#[derive(Serialize)]
struct Rest {
    /// Whether both spreads are within a tenth.
    steady: bool,
    /// Greatest over least, less 1.
    p50_spread: f64,
    p99_spread: f64,
}

#[derive(Serialize)]
struct Connections<'a> {
    requested: u64,
    established: u64,
    failed: u64,
    closed_early: u64,
    frozen: u64,
    errors: &'a BTreeMap<String, u64>,
    /// Closes that went wrong: of churn, and once all was measured.
    close_errors: &'a BTreeMap<String, u64>,
    #[serde(flatten)]
    returns: life::Returns<'a>,
}

#[derive(Serialize)]
struct Messages {
    /// Sent and unsent; but for broadcasts also received and unanswered.
    due: u64,
    sent: u64,
    unsent: u64,
    received: u64,
    /// Due and not answered, whether sent or not.
    unanswered: u64,
    /// Those of a closed loop that were sent before the window and outstanding in it.
    carried: u64,
    /// Had to wait because the server took no more bytes, or had ended the connection.
    held_back: u64,
    /// Not due and not sent: their connections were away on purpose.
    skipped: u64,
    /// Due and sent on connections that a storm dropped; neither received nor unanswered.
    abandoned: u64,
    /// 0 in a closed loop and in idle mode, where no rate is asked for.
    rate_requested: f64,
    rate_achieved: f64,
    /// How long the unanswered had been waiting at the end.
    unanswered_age: Option<Summary>,
}

#[derive(Serialize)]
struct Integrity {
    verified: u64,
    corrupt: u64,
    duplicate: u64,
    reordered: u64,
    strays: u64,
}

#[derive(Serialize)]
struct Pings {
    sent: u64,
    unanswered: u64,
    /// Due while an earlier one of the connection was unanswered.
    overdue: u64,
    unsent: u64,
    /// Answered by the pong to a later ping.
    coalesced: u64,
}

#[derive(Serialize)]
struct Broadcast {
    /// Received / expected, 0 to 1.
    reach: f64,
    lost: u64,
    /// First to last receipt of each publication.
    spread: Summary,
    expected: u64,
    received: u64,
    duplicate: u64,
    reordered: u64,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the schema's names")]
struct Phases {
    connect_s: f64,
    warmup_s: f64,
    measure_s: f64,
}

#[derive(Serialize)]
struct Machine {
    kernel: String,
    architecture: &'static str,
    cores: usize,
}

/// The document. That of a search is that of the run which the
/// answer stands on, and the answer.
pub fn to_json(
    finished: Finished<'_>,
    answer: Option<&Answer>,
) -> Result<String, simd_json::Error> {
    to_document(&Document { find: answer.map(found), ..document(finished) })
}

/// The same without what only `loadgen` reads.
pub(super) fn to_summary(
    finished: Finished<'_>,
    answer: Option<&Answer>,
) -> Result<String, simd_json::Error> {
    to_document(&Document { find: answer.map(found), record: None, ..document(finished) })
}

/// Any document as text: indented, with a newline at its end.
pub fn to_document(document: &impl Serialize) -> Result<String, simd_json::Error> {
    let mut text = simd_json::serde::to_owned_value(document)?.encode_pp();
    text.push('\n');
    Ok(text)
}

fn found(answer: &Answer) -> Found<'_> {
    let Interval { passing, failing } = answer.interval;
    Found {
        axis: answer.axis.name(),
        highest_passing: passing,
        lowest_failing: failing,
        gave_way: answer.gave_way.as_ref().map(|(limit, _)| *limit),
        gave_way_reason: answer.gave_way.as_ref().map(|(_, why)| why.as_str()),
        interrupted: answer.interrupted,
        curve_error: answer.curve_error.as_deref(),
        steps: answer.steps.len(),
        curve: &answer.curve,
        usl: answer.usl,
        sizing: &answer.sizing,
    }
}

fn document(finished: Finished<'_>) -> Document<'_> {
    let Finished { plan, outcome, judgement, held } = finished;
    let tally = &outcome.tally;
    let latency = |kind: Kind| Some((kind.name(), outcome.latencies.get(kind)?.summary()));
    Document {
        schema: SCHEMA,
        verdict: judgement.verdict,
        verdict_reasons: &judgement.reasons,
        slo: held,
        target: &outcome.target,
        targets: &outcome.servers,
        embedded: outcome.embedded,
        loopback: outcome.loopback,
        mode: match plan.mode {
            Mode::Echo => "echo",
            Mode::Broadcast(_) => "broadcast",
            Mode::Idle => "idle",
        },
        loop_kind: match plan.pace {
            Pace::Silent => "none",
            Pace::Closed { .. } => "closed",
            Pace::Open { .. } => "open",
        },
        seed: plan.seed,
        connections: connections(tally),
        storms: life::storms(&plan.life.storms, &tally.life.storms),
        slow_consumers: tally.slow.as_ref().map(life::slow),
        messages: messages(outcome),
        integrity: integrity(tally),
        pings: pings(tally),
        latency: Kind::ALL.into_iter().filter_map(latency).collect(),
        phase_results: phases::entries(&outcome.phase_results),
        fragment_matrix: phases::combinations(finished),
        confidence: confidence(outcome),
        steady_state: outcome.steadiness().map(|steadiness| Rest {
            steady: steadiness.holds(),
            p50_spread: steadiness.p50_spread,
            p99_spread: steadiness.p99_spread,
        }),
        latency_overflow: outcome.latencies.overflow,
        generator: generator::generator(finished),
        broadcast: tally.broadcast.as_ref().map(|broadcast| Broadcast {
            reach: broadcast.reach(),
            lost: broadcast.lost(),
            spread: broadcast.spread.summary(),
            expected: broadcast.expected,
            received: broadcast.received,
            duplicate: broadcast.duplicate,
            reordered: broadcast.reordered,
        }),
        server: server::server(finished),
        phases: Phases {
            connect_s: outcome.phases.connect.as_secs_f64(),
            warmup_s: outcome.phases.warmup.as_secs_f64(),
            measure_s: outcome.phases.measure.as_secs_f64(),
        },
        machine: Machine {
            kernel: kernel(),
            architecture: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
        },
        notes: &outcome.notes,
        plan,
        record: Some(outcome),
        find: None,
    }
}

fn confidence(outcome: &Outcome) -> BTreeMap<&'static str, BTreeMap<String, Option<u64>>> {
    let measured = outcome.phases.measure.as_secs_f64();
    let unsure = |kind: Kind| {
        let latency = outcome.latencies.get(kind)?;
        let few = table::too_few(latency).map(|(name, samples)| {
            let seconds = table::seconds_for(samples, kind, latency, measured);
            (name.replace('.', ""), seconds)
        });
        Some((kind.name(), few.collect()))
    };
    Kind::ALL.into_iter().filter_map(unsure).collect()
}

fn connections(tally: &Tally) -> Connections<'_> {
    Connections {
        requested: tally.requested,
        established: tally.established,
        failed: tally.failed,
        closed_early: tally.closed_early,
        frozen: tally.frozen,
        errors: &tally.errors,
        close_errors: &tally.close_errors,
        returns: life::returns(&tally.life),
    }
}

fn messages(outcome: &Outcome) -> Messages {
    let tally = &outcome.tally;
    Messages {
        due: tally.due,
        sent: tally.sent,
        unsent: tally.unsent(),
        received: tally.received,
        unanswered: tally.unanswered,
        carried: tally.carried,
        held_back: tally.held_back,
        skipped: tally.life.skipped,
        abandoned: tally.life.abandoned,
        rate_requested: outcome.rate_requested.unwrap_or(0.0),
        rate_achieved: outcome.rate_achieved(),
        unanswered_age: Some(tally.unanswered_age.summary()).filter(|age| age.count > 0),
    }
}

fn integrity(tally: &Tally) -> Integrity {
    Integrity {
        verified: tally.verified,
        corrupt: tally.corrupt,
        duplicate: tally.duplicate,
        reordered: tally.reordered,
        strays: tally.strays,
    }
}

fn pings(tally: &Tally) -> Pings {
    Pings {
        sent: tally.pings_sent,
        unanswered: tally.pings_unanswered,
        overdue: tally.pings_overdue,
        unsent: tally.pings_unsent,
        coalesced: tally.pings_coalesced,
    }
}

/// The running kernel's release, such as `6.18.0`.
fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}
