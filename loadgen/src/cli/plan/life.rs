//! What becomes of connections during the run, as plain data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::nanos;

/// What becomes of connections once all of them are established.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Connections closed properly and opened again a second in all; above 0.
    pub churn: Option<f64>,
    /// When a connection that the server or the network ended is opened again; `None` is never.
    pub reconnect: Option<Retry>,
    /// Shares of the connections that are dropped at once, in the order of their times.
    pub storms: Vec<Storm>,
    /// How what is sent is cut; `None` leaves it to TCP.
    pub dribble: Option<Dribble>,
    /// Connections that read at a trickle.
    pub slow: Option<Slow>,
}

impl Life {
    /// Whether connections leave by the generator's own doing while the run lasts.
    pub fn leaves(&self) -> bool {
        self.churn.is_some() || !self.storms.is_empty()
    }

    /// Whether connections are awkward: they send in tiny segments, or read at a trickle.
    pub fn is_shaped(&self) -> bool {
        self.dribble.is_some() || self.slow.is_some()
    }

    /// Whether connections are opened while the run lasts.
    pub fn reopens(&self) -> bool {
        self.leaves() || self.reconnect.is_some()
    }
}

/// A share of the connections that reads at most so fast.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Slow {
    /// Of the connections, a broadcast's publishers left out: above 0, 1 at most.
    pub share: f64,
    /// Bytes a second of each of them, at least 1.
    pub per_second: u64,
}

impl Slow {
    /// Its share of so many connections, to the nearest one.
    pub fn of(&self, connections: u32) -> u32 {
        (self.share * f64::from(connections)).round() as u32
    }
}

/// What is sent goes out in tiny TCP segments, wherever that cuts a frame or a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dribble {
    /// Most bytes of a segment; each length from 1 on is equally likely. At least 1.
    pub most: usize,
    /// From one segment of a connection to its next.
    #[serde(with = "nanos")]
    pub gap: Duration,
}

impl Dribble {
    /// From the first to the last segment of so many bytes, on average.
    pub fn lasts(&self, bytes: usize) -> Duration {
        let segments = bytes as f64 / ((1 + self.most) as f64 / 2.0);
        self.gap.mul_f64((segments.ceil() - 1.0).max(0.0))
    }
}

impl fmt::Display for Dribble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.most, humantime::format_duration(self.gap))
    }
}

/// How long a client waits before each attempt to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Always so long.
    Fixed(#[serde(with = "nanos")] Duration),
    /// Exponential with full jitter: before attempt `n`, from 0 on, any time up to `base * 2^n`,
    /// and up to `cap` at most (Brooker, *Exponential Backoff And Jitter*, AWS 2015).
    Backoff {
        /// Longest wait before the first attempt; above 0.
        #[serde(with = "nanos")]
        base: Duration,
        /// Longest wait before any; not under `base`.
        #[serde(with = "nanos")]
        cap: Duration,
    },
}

impl Retry {
    /// The backoff when nothing says which: what client libraries of Centrifugo do by themselves.
    pub const USUAL: Self =
        Self::Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(20) };
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_duration;
        match *self {
            Self::Fixed(wait) => write!(f, "fixed:{}", time(wait)),
            Self::Backoff { base, cap } => write!(f, "backoff:{}..{}", time(base), time(cap)),
        }
    }
}

/// A share of the connections dropped at once.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Storm {
    /// Of the connections that may leave: above 0, 1 at most.
    pub share: f64,
    /// From the begin of the measured window.
    #[serde(with = "nanos")]
    pub at: Duration,
    /// How they leave.
    pub farewell: Farewell,
}

impl Storm {
    /// Its share of so many connections, to the nearest one.
    pub fn victims(&self, connections: u64) -> u64 {
        (self.share * connections as f64).round() as u64
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = humantime::format_duration(self.at);
        // As it was written: a share of 0.1 % is not 0.1 exactly, times 100.
        let percent = (self.share * 1e8).round() / 1e6;
        write!(f, "{percent}%@{at}:{}", self.farewell.name())
    }
}

/// How TCP ends when a connection is dropped without a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Farewell {
    /// By a reset: the peer hears at once. As when a balancer or a NAT forgets its connections.
    Reset,
    /// By a FIN, as when a process dies.
    Fin,
}

impl Farewell {
    /// The name on the command line and in the result file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Fin => "fin",
        }
    }
}
