//! Known distributions, and addition.

use super::*;
use proptest::prelude::*;

/// The bucket's relative width: 3 digits.
fn near(found: u64, expected: u64) {
    let off = found.abs_diff(expected) as f64;
    assert!(off <= expected as f64 / 1000.0, "{found} is not {expected} to 3 digits");
}

fn merged(recorder: &Recorder) -> Latencies {
    let mut all = Latencies::default();
    all.add(recorder);
    all
}

#[test]
fn a_uniform_distribution() {
    let mut recorder = Recorder::new();
    (1..=100_000).for_each(|us| recorder.record(Kind::Response, Phase::FIRST, us * 1000));
    let all = merged(&recorder);
    let summary = all.get(Kind::Response).unwrap().summary();
    assert_eq!(summary.count, 100_000);
    near(summary.min, 1_000);
    near(summary.mean, 50_000_500);
    near(summary.stdev, 28_867_513);
    near(summary.p50, 50_000_000);
    near(summary.p90, 90_000_000);
    near(summary.p95, 95_000_000);
    near(summary.p99, 99_000_000);
    near(summary.p999, 99_900_000);
    near(summary.p9999, 99_990_000);
    near(summary.max, 100_000_000);
}

#[test]
fn an_exponential_distribution() {
    // Quantiles of the mean-1ms exponential, at the middle of a million equal shares.
    let mut latency = Latency::default();
    let share = |k: u32| (f64::from(k) + 0.5) / 1e6;
    (0..1_000_000).for_each(|k| latency.record((-(1.0 - share(k)).ln() * 1e6) as u64));
    near(latency.quantile(0.5), 693_147);
    near(latency.quantile(0.99), 4_605_170);
    near(latency.quantile(0.9999), 9_210_340);
    near(latency.summary().mean, 1_000_000);
    near(latency.summary().stdev, 1_000_000);
}

#[test]
fn one_stall_among_many_shows_where_it_should() {
    let mut latency = Latency::default();
    (0..9_990).for_each(|_| latency.record(100_000));
    (0..10).for_each(|_| latency.record(2_000_000_000));
    let summary = latency.summary();
    near(summary.p999, 100_000);
    near(summary.p9999, 2_000_000_000);
}

#[test]
fn the_longest_are_clamped_and_counted() {
    let mut recorder = Recorder::new();
    for ns in [0, MAX_NS, MAX_NS + 1, u64::MAX] {
        recorder.record(Kind::Ping, Phase::FIRST, ns);
    }
    let all = merged(&recorder);
    assert_eq!(all.overflow, 2);
    let summary = all.get(Kind::Ping).unwrap().summary();
    assert_eq!((summary.count, summary.min), (4, 0));
    near(summary.max, MAX_NS);
}

#[test]
fn warm_up_is_left_out_but_not_of_connects_and_closes() {
    let mut recorder = Recorder::new();
    for kind in Kind::ALL {
        recorder.record(kind, Phase::Warmup, 5_000);
        assert_eq!(recorder.count(kind), u64::from(!kind.windowed()));
    }
    let all = merged(&recorder);
    let reported = Kind::ALL.into_iter().filter(|kind| all.get(*kind).is_some());
    let names: Vec<_> = reported.map(Kind::name).collect();
    assert_eq!(names, ["connect", "handshake", "join", "close"]);
}

#[test]
fn kinds_have_the_names_of_the_result_file() {
    let names = Kind::ALL.map(Kind::name);
    let contract = [
        "connect",
        "handshake",
        "join",
        "response",
        "service",
        "send_lag",
        "ping",
        "interleaved_ping",
        "fragmented",
        "delivery",
        "close",
    ];
    assert_eq!(names, contract);
    assert!(Kind::ALL.iter().enumerate().all(|(at, kind)| *kind as usize == at));
}

#[test]
fn memory_follows_the_longest_latency() {
    let mut recorder = Recorder::new();
    let mut buckets = |ns| {
        recorder.record(Kind::Response, Phase::FIRST, ns);
        recorder.phases[0][Kind::Response as usize].buckets()
    };
    assert!(buckets(100_000) <= 9 << 10);
    assert!(buckets(20_000_000) <= 16 << 10);
    assert!(buckets(u64::MAX) <= 28 << 10);
}

#[test]
fn counts_of_a_thread_widen_when_they_are_added() {
    let mut recorder = Recorder::new();
    recorder.record(Kind::Ping, Phase::FIRST, 7);
    recorder.phases[0][Kind::Ping as usize].set(7, u32::MAX);
    let mut all = merged(&recorder);
    all.add(&recorder);
    assert_eq!(all.get(Kind::Ping).unwrap().count(), 2 * u64::from(u32::MAX));
}

#[test]
fn reach_and_loss() {
    let tally = BroadcastTally { expected: 200, received: 150, ..BroadcastTally::default() };
    assert_eq!((tally.lost(), tally.reach()), (50, 0.75));
    assert_eq!((BroadcastTally::default().lost(), BroadcastTally::default().reach()), (0, 1.0));
}

fn tally(numbers: &[u64], causes: &[u8]) -> Tally {
    let mut tally = Tally::default();
    let n = |at: usize| numbers[at % numbers.len()];
    (tally.requested, tally.established, tally.failed) = (n(0), n(1), n(2));
    (tally.closed_early, tally.sent, tally.received) = (n(3), n(4), n(5));
    (tally.unanswered, tally.pings_sent, tally.pings_unanswered) = (n(6), n(7), n(8));
    (tally.verified, tally.corrupt, tally.duplicate, tally.reordered) = (n(9), n(10), n(11), n(12));
    (tally.due, tally.carried, tally.held_back, tally.frozen) = (n(20), n(21), n(22), n(23));
    (tally.pings_overdue, tally.pings_unsent, tally.pings_coalesced) = (n(24), n(25), n(26));
    tally.strays = n(27);
    tally.own_lag.record(n(28));
    tally.unanswered_age.record(n(13));
    for cause in causes {
        tally.error(&format!("cause {}", cause % 3));
        tally.close_error(&format!("cause {}", cause % 2));
    }
    if n(14) % 2 == 0 {
        let broadcast = tally.broadcast.get_or_insert_default();
        (broadcast.expected, broadcast.received) = (n(15), n(16));
        (broadcast.duplicate, broadcast.reordered) = (n(17), n(18));
        broadcast.spread.record(n(19));
    }
    tally
}

proptest! {
    // Each case walks dozens of histograms of 28,672 buckets.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Samples dealt to threads in any way give the same figures as one thread that saw all.
    #[test]
    fn merging_latencies_is_addition(samples in proptest::collection::vec(
        (0usize..9, any::<bool>(), 0u64..2 * MAX_NS, 0usize..3), 0..100)) {
        let mut whole = Recorder::new();
        let mut parts = [Recorder::new(), Recorder::new(), Recorder::new()];
        for (kind, warm, ns, part) in samples {
            let phase = if warm { Phase::Warmup } else { Phase::FIRST };
            whole.record(Kind::ALL[kind], phase, ns);
            parts[part].record(Kind::ALL[kind], phase, ns);
        }
        let whole = merged(&whole);
        let mut sum = merged(&parts[2]);
        let mut others = merged(&parts[0]);
        others.add(&parts[1]);
        sum.merge(&others);
        prop_assert_eq!(sum.overflow, whole.overflow);
        for kind in Kind::ALL {
            let figures = |all: &Latencies| all.get(kind).map(Latency::summary);
            prop_assert_eq!(figures(&sum), figures(&whole));
        }
    }

    /// Order does not matter, nothing is forgotten, and an empty tally adds nothing.
    #[test]
    fn merging_tallies_is_addition(
        a in proptest::collection::vec(0u64..1 << 40, 29),
        b in proptest::collection::vec(0u64..1 << 40, 29),
        ca in proptest::collection::vec(0u8..9, 0..9),
        cb in proptest::collection::vec(0u8..9, 0..9),
    ) {
        let (x, y) = (tally(&a, &ca), tally(&b, &cb));
        let mut xy = x.clone();
        xy.merge(&y);
        let mut yx = y.clone();
        yx.merge(&x);
        prop_assert_eq!(&xy, &yx);
        prop_assert_eq!(xy.errors.values().sum::<u64>(), (ca.len() + cb.len()) as u64);
        prop_assert_eq!(xy.close_errors.values().sum::<u64>(), (ca.len() + cb.len()) as u64);
        prop_assert_eq!(xy.sent, a[4] + b[4]);
        prop_assert_eq!(xy.reordered, a[12] + b[12]);
        prop_assert_eq!(xy.unanswered_age.count(), 2);
        prop_assert_eq!((xy.carried, xy.held_back), (a[21] + b[21], a[22] + b[22]));
        prop_assert_eq!((xy.frozen, xy.pings_unsent), (a[23] + b[23], a[25] + b[25]));
        prop_assert_eq!((xy.pings_coalesced, xy.strays), (a[26] + b[26], a[27] + b[27]));
        prop_assert_eq!((xy.due, xy.own_lag.count()), (a[20] + b[20], 2));
        let spreads = u64::from(a[14] % 2 == 0) + u64::from(b[14] % 2 == 0);
        prop_assert_eq!(xy.broadcast.as_ref().map_or(0, |b| b.spread.count()), spreads);
        let mut same = x.clone();
        same.merge(&Tally::default());
        prop_assert_eq!(same, x);
    }
}
