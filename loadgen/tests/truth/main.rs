//! Whole runs against servers whose behaviour is known, in virtual time: what must be measured
//! follows by a formula, which stands in each test, and the report is held against it.
//!
//! Nothing here depends on how busy the machine is. What the formulas cannot reach, the sockets and
//! the clock of a real run, is in `tests/run`.

#![allow(clippy::unwrap_used)]

mod life;
mod manners;
mod net;

use std::time::Duration;

use clap::Parser as _;
use loadgen::cli::{Args, Plan};
use loadgen::judge::{Verdict, judge};
use loadgen::measure::{Kind, Latency, Outcome};
use loadgen::rehearsal::Rehearsal;
use loadgen::report::{Finished, Style, to_json};
use manners::{DELAY, Delay, Fault, Queue, Room, SlowStart, Stall, Tenth};
use net::{Manner, Virtual};
use plimsoll::shard::Shaped;
use simd_json::prelude::*;

/// Where the law is exact, only a bucket's width is between it and the report.
const EXACT: f64 = 0.001;
/// Where it is that of ever more messages: 2 %, and 50 us.
const STATED: f64 = 0.02;
const LEAST: f64 = 50e-6;
/// Where it is one of chance: so many standard deviations. The seeds are fixed, so who passes once
/// passes always.
const DEVIATIONS: f64 = 4.0;

const STALL: Duration = Duration::from_millis(200);
const PERIOD: Duration = Duration::from_secs(1);

struct Run {
    plan: Plan,
    outcome: Outcome,
}

fn run(manner: impl Manner, arguments: &str) -> Run {
    let line = format!("loadgen ws://127.0.0.1:9001/ {arguments}");
    let plan = Args::try_parse_from(line.split_ascii_whitespace()).unwrap().plan().unwrap();
    // Without a shape to give its streams it is the network alone.
    let network = Shaped::new(Virtual::new(manner), plan.seed);
    let outcome = Rehearsal::new(plan.clone(), network).unwrap().perform().unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.closed_early), (tally.requested, 0), "{tally:?}");
    assert!(tally.errors.is_empty() && tally.close_errors.is_empty(), "{tally:?}");
    Run { plan, outcome }
}

impl Run {
    fn latency(&self, kind: Kind) -> &Latency {
        self.outcome.latencies.get(kind).unwrap_or_else(|| panic!("no {}", kind.name()))
    }

    fn p(&self, kind: Kind, quantile: f64) -> f64 {
        self.latency(kind).quantile(quantile) as f64 / 1e9
    }

    /// Holds the percentiles of a kind, and how many samples there are, against `law`: the time in
    /// seconds that the share q of the samples does not exceed.
    #[track_caller]
    fn hold(&self, kind: Kind, count: u64, tolerance: f64, law: impl Fn(f64) -> f64) {
        assert_eq!(self.latency(kind).count(), count, "{}", kind.name());
        held(kind.name(), self.latency(kind), tolerance, law);
    }

    fn finished<T>(&self, with: impl FnOnce(Finished<'_>) -> T) -> T {
        let judgement = judge(&self.plan, &self.outcome);
        let Self { plan, outcome } = self;
        with(Finished { plan, outcome, judgement: &judgement, held: &[] })
    }
}

#[track_caller]
fn held(name: &str, latency: &Latency, tolerance: f64, law: impl Fn(f64) -> f64) {
    for q in [0.05, 0.5, 0.75, 0.9, 0.95, 0.995, 0.999, 1.0] {
        let (found, expected) = (latency.quantile(q) as f64 / 1e9, law(q));
        let least = if tolerance > EXACT { LEAST } else { 1e-6 };
        let off = (found - expected).abs();
        assert!(
            off <= (expected * tolerance).max(least),
            "{name} p{}: {found} s found, {expected} s expected",
            q * 100.0
        );
    }
}

/// Holds shares against `law`, by which a sample is not longer than a time in seconds: independent
/// samples that are drawn at random are as far off as their number allows. `more` is what those of
/// a queue, which are not independent, may be off besides.
#[track_caller]
fn held_by_chance(latency: &Latency, times: &[f64], more: f64, law: impl Fn(f64) -> f64) {
    for time in times {
        let bound = (time * (1.0 + EXACT) * 1e9) as u64;
        let within = |n: &u32| latency.quantile(f64::from(*n) / 1e4) <= bound;
        let found = (0..=10_000).rev().find(within).map_or(0.0, |n| f64::from(n) / 1e4);
        let expected = law(*time);
        let deviation = (expected * (1.0 - expected) / latency.count() as f64).sqrt();
        assert!(
            (found - expected).abs() <= DEVIATIONS * deviation + more + 1e-4,
            "{time} s: {found} of the samples found, {expected} expected, deviation {deviation}"
        );
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn stall(delay: Duration) -> Stall {
    Stall { lasts: STALL, every: PERIOD, only: None, room: usize::MAX, delay }
}

/// Messages fall due evenly. Of each period the share S/P falls into the stall, and of those each
/// waits for what is left of it: evenly from 0 to S. So the share q does not wait longer than
/// S - P(1 - q).
fn stall_law(q: f64) -> f64 {
    (seconds(STALL) - seconds(PERIOD) * (1.0 - q)).max(0.0) + seconds(DELAY)
}

#[test]
fn a_fixed_delay() {
    for extra in ["", "--arrival poisson", "--text", "--size 0..9000", "-R 100k -c 500"] {
        let base = if extra.contains("-R") { "-d 1s" } else { "-c 20 -R 2000 -d 5s" };
        let run = run(Delay(DELAY), &format!("{base} --warmup 100ms --heartbeat off {extra}"));
        let due = run.outcome.tally.due;
        if !extra.contains("poisson") {
            assert_eq!(due, if extra.contains("-R") { 100_000 } else { 10_000 });
        }
        for kind in [Kind::Response, Kind::Service] {
            run.hold(kind, due, EXACT, |_| seconds(DELAY));
        }
        run.hold(Kind::SendLag, due, EXACT, |_| 0.0);
        let tally = &run.outcome.tally;
        assert_eq!((tally.sent, tally.received, tally.unanswered), (due, due, 0));
        assert_eq!((tally.held_back, tally.strays, tally.own_lag.count()), (0, 0, due));
        assert_eq!(judge(&run.plan, &run.outcome).verdict, Verdict::Valid);
    }
}

/// In an open loop whose messages all leave in time both times tell of the stall.
#[test]
fn a_stall_every_second() {
    let run = run(stall(DELAY), "-c 20 -R 2000 -d 10s --warmup 1s --heartbeat off");
    for kind in [Kind::Response, Kind::Service] {
        run.hold(kind, 20_000, STATED, stall_law);
    }
    run.hold(Kind::SendLag, 20_000, EXACT, |_| 0.0);
    // The stall stands where it was: in each second a fifth of the replies is late.
    let late = |q: f64| {
        run.outcome.timeline.windows[..10]
            .iter()
            .map(move |second| second.get(Kind::Response).unwrap().quantile(q))
    };
    assert!(late(0.75).all(|ns| ns < 3_000_000) && late(0.85).all(|ns| ns > 40_000_000));
}

/// Arrivals at random see what an observer at a random time sees.
#[test]
fn a_stall_every_second_and_arrivals_at_random() {
    let line = "-c 20 -R 4000 --arrival poisson -d 30s --warmup 0s --heartbeat off";
    let run = run(stall(DELAY), line);
    let due = run.outcome.tally.due;
    // Within four deviations of the mean.
    assert!(due.abs_diff(120_000) < 1400, "{due}");
    assert_eq!(run.latency(Kind::Response).count(), due);
    let times = [0.002, 0.022, 0.052, 0.102, 0.152, 0.182];
    held_by_chance(run.latency(Kind::Response), &times, 0.0, |t| {
        1.0 - (seconds(STALL) - (t - seconds(DELAY))) / seconds(PERIOD)
    });
}

/// A socket that holds eight messages. While the server stalls the others stay in the generator:
/// `service` counts from when they left, and hardly sees the stall that `response` shows whole.
#[test]
fn service_alone_omits_what_the_server_held_back() {
    let manner = Stall { room: 1024, ..stall(DELAY) };
    let run = run(manner, "-c 1 -R 1000 -d 10s --warmup 0s --heartbeat off --size 122");
    // Frames of 128 bytes: 8 of the 200 in each stall are with the kernel when it ends.
    run.hold(Kind::Response, 10_000, STATED, stall_law);
    assert_eq!(run.outcome.tally.held_back, 10 * (200 - 8 - 1), "the ninth found nobody before it");
    for q in [0.5, 0.9, 0.99] {
        assert!((run.p(Kind::Service, q) - seconds(DELAY)).abs() < 1e-5, "p{q} of service");
    }
    assert!(run.p(Kind::Service, 0.995) > 0.19, "the eight");
    assert!((run.p(Kind::Response, 0.99) - 0.192).abs() < 0.004);
    // It was the server: the generator's own lag stays 0, and the run is valid.
    assert!(run.outcome.tally.own_lag.quantile(1.0) < 1000);
    assert_eq!(judge(&run.plan, &run.outcome).verdict, Verdict::Valid);
    // Both stand in the report.
    let text = run.finished(|finished| finished.to_text(Style::PLAIN));
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("response").contains(" 192ms ") && row("service").contains(" 2.00ms "), "{text}");
    let mut document = run.finished(|finished| to_json(finished, None)).unwrap().into_bytes();
    let document = simd_json::to_owned_value(&mut document).unwrap();
    let p99 = |kind: &str| document["latency"][kind]["p99"].as_u64().unwrap();
    assert!(p99("response") > 90 * p99("service"), "{}", document["latency"]);
    assert_eq!(document["latency"]["response"]["count"], 10_000);
}

/// In a closed loop each connection meets each stall once, and what it would have sent meanwhile is
/// in no percentile: one of (P - S)/D + 1 messages is late, where of the schedule's a fifth is.
#[test]
fn a_closed_loop_omits() {
    let delay = Duration::from_millis(1);
    let run = run(stall(delay), "-c 10 -d 10s --warmup 0s --heartbeat off");
    let each = (seconds(PERIOD) - seconds(STALL)) / seconds(delay);
    let due = run.outcome.tally.due as f64;
    assert!((due / (10.0 * 10.0 * (each + 1.0)) - 1.0).abs() < 0.01, "{due}");
    for kind in [Kind::Response, Kind::Service] {
        assert!((run.p(kind, 0.995) - seconds(delay)).abs() < 1e-5, "{}", kind.name());
        assert!((run.p(kind, 0.9995) - 0.2).abs() < 0.004, "{}", run.p(kind, 0.9995));
    }
}

/// One of twenty connections stalls: of all messages the share S/P/20 waits.
#[test]
fn a_stall_of_one_connection() {
    let manner = Stall { only: Some(3), ..stall(DELAY) };
    let run = run(manner, "-c 20 -R 10000 -d 10s --warmup 1s --heartbeat off");
    let law =
        |q: f64| (seconds(STALL) - 20.0 * seconds(PERIOD) * (1.0 - q)).max(0.0) + seconds(DELAY);
    run.hold(Kind::Response, 100_000, STATED, law);
    assert!((run.p(Kind::Response, 0.998) - 0.162).abs() < 0.004);
}

/// A server of 1,000 messages a second that is sent 2,000: message k waits for k of them, less the
/// time that went by, so the times are spread evenly from D to D + (N - 1)(D - 1/R).
#[test]
fn a_rate_over_the_cap() {
    let each = Duration::from_millis(1);
    let queue = || Queue { each, free: Duration::ZERO };
    let line = "-c 10 -R 2000 -d 2s --warmup 0s --heartbeat off";
    let patient = run(queue(), &format!("{line} --drain 5s"));
    patient
        .hold(Kind::Response, 4000, EXACT, |q| 0.001 + (q * 4000.0 - 1.0) * (0.001 - 1.0 / 2000.0));
    assert_eq!(patient.outcome.tally.unanswered, 0);
    // What is not answered when the drain is over is so: its age is what it waited by then, and the
    // 1,000 youngest are 1 to 1.5 s old.
    let short = run(queue(), &format!("{line} --drain 1s"));
    let tally = &short.outcome.tally;
    assert_eq!((tally.received, tally.unanswered), (3000, 1000));
    held("age", &tally.unanswered_age, STATED, |q| 1.0 + q * 0.5);
    assert!((short.p(Kind::Response, 1.0) - 1.501).abs() < 0.002, "none is left out");
}

/// The share of messages that wait `t` at most in a queue with random arrivals at `rate` and a
/// fixed time of service (Erlang, *The Theory of Probabilities and Telephone Conversations*, 1909).
fn erlang(rate: f64, each: f64, t: f64) -> f64 {
    let mut sum = 0.0;
    for k in 0..=(t / each) as u32 {
        let x = rate * (f64::from(k) * each - t);
        let faculty: f64 = (1..=k).map(f64::from).product();
        sum += x.powi(k.cast_signed()) / faculty * (-x).exp();
    }
    (1.0 - rate * each) * sum
}

/// Random arrivals at a server that takes a fixed time for each, one after the other.
#[test]
fn a_queue_with_random_arrivals() {
    let each = Duration::from_millis(1);
    let manner = Queue { each, free: Duration::ZERO };
    let line = "-c 20 -R 500 --arrival poisson -d 300s --warmup 1s --heartbeat off --seed 3";
    let run = run(manner, line);
    let (rate, each) = (500.0, seconds(each));
    let times = [1.0, 1.5, 2.0, 3.0, 5.0].map(|n| n * each);
    held_by_chance(run.latency(Kind::Response), &times, 0.005, |t| erlang(rate, each, t - each));
    // Pollaczek and Khinchine: the mean wait is rho D / 2(1 - rho).
    let mean = run.latency(Kind::Response).summary().mean as f64 / 1e9;
    let rho = rate * each;
    let expected = each + rho * each / (2.0 * (1.0 - rho));
    assert!((mean / expected - 1.0).abs() < STATED, "mean {mean} found, {expected} expected");
}

/// Counts are exact, and what is answered is timed like everything else.
#[test]
fn faults_of_each_tenth_message() {
    let line = "-c 1 -R 1000 -d 10s --warmup 0s --drain 2s --heartbeat off --verify";
    let (n, tenth) = (10_000, 1000);
    let with = |fault| run(Tenth::new(fault), line);
    let delay = |_| seconds(DELAY);

    let dropped = with(Fault::Dropped);
    dropped.hold(Kind::Response, n - tenth, EXACT, delay);
    let tally = &dropped.outcome.tally;
    assert_eq!((tally.received, tally.unanswered), (n - tenth, tenth));
    // Spread evenly over the window, and the drain is over: from 2 s to 12 s.
    held("age", &tally.unanswered_age, STATED, |q| 2.0 + q * 10.0);

    let doubled = with(Fault::Doubled);
    doubled.hold(Kind::Response, n, EXACT, delay);
    assert_eq!((doubled.outcome.tally.duplicate, doubled.outcome.tally.verified), (tenth, n));

    let flipped = with(Fault::Flipped);
    flipped.hold(Kind::Response, n, EXACT, delay);
    let tally = &flipped.outcome.tally;
    assert_eq!((tally.corrupt, tally.verified, tally.received), (tenth, n - tenth, n));

    let late = with(Fault::Late(Duration::from_micros(1500)));
    late.hold(Kind::Response, n, EXACT, |q| seconds(DELAY) + if q > 0.9 { 0.0015 } else { 0.0 });
    let tally = &late.outcome.tally;
    assert_eq!((tally.reordered, tally.duplicate, tally.verified), (tenth, 0, n));
}

#[test]
fn the_warm_up_is_in_no_figure() {
    let slow = Duration::from_millis(300);
    let manner = SlowStart { until: Duration::from_secs(1), slow };
    let run = run(manner, "-c 10 -R 1000 -d 4s --warmup 2s --heartbeat off");
    run.hold(Kind::Response, 4000, EXACT, |_| seconds(DELAY));
}

/// Three gaps of 5 ms lie before the last fragment: they are in `response` and not in `fragmented`.
#[test]
fn fragments() {
    let line = "-c 20 -R 400 -d 5s --warmup 0s --heartbeat 500ms --fragments 4 --fragment-gap 5ms";
    let run = run(Delay(DELAY), line);
    run.hold(Kind::Response, 2000, EXACT, |_| 0.015 + seconds(DELAY));
    run.hold(Kind::Service, 2000, EXACT, |_| 0.015 + seconds(DELAY));
    run.hold(Kind::Fragmented, 2000, EXACT, |_| seconds(DELAY));
    run.hold(Kind::Ping, 20 * 10, EXACT, |_| seconds(DELAY));
    assert_eq!((run.outcome.tally.pings_sent, run.outcome.tally.pings_unanswered), (200, 0));
}

#[test]
fn idle_connections() {
    let run = run(Delay(DELAY), "--mode idle -c 500 --heartbeat 2s -d 10s --warmup 1s");
    run.hold(Kind::Ping, 2500, EXACT, |_| seconds(DELAY));
    run.hold(Kind::SendLag, 2500, EXACT, |_| 0.0);
}

/// Member i hears DELAY + i times 100 us after the publication: times are spread evenly over the
/// members, and the first and the last are 49 times 100 us apart.
#[test]
fn a_room() {
    let apart = Duration::from_micros(100);
    let room = |deaf| Room { members: 50, apart, deaf, seen: 0 };
    let line = "--mode broadcast --publishers 2 --subscribers 48 -R 100 -d 10s --warmup 0s";
    let whole = run(room(false), line);
    whole.hold(Kind::Delivery, 50_000, STATED, |q| {
        seconds(DELAY) + seconds(apart) * ((q * 50.0).ceil() - 1.0)
    });
    let tally = whole.outcome.tally.broadcast.as_ref().unwrap();
    assert_eq!((tally.expected, tally.received, tally.duplicate), (50_000, 50_000, 0));
    held("spread", &tally.spread, EXACT, |_| 49.0 * seconds(apart));
    let deaf = run(room(true), line);
    let tally = deaf.outcome.tally.broadcast.as_ref().unwrap();
    assert_eq!((tally.expected, tally.received, tally.lost()), (50_000, 49_900, 100));
}

/// The tests above can fail: a law that is off by 3 % is noticed.
#[test]
fn a_wrong_law_is_noticed() {
    let run = run(Delay(DELAY), "-c 5 -R 1000 -d 1s --warmup 0s --heartbeat off");
    let wrong = |off: f64| {
        let hold = || run.hold(Kind::Response, 1000, STATED, |_| seconds(DELAY) * off);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(hold)).is_err()
    };
    assert!(!wrong(1.0) && wrong(1.03) && wrong(0.97));
}
