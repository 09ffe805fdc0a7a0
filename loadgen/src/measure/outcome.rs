//! A finished run: everything that the verdict and the report are made from.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Kind, Latencies, Latency, PhaseResult, Steadiness, Summary, Tally, Timeline};
use crate::cost::{GeneratorHealth, ServerCost};
use crate::floor;
use crate::nanos;

/// A finished run.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The server's address as the report names it, such as `ws://127.0.0.1:9001/`.
    pub target: String,
    /// The servers one by one; empty in a file from before they were counted so.
    pub servers: Vec<ServerTally>,
    /// Whether the server ran inside the generator.
    pub embedded: bool,
    /// Whether both ends were on one machine: no network was measured.
    pub loopback: bool,
    /// All threads' counts.
    pub tally: Tally,
    /// All threads' latencies.
    pub latencies: Latencies,
    /// The same, window by window, but for connects, handshakes and closes.
    pub timeline: Timeline,
    /// Phase by phase; empty if there is but one.
    pub phase_results: Vec<PhaseResult>,
    /// When the measured window began, by the calendar; for those who line runs up with other logs.
    #[serde(with = "nanos::calendar")]
    pub began: Option<SystemTime>,
    /// Messages a second that were asked for; `None` in a closed loop and in idle mode.
    pub rate_requested: Option<f64>,
    /// How long each part took.
    pub phases: Phases,
    /// What the generator itself used.
    pub generator: GeneratorHealth,
    /// What the generator would have reported of an echo that costs nothing, if it was measured.
    pub floor: Option<Summary>,
    /// What the server used, if it could be read.
    pub server: Option<ServerCost>,
    /// What the user should know besides, one sentence each, such as how many shards an open-file
    /// limit made necessary.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Messages a second that fell due in the measured window; `None` without an open loop.
    pub fn rate_due(&self) -> Option<f64> {
        let seconds = self.phases.measure.as_secs_f64();
        let rate = self.rate_requested?;
        let counted = seconds > 0.0 && self.tally.due > 0;
        Some(if counted { self.tally.due as f64 / seconds } else { rate })
    }

    /// What a user of the target waited for: `response`, else `delivery`, else `ping`.
    pub fn answered(&self) -> Option<(Kind, &Latency)> {
        let mut kinds = [Kind::Response, Kind::Delivery, Kind::Ping].into_iter();
        kinds.find_map(|kind| Some((kind, self.latencies.get(kind)?)))
    }

    /// Whether the median answer was hardly over the generator's own floor.
    pub fn is_near_the_floor(&self) -> bool {
        let median = self.answered().map(|(_, latency)| latency.quantile(0.5));
        self.floor.zip(median).is_some_and(|(floor, median)| floor::is_near(median, &floor))
    }

    /// Whether the end of the measured window was like itself; `None` if it was too short to say
    /// or if its phases are meant to differ.
    pub fn steadiness(&self) -> Option<Steadiness> {
        if !self.phase_results.is_empty() {
            return None;
        }
        self.timeline.steadiness(self.answered()?.0, self.phases.measure)
    }

    /// Messages a second that were sent in the measured window, those sent before it left out.
    pub fn rate_achieved(&self) -> f64 {
        let seconds = self.phases.measure.as_secs_f64();
        let sent = self.tally.sent.saturating_sub(self.tally.carried);
        if seconds > 0.0 { sent as f64 / seconds } else { 0.0 }
    }
}

/// What became of one server's connections in the whole run.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerTally {
    /// The URL as it was given, or the address of the server inside.
    pub url: String,
    /// Connections that were to be its.
    pub requested: u64,
    /// Those whose 101 was checked.
    pub established: u64,
    /// Those that never got there.
    pub failed: u64,
    /// Ends of established ones that the generator had not asked for.
    pub closed_early: u64,
}

impl ServerTally {
    /// Adds another machine's connections to the same server.
    pub fn merge(&mut self, other: &Self) {
        let Self { url: _, requested, established, failed, closed_early } = other;
        self.requested += requested;
        self.established += established;
        self.failed += failed;
        self.closed_early += closed_early;
    }
}

/// How long each part of the run took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// First connect to last 101 (or the last failure).
    #[serde(with = "nanos")]
    pub connect: Duration,
    /// Warm-up.
    #[serde(with = "nanos")]
    pub warmup: Duration,
    /// The measured window.
    #[serde(with = "nanos")]
    pub measure: Duration,
}
