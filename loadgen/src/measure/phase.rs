//! What one phase of several measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Latencies, Tally, Timeline};
use crate::cli::Plan;
use crate::nanos;

/// Messages of one phase, by intended send time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct PhaseCounts {
    /// Fell due.
    pub due: u64,
    /// Were sent.
    pub sent: u64,
    /// Replies to them (broadcast: deliveries).
    pub received: u64,
    /// Were not answered when the drain was over.
    pub unanswered: u64,
}

impl PhaseCounts {
    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.sent += other.sent;
        self.received += other.received;
        self.unanswered += other.unanswered;
    }
}

/// A finished phase.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct PhaseResult {
    /// As the scenario calls it.
    pub name: String,
    /// From the beginning of the measured window.
    #[serde(with = "nanos")]
    pub begins: Duration,
    /// Shorter than planned if the run was interrupted in it.
    #[serde(with = "nanos")]
    pub lasts: Duration,
    /// Messages a second that were asked for, in the mean; `None` without an open loop.
    pub rate_requested: Option<f64>,
    /// Messages.
    pub counts: PhaseCounts,
    /// Latencies of what was due in it, whenever the answer came.
    pub latencies: Latencies,
}

impl PhaseResult {
    /// What each phase of several measured, as far as the window came.
    pub(crate) fn of(
        plan: &Plan,
        tally: &Tally,
        timeline: &Timeline,
        measured: Duration,
    ) -> Vec<Self> {
        let mut begins = Duration::ZERO;
        let phases = plan.phases.iter().zip(&tally.phases).enumerate();
        let results = phases.map(|(at, (phase, counts))| {
            let result = Self {
                name: phase.name.clone(),
                begins,
                lasts: phase.duration.min(measured.saturating_sub(begins)),
                rate_requested: phase.mean_rate(),
                counts: *counts,
                latencies: timeline.of_phase(at),
            };
            begins += phase.duration;
            result
        });
        results.filter(|result| !result.lasts.is_zero()).collect()
    }

    /// Adds the same phase of another machine.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.lasts = self.lasts.max(other.lasts);
        self.rate_requested = match (self.rate_requested, other.rate_requested) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        self.counts.merge(&other.counts);
        self.latencies.merge(&other.latencies);
    }

    /// Messages a second that were sent.
    pub fn rate_achieved(&self) -> f64 {
        let seconds = self.lasts.as_secs_f64();
        if seconds > 0.0 { self.counts.sent as f64 / seconds } else { 0.0 }
    }
}
