//! What became of connections during the run: churn, reconnects, storms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Latency;
use super::tally::{add_causes, count};

/// Counts of connections that left and came back, of one thread or of all added up.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct LifeTally {
    /// Connections whose turn to leave and come back was in the measured window.
    pub churned: u64,
    /// Turns in the window at which the connection was not there.
    pub churn_missed: u64,
    /// Connections of the whole run that left by their turn and are back.
    pub replaced: u64,
    /// Connections that the server or the network ended, and that are back.
    pub reconnected: u64,
    /// How long those were away.
    pub away: Latency,
    /// Connections that had left, by whatever doing, and were not back at the end.
    pub still_away: u64,
    /// Attempts to come back that failed, by cause; those of storms are the storm's own.
    pub errors: BTreeMap<String, u64>,
    /// Messages that fell due in the window on connections that were away on purpose: not sent,
    /// and in no other count.
    pub skipped: u64,
    /// Those of them on connections whose turn to leave it was.
    pub skipped_in_turn: u64,
    /// Messages of the window, sent or not, that were lost with connections dropped on purpose.
    pub abandoned: u64,
    /// Pings sent that were lost so.
    pub pings_abandoned: u64,
    /// One for each storm of the plan, in the order of their times.
    pub storms: Vec<StormTally>,
}

/// What a storm did.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct StormTally {
    /// It began: a run that was cut short may not have come so far.
    pub begun: bool,
    /// Connections dropped.
    pub dropped: u64,
    /// Those that are back.
    pub returned: u64,
    /// From the storm's time until each was back.
    pub back: Latency,
    /// Connects to come back.
    pub connect: Latency,
    /// Their handshakes.
    pub handshake: Latency,
    /// Attempts that failed, by cause.
    pub errors: BTreeMap<String, u64>,
    /// Answers in the window before it, or since the storm before was over.
    pub before: Latency,
    /// Answers to those who stayed, until the last one was back.
    pub during: Latency,
}

impl StormTally {
    /// From its time until so large a share of the dropped was back; `None` if that never was.
    pub fn until_back(&self, share: f64) -> Option<u64> {
        let rank = (self.dropped as f64 * share).ceil() as u64;
        let there = self.dropped > 0 && rank <= self.returned;
        there.then(|| self.back.quantile(rank as f64 / self.returned as f64))
    }

    fn merge(&mut self, other: &Self) {
        self.begun |= other.begun;
        self.dropped += other.dropped;
        self.returned += other.returned;
        self.back.merge(&other.back);
        self.connect.merge(&other.connect);
        self.handshake.merge(&other.handshake);
        add_causes(&mut self.errors, &other.errors);
        self.before.merge(&other.before);
        self.during.merge(&other.during);
    }
}

impl LifeTally {
    /// Counts an attempt to come back that failed, of a storm or not.
    pub fn error(&mut self, storm: Option<usize>, cause: &str) {
        match storm.and_then(|storm| self.storms.get_mut(storm)) {
            Some(storm) => count(&mut storm.errors, cause),
            None => count(&mut self.errors, cause),
        }
    }

    /// Attempts to come back that failed.
    pub fn failures(&self) -> u64 {
        let storms = self.storms.iter().flat_map(|storm| storm.errors.values());
        self.errors.values().chain(storms).sum()
    }

    /// Connections that came back.
    pub fn returns(&self) -> u64 {
        let storms = self.storms.iter().map(|storm| storm.returned);
        self.replaced + self.reconnected + storms.sum::<u64>()
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.churned += other.churned;
        self.churn_missed += other.churn_missed;
        self.replaced += other.replaced;
        self.reconnected += other.reconnected;
        self.away.merge(&other.away);
        self.still_away += other.still_away;
        add_causes(&mut self.errors, &other.errors);
        self.skipped += other.skipped;
        self.skipped_in_turn += other.skipped_in_turn;
        self.abandoned += other.abandoned;
        self.pings_abandoned += other.pings_abandoned;
        let most = self.storms.len().max(other.storms.len());
        self.storms.resize_with(most, StormTally::default);
        for (storm, other) in self.storms.iter_mut().zip(&other.storms) {
            storm.merge(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_so_many_are_back() {
        let mut storm = StormTally { dropped: 200, returned: 200, ..StormTally::default() };
        (1..=200).for_each(|ms| storm.back.record(ms * 1_000_000));
        let ms = |storm: &StormTally, share| {
            storm.until_back(share).map(|ns| (ns as f64 / 1e6).round() as u64)
        };
        assert_eq!((ms(&storm, 0.99), ms(&storm, 1.0)), (Some(198), Some(200)));
        let mut one_less = StormTally { returned: 199, ..storm.clone() };
        one_less.back = Latency::default();
        (1..=199).for_each(|ms| one_less.back.record(ms * 1_000_000));
        assert_eq!((ms(&one_less, 0.99), ms(&one_less, 1.0)), (Some(198), None));
        assert_eq!(StormTally::default().until_back(0.99), None);
    }

    #[test]
    fn threads_are_added_storm_by_storm() {
        let mut one = LifeTally { churned: 1, ..LifeTally::default() };
        one.storms = vec![StormTally { dropped: 3, ..StormTally::default() }];
        let mut other = LifeTally { churned: 2, reconnected: 1, ..LifeTally::default() };
        other.storms = vec![StormTally { dropped: 4, returned: 2, ..StormTally::default() }; 2];
        other.error(Some(1), "refused");
        other.error(None, "reset");
        one.merge(&other);
        assert_eq!((one.churned, one.returns(), one.failures()), (3, 5, 2));
        assert_eq!(one.storms.iter().map(|s| s.dropped).collect::<Vec<_>>(), [7, 4]);
        assert_eq!(one.storms[1].errors.get("refused"), Some(&1));
    }
}
