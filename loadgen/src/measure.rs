//! What one thread measures, and how the threads' figures become one: by addition.
//!
//! A [`Recorder`] and a [`Tally`] belong to one thread; nothing here is shared, locked or atomic,
//! and nothing here reads a clock. Percentiles are read only after everything is added up.

mod codec;
mod counts;
mod life;
mod outcome;
mod phase;
mod seconds;
mod slow;
mod tally;

pub(crate) use counts::Counts;
use hdrhistogram::Histogram;
pub use life::{LifeTally, StormTally};
pub use outcome::{Outcome, Phases, ServerTally};
pub use phase::{PhaseCounts, PhaseResult};
pub(crate) use seconds::Seconds;
pub use seconds::{Steadiness, Timeline};
use serde::{Deserialize, Serialize};
pub use slow::SlowTally;
pub use tally::{BroadcastTally, Tally};

/// Longest latency that is told apart, in nanoseconds: 100 s. Longer ones count as this long.
pub const MAX_NS: u64 = 100_000_000_000;

/// Significant decimal digits of a recorded latency.
const DIGITS: u8 = 3;

/// What a latency is the latency of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Start of the connect to TCP established.
    Connect,
    /// TCP established to the 101 checked.
    Handshake,
    /// The 101 checked to the answer that the connection is in its room (rooms protocols).
    Join,
    /// Intended send time to reply: what a user with a schedule of his own would have waited.
    Response,
    /// Actual send time to reply.
    Service,
    /// Intended send time to actual send time of messages (idle mode: of pings).
    SendLag,
    /// Heartbeat or interleaved ping to its answer.
    Ping,
    /// Ping sent between the fragments of a message to its pong: those are in `Ping` too.
    InterleavedPing,
    /// Last fragment sent to reply, so that deliberate gaps are not the server's latency.
    Fragmented,
    /// Publication to receipt, for each receiver (broadcast).
    Delivery,
    /// Close frame sent to the connection's end.
    Close,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 11] = [
        Self::Connect,
        Self::Handshake,
        Self::Join,
        Self::Response,
        Self::Service,
        Self::SendLag,
        Self::Ping,
        Self::InterleavedPing,
        Self::Fragmented,
        Self::Delivery,
        Self::Close,
    ];

    /// The name in the result file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Join => "join",
            Self::Response => "response",
            Self::Service => "service",
            Self::SendLag => "send_lag",
            Self::Ping => "ping",
            Self::InterleavedPing => "interleaved_ping",
            Self::Fragmented => "fragmented",
            Self::Delivery => "delivery",
            Self::Close => "close",
        }
    }

    /// Whether only samples of the measured window are reported. Connects, handshakes and closes
    /// happen outside it by nature, and are reported whenever they happened.
    pub fn windowed(self) -> bool {
        !matches!(self, Self::Connect | Self::Handshake | Self::Join | Self::Close)
    }
}

/// The part of the run that a sample belongs to, by its intended send time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Before the measured window: connecting and warming up.
    Warmup,
    /// In this phase of the measured window, and its replies after it.
    Measure(u16),
}

impl Phase {
    /// The window's first phase, or the whole of it.
    pub const FIRST: Self = Self::Measure(0);
}

/// Times of one thread, by phase and kind.
///
/// What one kind holds reaches up to the longest latency recorded: 60 KiB for 20 ms, 112 KiB for
/// 100 s. A bucket that reaches 2^32 - 1 stays there: six hours of one thread's whole capacity
/// within a thousandth of one latency.
#[derive(Default)]
pub struct Recorder {
    /// As many as the latest phase that something was recorded of.
    phases: Vec<[Counts; Kind::ALL.len()]>,
    overflow: u64,
}

/// Adds `count` samples, clamped to [`MAX_NS`].
fn add(histogram: &mut Histogram<u64>, ns: u64, count: u64) {
    // Only a histogram that may not grow, or more memory than there is addresses, can refuse.
    histogram.record_n(ns.min(MAX_NS), count).expect("a histogram grows up to 100 s");
}

impl Recorder {
    /// Nothing recorded, nothing allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a latency in nanoseconds. Over [`MAX_NS`] it is clamped and counted as overflow.
    /// What will not be reported, the warm-up of windowed kinds, is not kept.
    #[inline]
    pub fn record(&mut self, kind: Kind, phase: Phase, ns: u64) {
        let at = match phase {
            Phase::Warmup if kind.windowed() => return,
            Phase::Warmup => 0,
            Phase::Measure(at) => usize::from(at),
        };
        self.overflow += u64::from(ns > MAX_NS);
        match self.phases.get_mut(at) {
            Some(kinds) => kinds[kind as usize].record(ns.min(MAX_NS)),
            None => self.begin(at, kind, ns),
        }
    }

    /// The first time of a phase.
    #[cold]
    #[inline(never)]
    fn begin(&mut self, at: usize, kind: Kind, ns: u64) {
        self.phases.resize_with(at + 1, Default::default);
        self.phases[at][kind as usize].record(ns.min(MAX_NS));
    }

    /// Samples kept of one kind.
    pub fn count(&self, kind: Kind) -> u64 {
        let of_phase = |kinds: &[Counts; Kind::ALL.len()]| -> u64 {
            kinds[kind as usize].seen().map(|(_, count)| u64::from(count)).sum()
        };
        self.phases.iter().map(of_phase).sum()
    }
}

/// The latencies that are reported: all threads' recorders added up.
#[derive(Clone, Default)]
pub struct Latencies {
    slots: [Option<Latency>; Kind::ALL.len()],
    /// Samples over [`MAX_NS`], recorded as that long.
    pub overflow: u64,
}

impl Latencies {
    /// Adds what one thread recorded.
    pub fn add(&mut self, recorder: &Recorder) {
        self.overflow += recorder.overflow;
        for kinds in &recorder.phases {
            for (slot, recorded) in self.slots.iter_mut().zip(kinds) {
                if recorded.seen().next().is_some() {
                    slot.get_or_insert_default().add_counts(recorded);
                }
            }
        }
    }

    /// Adds what one thread recorded in one window of the run.
    fn add_window(&mut self, window: &seconds::Window) {
        for (slot, seen) in self.slots.iter_mut().zip(window).filter(|(_, seen)| !seen.is_empty()) {
            let latency = slot.get_or_insert_default();
            for (ns, count) in seen {
                add(&mut latency.0, *ns, (*count).into());
            }
        }
    }

    /// Adds what others added up.
    pub fn merge(&mut self, other: &Self) {
        self.overflow += other.overflow;
        for (slot, other) in self.slots.iter_mut().zip(&other.slots) {
            if let Some(other) = other {
                slot.get_or_insert_default().merge(other);
            }
        }
    }

    /// The latency of one kind; `None` if it has no sample.
    pub fn get(&self, kind: Kind) -> Option<&Latency> {
        self.slots[kind as usize].as_ref().filter(|latency| latency.count() > 0)
    }

    /// One more sample, outside any thread's recorder.
    pub fn record(&mut self, kind: Kind, ns: u64) {
        self.overflow += u64::from(ns > MAX_NS);
        self.slots[kind as usize].get_or_insert_default().record(ns);
    }
}

/// A distribution of times in nanoseconds: 3 digits, up to [`MAX_NS`].
#[derive(Clone, PartialEq, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new(DIGITS).expect("3 digits are within the histogram's 0 to 5"))
    }
}

impl Latency {
    /// One more sample, clamped to [`MAX_NS`].
    pub fn record(&mut self, ns: u64) {
        add(&mut self.0, ns, 1);
    }

    /// Adds another distribution to this one.
    pub fn merge(&mut self, other: &Self) {
        // All have the same buckets, so a bucket's highest value falls into the same bucket here.
        for value in other.0.iter_recorded() {
            add(&mut self.0, value.value_iterated_to(), value.count_at_value());
        }
    }

    /// Adds what a thread counted, in the same buckets.
    pub(crate) fn add_counts(&mut self, counts: &Counts) {
        counts.seen().for_each(|(ns, count)| add(&mut self.0, ns, count.into()));
    }

    /// The counts behind it.
    pub(crate) fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Samples.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that the share `quantile` (0 to 1) of the samples does not exceed, in nanoseconds.
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// The figures of the result file.
    pub fn summary(&self) -> Summary {
        Summary {
            count: self.count(),
            min: self.0.min(),
            mean: self.0.mean().round() as u64,
            stdev: self.0.stdev().round() as u64,
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            p9999: self.quantile(0.9999),
            max: self.0.max(),
        }
    }
}

/// A distribution in a line. All but `count` in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Samples.
    pub count: u64,
    /// Least.
    pub min: u64,
    /// Arithmetic mean.
    pub mean: u64,
    /// Standard deviation.
    pub stdev: u64,
    /// Median.
    pub p50: u64,
    /// 90 of 100 are not longer.
    pub p90: u64,
    /// 95 of 100 are not longer.
    pub p95: u64,
    /// 99 of 100 are not longer.
    pub p99: u64,
    /// 999 of 1,000 are not longer.
    pub p999: u64,
    /// 9,999 of 10,000 are not longer.
    pub p9999: u64,
    /// Greatest.
    pub max: u64,
}

#[cfg(test)]
mod tests;
