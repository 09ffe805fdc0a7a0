//! What is shown, drawn from cells that are set by hand.

use super::*;

fn times(of: impl IntoIterator<Item = u64>) -> Times {
    let live = LiveTimes::default();
    of.into_iter().for_each(|ns| live.record(ns));
    let mut times = Times::NONE;
    live.add_to(&mut times);
    times
}

fn p99(times: &Times) -> Option<u64> {
    times.quantile(0.99)
}

#[test]
fn p99_is_at_most_an_eighth_too_high() {
    assert_eq!(p99(&times([])), None);
    for ns in [1 << 10, 1_500, 35_000, 126_000, 4_100_000, 1_000_000_000, (1 << 37) - 1] {
        let shown = p99(&times([ns])).unwrap();
        assert!(ns < shown && shown <= ns + ns / 8 + 1, "{ns} {shown}");
    }
    assert_eq!(p99(&times([0])), p99(&times([1 << 10])), "shorter ones count as the shortest");
    assert_eq!(p99(&times([u64::MAX])), p99(&times([(1 << 37) - 1])));
}

#[test]
fn p99_leaves_one_in_a_hundred_beyond() {
    let slow = |n: usize| times((0..1000 - n).map(|_| 20_000).chain((0..n).map(|_| 50_000_000)));
    assert!(p99(&slow(10)).unwrap() < 25_000);
    assert!(p99(&slow(11)).unwrap() > 50_000_000);
}

#[test]
fn every_bucket_is_longer_than_the_one_before() {
    let mut last = None;
    for power in FIRST_POWER..LAST_POWER {
        for step in 0..STEPS {
            let at = bucket(u64::from(STEPS + step) << (power - 3));
            assert_eq!(at, last.map_or(0, |last: usize| last + 1));
            last = Some(at);
        }
    }
    assert_eq!(last, Some(BUCKETS - 1));
}

#[test]
fn lines() {
    let cells = [LiveCell::default(), LiveCell::default()];
    let mut begin = Snapshot::take(&cells);
    cells[0].connected.add(400);
    cells[1].connected.add(62_000);
    let mut now = Snapshot::take(&cells);
    now.at = begin.at + Duration::from_secs(2);
    let line = now.line(&begin, Stage::Connecting, 100_000);
    assert_eq!(line, "Connecting 62,400/100,000 | 31,200/s | err 0");

    begin = now;
    cells[0].sent.add(6_000);
    cells[1].sent.add(666);
    cells[1].received.add(6_600);
    cells[0].failed.add(1);
    (0..100).for_each(|_| cells[0].response.record(4_000_000));
    (0..100).for_each(|_| cells[1].lag.record(200_000));
    now = Snapshot::take(&cells);
    now.at = begin.at + Duration::from_secs(2);
    let line = now.line(&begin, Stage::Measuring, 100_000);
    assert_eq!(line, "Measuring | 3,333 msg/s | p99 4.19ms | lag p99 213us | err 1");

    begin = now.clone();
    cells[0].received.add(600_000);
    now = Snapshot::take(&cells);
    now.at = begin.at + Duration::from_secs(2);
    let line = now.line(&begin, Stage::Draining, 100_000);
    assert_eq!(line, "Draining | 0 msg/s | 300,000 received/s | err 1");
}

#[test]
fn off_starts_no_thread() {
    let board = Board::new(Arc::from([]), Shown::default());
    let progress = Progress::start(&board, Live::Off);
    assert!(progress.0.is_none());
    board.enter(Stage::Measuring);
    assert_eq!(board.stage(), Stage::Measuring);
}

#[test]
fn powers_of_two_hold_what_is_below_them() {
    let times = times([0, 1_500, 2_047, 2_048, 4_100_000]);
    let cumulative: Vec<_> = times.cumulative().collect();
    assert_eq!(cumulative[..2], [(2_048, 3), (4_096, 4)]);
    assert_eq!(cumulative.iter().find(|(_, count)| *count == 5), Some(&(1 << 22, 5)));
    assert_eq!(cumulative.last(), Some(&(1 << LAST_POWER, 5)));
    assert_eq!((times.count(), times.sum), (5, 4_105_595));
}
