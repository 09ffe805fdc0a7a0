//! The live line on standard error, and the cells that it reads.
//!
//! Each generator thread owns one [`LiveCell`] and writes it with relaxed stores; the line's own
//! thread reads them all a few times a second. Nothing else passes between the two.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::human::{grouped, time};

/// Buckets of each power of two: the line's percentiles are at most an eighth too high.
const STEPS: u32 = 8;

/// The shortest time that is told apart: 2^10 ns.
const FIRST_POWER: u32 = 10;

/// The longest: 2^37 ns, 137 s.
const LAST_POWER: u32 = 37;

const BUCKETS: usize = ((LAST_POWER - FIRST_POWER) * STEPS) as usize;

/// A count with one writer: a load and a store instead of a locked addition.
#[derive(Default, Debug)]
pub struct LiveCount(AtomicU64);

impl LiveCount {
    /// Adds. Only the owning thread may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count as it was a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Times with one writer, coarse and cheap: two relaxed accesses for each.
#[derive(Debug)]
pub struct LiveTimes([AtomicU32; BUCKETS]);

impl Default for LiveTimes {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl LiveTimes {
    /// Adds one time in nanoseconds. Only the owning thread may call it.
    #[inline]
    pub fn record(&self, ns: u64) {
        let bucket = &self.0[bucket(ns)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// The bucket of a time: its power of two and the next three bits.
#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.clamp(1 << FIRST_POWER, (1 << LAST_POWER) - 1);
    let power = ns.ilog2();
    let step = (ns >> (power - STEPS.ilog2())) as u32 % STEPS;
    ((power - FIRST_POWER) * STEPS + step) as usize
}

/// What one generator thread shows of itself, on cache lines of its own.
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct LiveCell {
    /// Connections established.
    pub connected: LiveCount,
    /// Connections that could not be, or that ended early.
    pub failed: LiveCount,
    /// Messages sent.
    pub sent: LiveCount,
    /// Messages received.
    pub received: LiveCount,
    /// Response times (idle mode: ping times).
    pub response: LiveTimes,
    /// Send lags.
    pub lag: LiveTimes,
}

impl LiveTimes {
    fn add_to(&self, sum: &mut [u64; BUCKETS]) {
        for (sum, bucket) in sum.iter_mut().zip(&self.0) {
            *sum += u64::from(bucket.load(Relaxed));
        }
    }
}

/// The time that 99 % of the samples in these buckets do not exceed; `None` without samples.
fn p99(counts: &[u64; BUCKETS]) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    let mut beyond = total / 100;
    let at = counts.iter().rposition(|count| match beyond.checked_sub(*count) {
        Some(left) => {
            beyond = left;
            false
        }
        None => true,
    })?;
    let (power, step) = (at as u32 / STEPS + FIRST_POWER, at as u64 % u64::from(STEPS));
    Some((u64::from(STEPS) + step + 1) << (power - STEPS.ilog2()))
}

/// The part of the run that the line speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stage {
    /// Connections are being made.
    Connecting,
    /// Load before the measured window.
    WarmingUp,
    /// The measured window.
    Measuring,
    /// Late replies are waited for.
    Draining,
    /// Connections are being closed.
    Closing,
}

impl Stage {
    const ALL: [Self; 5] =
        [Self::Connecting, Self::WarmingUp, Self::Measuring, Self::Draining, Self::Closing];

    fn name(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::WarmingUp => "Warming up",
            Self::Measuring => "Measuring",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
        }
    }
}

/// All cells added up at one instant.
#[derive(Clone)]
struct Snapshot {
    at: Instant,
    connected: u64,
    failed: u64,
    sent: u64,
    received: u64,
    response: [u64; BUCKETS],
    lag: [u64; BUCKETS],
}

impl Snapshot {
    fn take(cells: &[LiveCell]) -> Self {
        let sum = |get: fn(&LiveCell) -> &LiveCount| cells.iter().map(|cell| get(cell).get()).sum();
        let mut snapshot = Self {
            at: Instant::now(),
            connected: sum(|cell| &cell.connected),
            failed: sum(|cell| &cell.failed),
            sent: sum(|cell| &cell.sent),
            received: sum(|cell| &cell.received),
            response: [0; BUCKETS],
            lag: [0; BUCKETS],
        };
        for cell in cells {
            cell.response.add_to(&mut snapshot.response);
            cell.lag.add_to(&mut snapshot.lag);
        }
        snapshot
    }

    /// The line, from what happened since `before`.
    fn line(&self, before: &Self, stage: Stage, requested: u32) -> String {
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(1e-3);
        let rate =
            |now: u64, before: u64| grouped((now.wrapping_sub(before) as f64 / seconds) as u64);
        let mut parts = Vec::new();
        if stage == Stage::Connecting {
            let (connected, requested) = (grouped(self.connected), grouped(requested.into()));
            parts.push(format!("{} {connected}/{requested}", stage.name()));
            parts.push(format!("{}/s", rate(self.connected, before.connected)));
        } else {
            parts.push(stage.name().to_owned());
            parts.push(format!("{} msg/s", rate(self.sent, before.sent)));
            // Deliveries of a broadcast, or replies that fall behind.
            if self.received.abs_diff(self.sent) > self.sent / 10 {
                parts.push(format!("{} received/s", rate(self.received, before.received)));
            }
        }
        let recent = |now: &[u64; BUCKETS], before: &[u64; BUCKETS]| {
            let mut counts = *now;
            counts.iter_mut().zip(before).for_each(|(now, then)| *now = now.wrapping_sub(*then));
            p99(&counts)
        };
        if let Some(ns) = recent(&self.response, &before.response) {
            parts.push(format!("p99 {}", time(ns)));
        }
        if let Some(ns) = recent(&self.lag, &before.lag) {
            parts.push(format!("lag p99 {}", time(ns)));
        }
        parts.push(format!("err {}", grouped(self.failed)));
        parts.join(" | ")
    }
}

/// The live line. Dropping it clears the line.
#[derive(Debug)]
pub struct Progress {
    stage: Arc<AtomicU8>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// From one drawing to the next.
const REDRAW: Duration = Duration::from_millis(250);

/// The line shows the rates of this many drawings together: two seconds.
const WINDOW: usize = 8;

impl Progress {
    /// Begins with [`Stage::Connecting`]. Shows nothing if `quiet` or if standard error is not a
    /// terminal.
    pub fn start(cells: Arc<[LiveCell]>, requested: u32, quiet: bool) -> Self {
        let stage = Arc::new(AtomicU8::new(Stage::Connecting as u8));
        let shown = !quiet && std::io::stderr().is_terminal();
        let thread = shown.then(|| {
            let (stop, stopped) = channel();
            let stage = Arc::clone(&stage);
            let draw = move || draw(&cells, requested, &stage, &stopped);
            // Without a thread there is no line, which harms nothing.
            Builder::new().name("progress".to_owned()).spawn(draw).ok().map(|thread| (stop, thread))
        });
        Self { stage, thread: thread.flatten() }
    }

    /// The next part of the run has begun.
    pub fn stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // A panic there has been printed by then, and the run's result does not depend on it.
            let _ = thread.join();
        }
    }
}

/// Draws until the other end of `stopped` is dropped.
fn draw(cells: &[LiveCell], requested: u32, stage: &AtomicU8, stopped: &Receiver<()>) {
    let bar = ProgressBar::new_spinner();
    let mut before = VecDeque::from([Snapshot::take(cells)]);
    let mut drawn = Stage::Connecting;
    while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
        let stage = Stage::ALL[usize::from(stage.load(Relaxed)) % Stage::ALL.len()];
        let now = Snapshot::take(cells);
        if stage != drawn {
            // Another part has begun: its rates are not mixed with the last one's.
            before.drain(..before.len() - 1);
            drawn = stage;
        }
        bar.set_message(now.line(&before[0], stage, requested));
        bar.tick();
        before.push_back(now);
        if before.len() > WINDOW {
            before.pop_front();
        }
    }
    bar.finish_and_clear();
}

#[cfg(test)]
mod tests;
