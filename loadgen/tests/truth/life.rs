//! Connections that leave and come back, to the nanosecond.

use std::time::Duration;

use loadgen::measure::{Kind, Latency, LifeTally};

use super::manners::{DELAY, Delay};
use super::{EXACT, Run, held, run, seconds};

const NOBODY: &str = "-c 40 -R 400 --warmup 0s --heartbeat off";

fn life(run: &Run) -> &LifeTally {
    let (tally, life) = (&run.outcome.tally, &run.outcome.tally.life);
    assert_eq!((tally.unanswered, life.still_away, life.failures()), (0, 0, 0), "{tally:?}");
    assert_eq!(tally.due, tally.received + life.abandoned, "{tally:?}");
    life
}

fn times(latency: &Latency) -> [f64; 3] {
    [0.0, 0.5, 1.0].map(|quantile| latency.quantile(quantile) as f64 / 1e9)
}

/// 20 connections come back, one each 10 ms; those who stay notice nothing.
#[test]
fn a_storm_comes_back_at_the_pace_of_the_ramp() {
    let run = run(Delay(DELAY), &format!("{NOBODY} -d 10s --drain 1s --ramp 100/s --storm 50%@5s"));
    let life = life(&run);
    let storm = &life.storms[0];
    assert_eq!((storm.dropped, storm.returned), (20, 20));
    // The k-th after k times 10 ms: not longer than the share q of 190 ms, to a whole step.
    held("back", &storm.back, EXACT, |q| ((q * 20.0).ceil() - 1.0).max(0.0) * 0.010);
    for share in [0.99, 1.0] {
        let all = storm.until_back(share).unwrap() as f64 / 1e9;
        assert!((all - 0.190).abs() < 0.190 * EXACT, "{all} s until {share}");
    }
    // Each of 20 sends ten messages a second, and is away for 95 ms on average.
    assert_eq!(run.outcome.tally.due + life.skipped, 4000);
    assert!((16..=22).contains(&life.skipped), "{} and not 19", life.skipped);
    // Messages of five seconds, all answered when it began: 2.5 ms lie between two of them.
    assert_eq!((storm.before.count(), life.abandoned), (2000, 0));
    // And so do the 20 others, for 190 ms.
    assert!((35..=41).contains(&storm.during.count()), "{} and not 38", storm.during.count());
    for latency in [&storm.before, &storm.during] {
        held("answers", latency, EXACT, |_| seconds(DELAY));
    }
}

/// Everybody waits the same time, and nobody is back before it.
#[test]
fn a_fixed_wait_brings_all_back_at_once() {
    let run = run(
        Delay(DELAY),
        &format!("{NOBODY} -d 10s --drain 1s --storm 100%@2s:fin --reconnect fixed:4s"),
    );
    let storm = &life(&run).storms[0];
    assert_eq!((storm.dropped, storm.returned, storm.during.count()), (40, 40, 0));
    assert!(times(&storm.back).iter().all(|time| (time - 4.0).abs() < 4.0 * EXACT));
    // Four of ten seconds nobody is there to whom messages would fall due, both ends included.
    assert_eq!((run.outcome.tally.due, run.outcome.tally.life.skipped), (2399, 1601));
}

/// What is lost with a dropped connection is neither answered nor unanswered: answers take 1 s, so
/// the messages of a second are in flight.
#[test]
fn what_a_storm_takes_is_abandoned() {
    let slow = Delay(Duration::from_secs(1));
    let run = run(slow, &format!("{NOBODY} -d 5s --drain 3s --storm 100%@2s --ramp off"));
    let life = life(&run);
    // The first of them is answered at that very moment, the next would fall due then.
    assert_eq!((life.abandoned, life.skipped), (399, 1));
    assert_eq!((run.outcome.tally.due, run.outcome.tally.received), (1999, 1600));
}

/// A churned connection stays for its last answer, however long that takes.
#[test]
fn churn_waits_for_answers() {
    let slow = Delay(Duration::from_millis(500));
    let run = run(slow, &format!("{NOBODY} -d 10s --drain 2s --churn 20/s"));
    let life = life(&run);
    assert_eq!((life.churned, life.churn_missed, life.replaced), (200, 0, 200));
    assert_eq!((life.abandoned, run.outcome.tally.due + life.skipped), (0, 4000));
    // Each of 200 sends ten messages a second, and is on its way out for up to 500 ms.
    assert!((200 * 3..=200 * 5).contains(&life.skipped), "{}", life.skipped);
}

/// A frame of 131 bytes, one by one: the last leaves 130 gaps after the first, and what that takes
/// is no time of the server's.
#[test]
fn a_dribble_lasts_as_long_as_its_gaps() {
    let run = run(
        Delay(DELAY),
        "-c 4 -R 40 -d 5s --warmup 0s --drain 1s --heartbeat off --verify --dribble 1@100us",
    );
    let gaps = 130.0 * 100e-6;
    run.hold(Kind::SendLag, 200, EXACT, |_| gaps);
    run.hold(Kind::Response, 200, EXACT, |_| gaps + seconds(DELAY));
    run.hold(Kind::Service, 200, EXACT, |_| seconds(DELAY));
    let tally = &run.outcome.tally;
    assert_eq!((tally.verified, tally.held_back, tally.own_lag.quantile(1.0)), (200, 0, 0));
}

/// However heads, frames and fragments are cut, every byte is the same.
#[test]
fn a_dribble_cuts_anywhere_and_spoils_nothing() {
    for seed in 1..5 {
        let run = run(
            Delay(DELAY),
            &format!(
                "-c 8 -R 40 -d 5s --warmup 0s --drain 1s --heartbeat 700ms --fragments 3 \
                 --fragment-gap 10ms --interleave-ping --verify --size 60..400 \
                 --dribble 64@500us --seed {seed}"
            ),
        );
        let tally = &run.outcome.tally;
        assert_eq!((tally.verified, tally.corrupt, tally.pings_unanswered), (200, 0, 0));
    }
}
