//! How often a shard pings: the interval that is wished for, until its connections are so many that
//! their pings alone would fill the core.
//!
//! A million connections that were pinged every 25 s would be 40,000 pings and as many pongs a
//! second: two whole cores with nothing served. So the interval grows with the connections that are
//! open, and shrinks with them again. That their pings do not stay in one tick is the connections'
//! own doing: each has an interval a little shorter or longer than the next one's.

use std::time::Duration;

use super::app::App;
use super::net::Net;
use super::reactor::Reactor;

/// From the last byte heard to a ping with so many connections open: the interval that is wished
/// for, or longer, so that the shard begins no more than `per_second` pings in a second if every
/// connection is silent.
fn stretched(wished: Duration, connections: usize, per_second: u32) -> Duration {
    let round = connections as f64 / f64::from(per_second.max(1));
    wished.max(Duration::from_secs_f64(round))
}

impl<N: Net, A: App> Reactor<N, A> {
    /// Sets the interval for the connections that are open now. A deadline that was set before has
    /// its wheel's place still and is worked out afresh there: early when the interval grew since,
    /// late when it shrank, by the wheel's horizon (a minute) at most.
    pub(super) fn pace_pings(&mut self) {
        let gear = &mut self.core.kit.gear;
        if let (Some(wished), Some(per_second)) = (gear.settings.ping_interval, self.limits.pings) {
            gear.ping_interval = Some(stretched(wished, self.core.slab.len(), per_second));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_are_pinged_as_wished_and_many_no_faster_than_the_pace() {
        let wished = Duration::from_secs(25);
        for (connections, seconds) in [(0, 25), (1, 25), (4_500, 25), (4_680, 26), (18_000, 100)] {
            let interval = stretched(wished, connections, 180);
            assert_eq!(interval, Duration::from_secs(seconds), "{connections}");
        }
        assert_eq!(stretched(wished, 60, 0), Duration::from_mins(1), "no division by zero");
    }
}
