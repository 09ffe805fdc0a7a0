//! Each rule from both sides of its border, and what follows when several are broken.

use std::time::Duration;

use super::*;
use crate::cost::{GeneratorHealth, ThreadUse};
use crate::measure::{Phase, Phases, Recorder};
use clap::Parser;

const MS: u64 = 1_000_000;

fn plan(args: &[&str]) -> Plan {
    let args = ["loadgen"].iter().chain(args);
    crate::cli::Args::try_parse_from(args).unwrap().plan().unwrap()
}

fn latencies(outcome: &mut Outcome, kind: Kind, ns: u64) {
    let mut recorder = Recorder::new();
    (0..1000).for_each(|_| recorder.record(kind, Phase::FIRST, ns));
    outcome.latencies.add(&recorder);
}

fn own_lag(outcome: &mut Outcome, ns: u64) {
    (0..1000).for_each(|_| outcome.tally.own_lag.record(ns));
}

fn thread(core: &[usize], cpu_ms: u64, waited_ms: u64) -> ThreadUse {
    ThreadUse {
        name: format!("loadgen-{}", core[0]),
        machine: 0,
        cores: core.to_vec(),
        cpu: Duration::from_millis(cpu_ms),
        waited: Duration::from_millis(waited_ms),
    }
}

/// A run of ten seconds in which nothing is wrong.
fn sound() -> Outcome {
    let mut outcome = Outcome {
        rate_requested: Some(1000.0),
        phases: Phases { measure: Duration::from_secs(10), ..Phases::default() },
        generator: GeneratorHealth {
            threads: vec![thread(&[0], 1000, 50), thread(&[1], 1200, 50)],
            wall: Duration::from_secs(10),
            ..GeneratorHealth::default()
        },
        ..Outcome::default()
    };
    outcome.tally.requested = 1000;
    outcome.tally.established = 1000;
    outcome.tally.sent = 10_000;
    outcome.tally.received = 10_000;
    outcome
}

fn verdict_of(change: impl FnOnce(&mut Outcome)) -> (Verdict, Vec<String>) {
    let mut outcome = sound();
    change(&mut outcome);
    let judgement = judge(&plan(&["--rate", "1000"]), &outcome);
    (judgement.verdict, judgement.reasons)
}

#[track_caller]
fn valid(change: impl FnOnce(&mut Outcome)) {
    assert_eq!(verdict_of(change), (Verdict::Valid, vec![]));
}

#[track_caller]
fn faulted(verdict: Verdict, reason: &str, change: impl FnOnce(&mut Outcome)) {
    let (found, reasons) = verdict_of(change);
    assert_eq!(found, verdict, "{reasons:?}");
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains(reason), "{reasons:?}");
}

#[test]
fn a_sound_run_is_valid() {
    valid(|_| {});
}

#[test]
fn achieved_rate() {
    valid(|outcome| outcome.tally.sent = 9_900);
    faulted(Verdict::Inconclusive, "989.9 messages a second were sent of the 1,000", |outcome| {
        outcome.tally.sent = 9_899;
    });
    valid(|outcome| {
        outcome.rate_requested = None;
        outcome.tally.sent = 10;
    });
    // Random arrivals that were few, all of them sent.
    valid(|outcome| (outcome.tally.due, outcome.tally.sent) = (9_700, 9_700));
    faulted(Verdict::Inconclusive, "1,000 messages a second were sent of the 1,030", |outcome| {
        outcome.tally.due = 10_300;
    });
}

/// A phase that sent 80 % is no valid one, although the run as a whole sent more than 99 %.
#[test]
fn achieved_rate_of_each_phase() {
    let phase = |name: &str, due, sent| PhaseResult {
        name: name.to_owned(),
        lasts: Duration::from_secs(5),
        rate_requested: Some(due as f64 / 5.0),
        counts: crate::measure::PhaseCounts { due, sent, ..Default::default() },
        ..PhaseResult::default()
    };
    valid(|outcome| {
        outcome.phase_results = vec![phase("calm", 250, 250), phase("rush", 9_750, 9_700)];
    });
    let reason = "phase calm: 40.00 messages a second were sent of the 50.00 requested";
    faulted(Verdict::Inconclusive, reason, |outcome| {
        outcome.tally.sent = 9_950;
        outcome.phase_results = vec![phase("calm", 250, 200), phase("rush", 9_750, 9_750)];
    });
    // A closed loop has no rate to keep.
    valid(|outcome| {
        let closed = PhaseResult { rate_requested: None, ..phase("closed", 250, 200) };
        outcome.phase_results = vec![closed];
    });
}

#[test]
fn send_lag_counts_only_over_both_bounds() {
    // Long, but a twentieth of the response.
    valid(|outcome| {
        own_lag(outcome, 5 * MS);
        latencies(outcome, Kind::Response, 100 * MS);
    });
    // Half of the response, but short.
    valid(|outcome| {
        own_lag(outcome, 999_000);
        latencies(outcome, Kind::Response, 2 * MS);
    });
    faulted(Verdict::GeneratorBound, "p99 10.0ms; lower the load", |outcome| {
        own_lag(outcome, 1_100_000);
        latencies(outcome, Kind::Response, 10 * MS);
    });
    faulted(Verdict::GeneratorBound, "stop what else runs", |outcome| {
        own_lag(outcome, 1_100_000);
        latencies(outcome, Kind::Response, 10 * MS);
        outcome.generator.threads = vec![thread(&[0], 300, 50), thread(&[1], 300, 551)];
    });
    valid(|outcome| {
        own_lag(outcome, 1_100_000);
        latencies(outcome, Kind::Response, 12 * MS);
    });
    for (kind, name) in [(Kind::Delivery, "delivery p99"), (Kind::Ping, "ping p99")] {
        faulted(Verdict::GeneratorBound, name, |outcome| {
            own_lag(outcome, 3 * MS);
            latencies(outcome, kind, 10 * MS);
        });
    }
    // What the server held up is late too, but the generator was not.
    valid(|outcome| {
        own_lag(outcome, 10_000);
        let mut recorder = Recorder::new();
        recorder.record(Kind::SendLag, Phase::FIRST, 50 * MS);
        outcome.latencies.add(&recorder);
        latencies(outcome, Kind::Response, 60 * MS);
    });
}

#[test]
fn cores_filled_by_all_threads_together() {
    valid(|outcome| outcome.generator.threads = vec![thread(&[0], 8_500, 0)]);
    faulted(Verdict::GeneratorBound, "86 % of core 0", |outcome| {
        outcome.generator.threads = vec![thread(&[0], 8_600, 0)];
    });
    faulted(Verdict::GeneratorBound, "90 % of core 1", |outcome| {
        outcome.generator.threads =
            vec![thread(&[1], 4_500, 0), thread(&[0], 4_500, 0), thread(&[1], 4_500, 0)];
    });
    valid(|outcome| outcome.generator.threads = vec![thread(&[0, 1], 4_200, 0); 4]);
    faulted(Verdict::GeneratorBound, "loadgen-0 used 86 % of a core", |outcome| {
        outcome.generator.threads = vec![thread(&[0, 1], 8_600, 0)];
    });
    faulted(Verdict::GeneratorBound, "86 % of 2 cores", |outcome| {
        outcome.generator.threads = vec![thread(&[0, 1], 4_300, 0); 4];
    });
}

#[test]
fn threads_that_wait_for_a_core() {
    valid(|outcome| outcome.generator.threads = vec![thread(&[0], 4_500, 4_000)]);
    faulted(Verdict::Inconclusive, "ran 45 % of the time and waited 41 % for core 0", |outcome| {
        outcome.generator.threads = vec![thread(&[1], 100, 0), thread(&[0], 4_500, 4_100)];
    });
    // Neither thread by itself, but the core of both.
    faulted(Verdict::Inconclusive, "ran 50 % of the time and waited 38 % for core 0", |outcome| {
        outcome.generator.threads = vec![thread(&[0], 2_500, 1_900); 2];
    });
    faulted(Verdict::Inconclusive, "ran 50 % of the time and waited 50 % for core 0", |outcome| {
        outcome.generator.threads = vec![thread(&[0], 2_500, 4_000); 2];
    });
}

#[test]
fn connections() {
    valid(|outcome| outcome.tally.established = 990);
    faulted(Verdict::Inconclusive, "989 connections were established of the 1,000", |outcome| {
        outcome.tally.established = 989;
    });
    faulted(Verdict::Inconclusive, "11 of them ended early", |outcome| {
        outcome.tally.closed_early = 11;
    });
    valid(|outcome| outcome.tally.frozen = 10);
    faulted(Verdict::Inconclusive, "11 froze unanswered", |outcome| outcome.tally.frozen = 11);
}

#[test]
fn nothing_sent_or_nothing_answered() {
    faulted(Verdict::Inconclusive, "none of 10,000 messages", |outcome| {
        outcome.tally.received = 0;
    });
    let mut outcome = sound();
    outcome.rate_requested = None;
    (outcome.tally.sent, outcome.tally.received) = (0, 0);
    assert_eq!(judge(&plan(&["--mode", "idle"]), &outcome).verdict, Verdict::Valid);
    outcome.tally.pings_sent = 5;
    let idle = judge(&plan(&["--mode", "idle"]), &outcome);
    assert_eq!(idle.verdict, Verdict::Inconclusive);
    assert!(idle.reasons[0].contains("none of 5 heartbeats"), "{idle:?}");
    latencies(&mut outcome, Kind::Ping, MS);
    assert_eq!(judge(&plan(&["--mode", "idle"]), &outcome).verdict, Verdict::Valid);
    let closed = judge(&plan(&[]), &outcome);
    assert_eq!(closed.verdict, Verdict::Inconclusive);
    assert!(closed.reasons[0].contains("no message was sent"), "{closed:?}");
}

#[test]
fn a_bound_generator_explains_the_rest() {
    let (verdict, reasons) = verdict_of(|outcome| {
        outcome.generator.threads = vec![thread(&[0], 9_500, 400)];
        outcome.tally.sent = 5_000;
    });
    assert_eq!(verdict, Verdict::GeneratorBound);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].contains("core 0") && reasons[1].contains("under 99 %"), "{reasons:?}");
}

#[test]
fn unknown_threads_are_not_judged() {
    valid(|outcome| outcome.generator = GeneratorHealth::default());
}
