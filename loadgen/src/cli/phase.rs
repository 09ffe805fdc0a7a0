//! Phases of the measured window: each with a load of its own, one after the other over the same
//! connections.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::{Fragmentation, Heartbeat, Pace, Plan};
use super::sizes::Sizes;
use crate::nanos;

/// One phase. All but its name is as in [`Plan`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PhasePlan {
    /// As reports call it; empty if it is the whole window.
    pub name: String,
    /// Above 0.
    #[serde(with = "nanos")]
    pub duration: Duration,
    /// When messages are sent.
    pub pace: Pace,
    /// Messages a second at its end.
    pub ramp_to: Option<f64>,
    /// Payload bytes of a message.
    pub size: Sizes,
    /// Frames of one message.
    pub fragmentation: Fragmentation,
    /// Pings of every connection.
    pub heartbeat: Option<Heartbeat>,
}

impl PhasePlan {
    /// Messages a second in the mean; `None` without an open loop.
    pub fn mean_rate(&self) -> Option<f64> {
        let rate = self.pace.rate()?;
        Some(self.ramp_to.map_or(rate, |to| rate.midpoint(to)))
    }

    /// Messages that fall due in it; 0 without an open loop.
    fn messages(&self) -> f64 {
        self.mean_rate().unwrap_or(0.0) * self.duration.as_secs_f64()
    }
}

impl Plan {
    /// The window's phases, one at least.
    pub fn all_phases(&self) -> Cow<'_, [PhasePlan]> {
        if self.phases.is_empty() { vec![self.as_phase()].into() } else { (&self.phases).into() }
    }

    /// The window as one phase.
    pub(super) fn as_phase(&self) -> PhasePlan {
        PhasePlan {
            name: String::new(),
            duration: self.duration,
            pace: self.pace,
            ramp_to: self.ramp_to,
            size: self.size.clone(),
            fragmentation: self.fragmentation,
            heartbeat: self.heartbeat,
        }
    }

    /// Messages a second in the mean of all phases; `None` if one of them is no open loop.
    pub fn mean_rate(&self) -> Option<f64> {
        match &self.all_phases()[..] {
            [only] => only.mean_rate(),
            phases => {
                let open = phases.iter().all(|phase| phase.mean_rate().is_some());
                let messages: f64 = phases.iter().map(PhasePlan::messages).sum();
                open.then(|| messages / self.duration.as_secs_f64())
            }
        }
    }

    /// Messages of the warm-up and the window together, as far as they are known beforehand.
    pub(crate) fn messages(&self) -> f64 {
        let before = self.pace.rate().unwrap_or(0.0) * self.warmup.as_secs_f64();
        before + self.all_phases().iter().map(PhasePlan::messages).sum::<f64>()
    }

    /// Bytes of the longest payload in any phase.
    pub(crate) fn longest(&self) -> usize {
        self.phases.iter().map(|phase| phase.size.max).fold(self.size.max, usize::max)
    }

    /// Bytes of the shortest.
    pub(crate) fn shortest(&self) -> usize {
        self.phases.iter().map(|phase| phase.size.min).fold(self.size.min, usize::min)
    }

    /// Most frames of a message in any phase.
    pub(crate) fn most_fragments(&self) -> u32 {
        let fragments = self.phases.iter().map(|phase| phase.fragmentation.fragments);
        fragments.fold(self.fragmentation.fragments, u32::max)
    }

    /// Longest time from a message's first fragment to its last in any phase.
    pub(crate) fn longest_message(&self) -> Duration {
        let lasts = self.phases.iter().map(|phase| phase.fragmentation.lasts());
        lasts.fold(self.fragmentation.lasts(), Duration::max)
    }
}
