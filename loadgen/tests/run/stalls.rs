//! A real server that sleeps, over real sockets and the real clock. What a busy machine adds is
//! never negative: so how many messages must have waited so long at least follows from when the
//! server really slept, and that bound holds in each run. How many waited longer than they had to
//! is the machine's share, and judged by the best of several runs.

use std::time::Duration;

use loadgen::measure::{Kind, Outcome};

use super::go;
use super::server::{Manner, Server};

const RATE: f64 = 2000.0;
const STALL: Duration = Duration::from_millis(200);
const EVERY: Duration = Duration::from_secs(1);

/// Runs that may be spoilt by the machine.
const TRIES: usize = 4;
/// How far the best of them may be over its bound, as a share of all messages, at times of
/// [`LONG`] and more: shorter ones a full machine makes by itself.
const MORE: f64 = 0.05;
const LONG: f64 = 0.1;

/// Samples of a kind that took `time` or longer, within a ten-thousandth of them.
fn as_long(outcome: &Outcome, kind: Kind, time: f64) -> f64 {
    let latency = outcome.latencies.get(kind).unwrap();
    let shorter = |n: &u32| (latency.quantile(f64::from(*n) / 1e4) as f64) < time * 1e9;
    let shorter = (1..=10_000).rev().find(shorter).unwrap_or(0);
    (1.0 - f64::from(shorter) / 1e4) * latency.count() as f64
}

/// Of the messages that fell due while the server slept for L, evenly spread, R(L - t) had to wait
/// for t or longer.
fn must_have_waited(stalls: &[Duration], time: f64) -> f64 {
    let each = |stall: &Duration| (RATE * (stall.as_secs_f64() - time)).floor().max(0.0);
    stalls.iter().map(each).sum()
}

#[test]
fn a_server_that_really_sleeps() {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let server = Server::start(Manner::Periodic { lasts: STALL, every: EVERY });
        let line = format!("-c 20 -R {RATE} -d 3s --warmup 0ms --heartbeat off");
        let outcome = go(&server, &line).unwrap();
        let count = outcome.tally.received as f64;
        assert_eq!((outcome.tally.due, outcome.tally.unanswered), (6000, 0));
        let stalls = server.stalls();
        assert!((2..=3).contains(&stalls.len()), "{stalls:?}");
        let mut more = f64::NEG_INFINITY;
        for time in [0.02, 0.05, 0.1, 0.15, 0.18] {
            let must = must_have_waited(&stalls, time);
            for kind in [Kind::Response, Kind::Service] {
                let found = as_long(&outcome, kind, time);
                // The last of a stall may be read with the first after it; a service time counts
                // from a send that a busy machine made late.
                let late = if kind == Kind::Service {
                    as_long(&outcome, Kind::SendLag, 0.001)
                } else {
                    0.0
                };
                assert!(
                    found >= must - late - 2.0 * stalls.len() as f64,
                    "{} over {time} s: {found} of {count} found, {must} waited; {stalls:?}",
                    kind.name()
                );
            }
            if time >= LONG {
                more = more.max((as_long(&outcome, Kind::Response, time) - must) / count);
            }
        }
        best = best.min(more);
        if best <= MORE {
            return;
        }
    }
    panic!("in {TRIES} runs no one was within {MORE} of its bound: {best}");
}
