//! Storms: a share of the connections dropped at once, and how those who stayed fared meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::task::Times;
use crate::cli::plan::{Farewell, Plan, Storm};
use crate::measure::{Counts, StormTally};
use crate::schedule::{Gap, Nanos, turn_of};

/// How many of a storm's victims need not be waited for any more, over all shards.
pub(crate) type Settled = Arc<[AtomicU64]>;

/// One shard's part in the plan's storms.
#[derive(Debug)]
pub(super) struct Storms {
    /// With the time of each on the run's clock, once the run has begun.
    planned: Vec<(Storm, Nanos)>,
    /// Of all shards, by storm.
    victims: Vec<u64>,
    /// Of this shard.
    quotas: Vec<Vec<u32>>,
    shard: usize,
    next: usize,
    /// The storm that is not over yet.
    raging: Option<usize>,
    before: Vec<Counts>,
    during: Vec<Counts>,
    settled: Settled,
    seed: u64,
}

/// One storm as a shard carries it out.
#[derive(Debug)]
pub(super) struct Drops {
    pub(super) storm: usize,
    /// The storm's own time.
    pub(super) at: Nanos,
    pub(super) farewell: Farewell,
    /// Connections of this shard to drop.
    pub(super) quota: usize,
}

impl Storms {
    pub(super) fn new(plan: &Plan, shard: usize, settled: Settled) -> Self {
        let storms = plan.life.storms.len();
        Self {
            planned: plan.life.storms.iter().map(|storm| (*storm, Nanos::MAX)).collect(),
            victims: vec![0; storms],
            quotas: vec![Vec::new(); storms],
            shard,
            next: 0,
            raging: None,
            before: vec![Counts::default(); storms],
            during: vec![Counts::default(); storms],
            settled,
            seed: plan.seed,
        }
    }

    /// The run's times are fixed, and with them who is dropped: each shard's share of the whole.
    pub(super) fn begin(&mut self, times: &Times) {
        let all: u64 = times.leavers.iter().map(|&n| u64::from(n)).sum();
        for (at, (storm, due)) in self.planned.iter_mut().enumerate() {
            *due = times.from + storm.at.as_nanos() as Nanos;
            self.victims[at] = storm.victims(all);
            self.quotas[at] = divide(self.victims[at], &times.leavers);
        }
    }

    /// When the next one begins.
    pub(super) fn next(&self) -> Nanos {
        self.planned.get(self.next).map_or(Nanos::MAX, |(_, at)| *at)
    }

    /// The next one, if its time has come and lies before `until`.
    pub(super) fn take(&mut self, now: Nanos, until: Nanos) -> Option<Drops> {
        let at = self.next();
        if at > now || at >= until {
            return None;
        }
        let storm = self.next;
        self.next += 1;
        self.raging = Some(storm);
        let quota = self.quotas[storm][self.shard] as usize;
        Some(Drops { storm, at, farewell: self.planned[storm].0.farewell, quota })
    }

    /// Connections in the order in which a storm takes them.
    pub(super) fn order(&self, storm: usize, leavers: &[u32]) -> Vec<u32> {
        let mut order = leavers.to_vec();
        let part = (storm as u64 + 1).rotate_left(48) ^ (self.shard as u64 + 1).rotate_left(32);
        order.shuffle(&mut StdRng::seed_from_u64(self.seed ^ part));
        order
    }

    /// When victim `j` of this shard may begin to come back, all shards together at `ramp`.
    pub(super) fn turn(&self, storm: usize, j: u32, ramp: Option<Gap>) -> Nanos {
        let turn = || turn_of(&self.quotas[storm], self.shard, j);
        self.planned[storm].1 + ramp.map_or(0, |gap| gap.at(turn()))
    }

    /// So many of a storm's victims are back, or were not there to be dropped.
    pub(super) fn settle(&self, storm: usize, victims: u64) {
        self.settled[storm].fetch_add(victims, Relaxed);
    }

    /// An answer came after `took`; `dropped` is the last storm that took its connection.
    pub(super) fn answered(&mut self, dropped: Option<usize>, took: Nanos) {
        if let Some(storm) = self.raging {
            if self.settled[storm].load(Relaxed) < self.victims[storm] {
                if dropped != Some(storm) {
                    self.during[storm].record(took);
                }
                return;
            }
            self.raging = None;
        }
        if let Some(before) = self.before.get_mut(self.next) {
            before.record(took);
        }
    }

    /// Adds what those who stayed measured.
    pub(super) fn finish(&self, tallies: &mut [StormTally]) {
        for (at, tally) in tallies.iter_mut().enumerate() {
            tally.begun = at < self.next;
            tally.before.add_counts(&self.before[at]);
            tally.during.add_counts(&self.during[at]);
        }
    }
}

/// Each shard's part of `whole`, in proportion to its connections; together exactly the whole.
fn divide(whole: u64, connections: &[u32]) -> Vec<u32> {
    let all: u64 = connections.iter().map(|&n| u64::from(n)).sum();
    let mut before = 0;
    let up_to = |n: u64| (u128::from(whole) * u128::from(n) / u128::from(all.max(1))) as u64;
    let part = |&n: &u32| {
        let first = up_to(before);
        before += u64::from(n);
        (up_to(before) - first) as u32
    };
    connections.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::task::tests::plan;
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    fn storms(shard: usize, leavers: &[u32], settled: &Settled) -> Storms {
        let plan = plan("-c 100 -d 20s --storm 50%@5s --storm 10%@9s:fin");
        let mut storms = Storms::new(&plan, shard, Arc::clone(settled));
        storms.begin(&Times { from: SECOND, leavers: leavers.to_vec(), ..Times::never() });
        storms
    }

    fn board() -> Settled {
        [AtomicU64::new(0), AtomicU64::new(0)].into()
    }

    #[test]
    fn shards_drop_the_share_exactly_and_come_back_in_turn() {
        let (counts, settled) = ([31, 0, 40, 30], board());
        let mut turns = Vec::new();
        for shard in 0..counts.len() {
            let mut storms = storms(shard, &counts, &settled);
            assert!(storms.take(6 * SECOND - 1, Nanos::MAX).is_none());
            let drops = storms.take(6 * SECOND, Nanos::MAX).unwrap();
            assert_eq!((drops.storm, drops.farewell), (0, Farewell::Reset));
            assert!(drops.quota <= counts[shard] as usize);
            let gap = Some(Gap::per_second(10.0));
            turns.extend((0..drops.quota as u32).map(|j| storms.turn(0, j, gap)));
            let second = storms.take(10 * SECOND, Nanos::MAX).unwrap();
            assert_eq!((second.storm, second.farewell), (1, Farewell::Fin));
            assert_eq!(storms.next(), Nanos::MAX);
        }
        turns.sort_unstable();
        let at_the_ramp: Vec<Nanos> = (0..51).map(|k| 6 * SECOND + k * SECOND / 10).collect();
        assert_eq!(turns, at_the_ramp, "half of 101, rounded up, ten a second");
    }

    #[test]
    fn a_storm_after_the_end_does_not_come() {
        let mut storms = storms(0, &[10], &board());
        assert!(storms.take(20 * SECOND, 6 * SECOND).is_none());
        let mut tallies = vec![StormTally::default(); 2];
        storms.finish(&mut tallies);
        assert!(!tallies[0].begun);
    }

    #[test]
    fn the_order_is_the_seeds_and_differs_from_storm_to_storm() {
        let leavers: Vec<u32> = (0..100).collect();
        let storms = storms(0, &[100], &board());
        let mut order = storms.order(0, &leavers);
        assert_eq!(order, storms.order(0, &leavers));
        assert_ne!(order, storms.order(1, &leavers));
        order.sort_unstable();
        assert_eq!(order, leavers);
    }

    /// Answers before, those of who stayed until all shards' victims are back, and after it.
    #[test]
    fn survivors_are_told_from_victims_until_all_are_back() {
        let settled = board();
        let mut storms = storms(0, &[10, 10], &settled);
        storms.answered(None, 1);
        storms.take(6 * SECOND, Nanos::MAX).unwrap();
        storms.answered(None, 2);
        storms.answered(Some(0), 3);
        storms.settle(0, 5);
        storms.answered(None, 4);
        settled[0].fetch_add(5, Relaxed);
        storms.answered(Some(0), 5);
        let mut tallies = vec![StormTally::default(); 2];
        storms.finish(&mut tallies);
        let seen = |latency: &crate::measure::Latency| (latency.count(), latency.quantile(1.0));
        assert_eq!((seen(&tallies[0].before), seen(&tallies[0].during)), ((1, 1), (2, 4)));
        assert_eq!(seen(&tallies[1].before), (1, 5));
        assert!(tallies[0].begun && !tallies[1].begun);
    }
}
