//! How often a shard pings: the interval that is wished for, until its connections are so many that
//! their pings alone would fill the core.
//!
//! A million connections that were pinged every 25 s would be 40,000 pings and as many pongs a
//! second: two whole cores with nothing served. So the interval grows with the connections that are
//! open, and shrinks with them again.

use std::time::Duration;

use super::app::App;
use super::net::Net;
use super::reactor::Reactor;

/// The pings of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PingPace {
    /// From the last byte heard to a ping, while the shard has few connections.
    pub interval: Duration,
    /// Pings that the shard begins in a second in the mean at most, if every connection is silent.
    /// Those that came in one tick stay together, and are pinged within one tick.
    pub per_second: u32,
}

impl PingPace {
    /// From the last byte heard to a ping, with so many connections open.
    pub fn interval_of(self, connections: usize) -> Duration {
        let round = connections as f64 / f64::from(self.per_second.max(1));
        self.interval.max(Duration::from_secs_f64(round))
    }
}

impl<N: Net, A: App> Reactor<N, A> {
    /// Sets the interval for the connections that are open now. A deadline that was set before has
    /// its wheel's place still and is worked out afresh there: early when the interval grew since,
    /// late when it shrank, by the wheel's horizon (a minute) at most.
    pub(super) fn pace_pings(&mut self) {
        if let Some(pace) = self.limits.pings {
            let interval = pace.interval_of(self.core.slab.len());
            self.core.kit.gear.settings.ping_interval = Some(interval);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_are_pinged_as_wished_and_many_no_faster_than_the_pace() {
        let pace = PingPace { interval: Duration::from_secs(25), per_second: 180 };
        for (connections, seconds) in [(0, 25), (1, 25), (4_500, 25), (4_680, 26), (18_000, 100)] {
            let interval = pace.interval_of(connections);
            assert_eq!(interval, Duration::from_secs(seconds), "{connections}");
        }
        let still = PingPace { per_second: 0, ..pace };
        assert_eq!(still.interval_of(60), Duration::from_mins(1), "no division by zero");
    }
}
