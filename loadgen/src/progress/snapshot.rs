//! All cells added up at one instant, and what happened between two of them.

use std::time::Instant;

use super::{BUCKETS, FIRST_POWER, LiveCell, LiveCount, STEPS, Stage};
use crate::human::{grouped, time};

/// All cells added up at one instant.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(super) at: Instant,
    pub(crate) connected: u64,
    pub(crate) failed: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) response: Times,
    pub(crate) lag: Times,
}

/// Times of all cells by bucket.
#[derive(Clone)]
pub(crate) struct Times {
    pub(super) counts: [u64; BUCKETS],
    /// Nanoseconds, all together.
    pub(crate) sum: u64,
}

impl Times {
    /// Nothing yet.
    pub(super) const NONE: Self = Self { counts: [0; BUCKETS], sum: 0 };

    /// What came since an earlier snapshot.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (now, then) in since.counts.iter_mut().zip(&before.counts) {
            *now = now.wrapping_sub(*then);
        }
        since.sum = since.sum.wrapping_sub(before.sum);
        since
    }

    /// Samples.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time, in nanoseconds, that the share `quantile` (0 to 1) of the samples does not exceed,
    /// at most an eighth too high; `None` without samples.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<u64> {
        let mut beyond = (self.count() as f64 * (1.0 - quantile) + 1e-9) as u64;
        let at = self.counts.iter().rposition(|count| match beyond.checked_sub(*count) {
            Some(left) => {
                beyond = left;
                false
            }
            None => true,
        })?;
        let (power, step) = (at as u32 / STEPS + FIRST_POWER, at as u64 % u64::from(STEPS));
        Some((u64::from(STEPS) + step + 1) << (power - STEPS.ilog2()))
    }

    /// For each power of two: its nanoseconds, and the samples below it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let powers = self.counts.chunks(STEPS as usize).enumerate();
        powers.scan(0, |seen, (at, steps)| {
            *seen += steps.iter().sum::<u64>();
            Some((1 << (FIRST_POWER + 1 + at as u32), *seen))
        })
    }
}

impl Snapshot {
    pub(crate) fn take(cells: &[LiveCell]) -> Self {
        let sum = |get: fn(&LiveCell) -> &LiveCount| cells.iter().map(|cell| get(cell).get()).sum();
        let mut snapshot = Self {
            at: Instant::now(),
            connected: sum(|cell| &cell.connected),
            failed: sum(|cell| &cell.failed),
            sent: sum(|cell| &cell.sent),
            received: sum(|cell| &cell.received),
            response: Times::NONE,
            lag: Times::NONE,
        };
        for cell in cells {
            cell.response.add_to(&mut snapshot.response);
            cell.lag.add_to(&mut snapshot.lag);
        }
        snapshot
    }

    /// How much a count grew since `before`, a second.
    pub(super) fn rate(&self, before: &Self, count: fn(&Self) -> u64) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        count(self).wrapping_sub(count(before)) as f64 / seconds
    }

    /// The plain line, from what happened since `before`.
    pub(super) fn line(&self, before: &Self, stage: Stage, requested: u32) -> String {
        let rate = |count: fn(&Self) -> u64| grouped(self.rate(before, count) as u64);
        let mut parts = Vec::new();
        if stage == Stage::Connecting {
            let (connected, requested) = (grouped(self.connected), grouped(requested.into()));
            parts.push(format!("{} {connected}/{requested}", stage.name()));
            parts.push(format!("{}/s", rate(|now| now.connected)));
        } else {
            parts.push(stage.name().to_owned());
            parts.push(format!("{} msg/s", rate(|now| now.sent)));
            // Deliveries of a broadcast, or replies that fall behind.
            if self.received.abs_diff(self.sent) > self.sent / 10 {
                parts.push(format!("{} received/s", rate(|now| now.received)));
            }
        }
        if let Some(ns) = self.response.since(&before.response).quantile(0.99) {
            parts.push(format!("p99 {}", time(ns)));
        }
        if let Some(ns) = self.lag.since(&before.lag).quantile(0.99) {
            parts.push(format!("lag p99 {}", time(ns)));
        }
        parts.push(format!("err {}", grouped(self.failed)));
        parts.join(" | ")
    }
}
