//! What an operator should read in the log without having looked at a metric: the server is full,
//! or its memory for slow peers is nearly used up. Once when it begins, then every ten seconds.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Facts;
use crate::shard::Counters;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two warnings while the trouble lasts.
const QUIET: u32 = 10;
/// From here on new connections are refused for want of memory, in hundredths of the bound.
const BUFFERED_PERCENT: u64 = 85;

/// What is looked at, over all shards.
#[derive(Clone, Copy, Default, Debug)]
struct Load {
    connections: u64,
    refused: u64,
    buffered: u64,
}

/// A warning and when it was last given.
#[derive(Default, Debug)]
struct Alarm {
    looks: u32,
}

impl Alarm {
    /// Whether to warn now.
    fn rings(&mut self, trouble: bool) -> bool {
        let rings = trouble && self.looks == 0;
        self.looks = if trouble { (self.looks + 1) % QUIET } else { 0 };
        rings
    }
}

/// Looks for ever.
pub(super) async fn watch(facts: &Facts) {
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut full, mut memory) = (Alarm::default(), Alarm::default());
    let max_buffered = facts.max_buffered as u64;
    loop {
        clock.tick().await;
        let Load { connections, refused, buffered } = load(&facts.counters);
        let buffered = buffered + facts.blocks.get() as u64;
        if full.rings(connections >= facts.max_connections as u64) {
            tracing::warn!(
                connections,
                refused,
                "full: new connections get 503; raise --max-connections or add a server"
            );
        }
        if memory.rings(buffered > max_buffered / 100 * BUFFERED_PERCENT) {
            tracing::warn!(
                buffered_bytes = buffered,
                refused,
                "memory for slow peers is nearly used up: new connections get 503, the largest \
                 debtors are closed; raise --max-buffered or lower --max-pending"
            );
        }
    }
}

fn load(counters: &[Counters]) -> Load {
    counters.iter().fold(Load::default(), |sum, shard| Load {
        connections: sum.connections + shard.connections.get(),
        refused: sum.refused + shard.refused.get(),
        buffered: sum.buffered + shard.buffered_bytes.get(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rings_at_once_and_then_seldom() {
        let mut alarm = Alarm::default();
        assert!(!alarm.rings(false));
        let rings: Vec<usize> = (0..25).filter(|_| alarm.rings(true)).collect();
        assert_eq!(rings, [0, 10, 20]);
        assert!(!alarm.rings(false));
        assert!(alarm.rings(true), "new trouble is told at once");
    }

    #[test]
    fn all_shards_are_one_load() {
        let counters: Vec<Counters> = (0..2).map(|_| Counters::default()).collect();
        for (n, shard) in (1..).zip(&counters) {
            shard.connections.set(n);
            shard.refused.set(10 * n);
            shard.buffered_bytes.set(100 * n);
        }
        let Load { connections, refused, buffered } = load(&counters);
        assert_eq!((connections, refused, buffered), (3, 30, 300));
    }
}
