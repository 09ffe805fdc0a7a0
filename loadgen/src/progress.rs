//! What a run shows while it lasts: a full view on a terminal, plain lines elsewhere; and the cells
//! that both read.
//!
//! Each generator thread owns one [`LiveCell`] and writes it with relaxed stores; others read them
//! all a few times a second. Nothing else passes between the two, and none of it is a result.

mod screen;
mod snapshot;
mod view;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::cli::plan::{Live, Plan};
use crate::cost::generator_cpu;
pub(crate) use screen::restore;
pub(crate) use snapshot::{Snapshot, Times};
use view::{History, Picture, View};

/// Buckets of each power of two: live percentiles are at most an eighth too high.
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

/// Times with one writer, coarse and cheap: four relaxed accesses for each.
#[derive(Debug)]
pub struct LiveTimes {
    buckets: [AtomicU32; BUCKETS],
    /// Nanoseconds, all together.
    sum: LiveCount,
}

impl Default for LiveTimes {
    fn default() -> Self {
        Self { buckets: [const { AtomicU32::new(0) }; BUCKETS], sum: LiveCount::default() }
    }
}

impl LiveTimes {
    /// Adds one time in nanoseconds. Only the owning thread may call it.
    #[inline]
    pub fn record(&self, ns: u64) {
        let bucket = &self.buckets[bucket(ns)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
        self.sum.add(ns);
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
    fn add_to(&self, sum: &mut Times) {
        for (sum, bucket) in sum.counts.iter_mut().zip(&self.buckets) {
            *sum += u64::from(bucket.load(Relaxed));
        }
        sum.sum = sum.sum.wrapping_add(self.sum.get());
    }
}

/// The part of the run that is shown.
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
    /// In their order.
    pub(crate) const ALL: [Self; 5] =
        [Self::Connecting, Self::WarmingUp, Self::Measuring, Self::Draining, Self::Closing];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "Connecting",
            Self::WarmingUp => "Warming up",
            Self::Measuring => "Measuring",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
        }
    }
}

/// What is known of a run beforehand.
#[derive(Clone, Default, Debug)]
pub(crate) struct Shown {
    /// The server's address as the report names it.
    pub(crate) target: String,
    /// Connections.
    pub(crate) requested: u32,
    /// Messages a second, if the run has a pace of its own.
    pub(crate) rate: Option<f64>,
    pub(crate) warmup: Duration,
    pub(crate) measure: Duration,
    pub(crate) drain: Duration,
}

impl Shown {
    /// Of a plan; `target` is the server's address.
    pub(crate) fn of(plan: &Plan, target: String) -> Self {
        Self {
            target,
            requested: plan.connections,
            rate: plan.pace.rate(),
            warmup: plan.warmup,
            measure: plan.duration,
            drain: plan.drain,
        }
    }

    /// How long a stage will last; nothing where that is not known.
    fn length(&self, stage: Stage) -> Duration {
        match stage {
            Stage::WarmingUp => self.warmup,
            Stage::Measuring => self.measure,
            Stage::Draining => self.drain,
            Stage::Connecting | Stage::Closing => Duration::ZERO,
        }
    }
}

/// What everybody who watches a run reads.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) cells: Arc<[LiveCell]>,
    pub(crate) shown: Shown,
    stage: AtomicU8,
}

impl Board {
    /// At [`Stage::Connecting`].
    pub(crate) fn new(cells: Arc<[LiveCell]>, shown: Shown) -> Arc<Self> {
        Arc::new(Self { cells, shown, stage: AtomicU8::new(Stage::Connecting as u8) })
    }

    /// The next part of the run has begun.
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// The part of the run that is under way.
    pub(crate) fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Relaxed)) % Stage::ALL.len()]
    }
}

/// Shows a run. Dropping it ends that, and gives the terminal back.
#[derive(Debug)]
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

/// From one drawing to the next.
const REDRAW: Duration = Duration::from_millis(250);
/// Drawings of a second.
const SECOND: usize = 4;
/// Rates are those of this many drawings together: two seconds.
const WINDOW: usize = 2 * SECOND;
/// From one plain line to the next.
const LINES: Duration = Duration::from_secs(5);

impl Progress {
    /// Shows it on standard error, in the manner asked for.
    pub(crate) fn start(board: &Arc<Board>, live: Live) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let full = match live {
            Live::Off => return Self(None),
            Live::Auto => terminal && !dumb,
            Live::Full => terminal,
            Live::Plain => false,
        };
        let (stop, stopped) = channel();
        let board = Arc::clone(board);
        let draw = move || watch(&board, full, &stopped);
        // Without a thread nothing is shown, which harms nothing.
        let thread = Builder::new().name("progress".to_owned()).spawn(draw);
        Self(thread.ok().map(|thread| (stop, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            // A panic there has been printed by then, and the run's result does not depend on it.
            let _ = thread.join();
        }
    }
}

/// Shows until the other end of `stopped` is dropped.
fn watch(board: &Board, full: bool, stopped: &Receiver<()>) {
    let tty = || io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let mut view = full.then(|| tty().and_then(View::open).ok()).flatten();
    let mut kept = VecDeque::from([Snapshot::take(&board.cells)]);
    let mut history = History::default();
    let (mut shown, mut since, mut said) = (Stage::Connecting, Instant::now(), Instant::now());
    let (mut drawings, mut cpu) = (0_usize, (Instant::now(), generator_cpu()));
    let mut cores = None;
    while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
        let (stage, now) = (board.stage(), Snapshot::take(&board.cells));
        if stage != shown {
            if view.is_none() {
                say(&now.line(&kept[0], shown, board.shown.requested));
            }
            // Another part has begun: its rates are not mixed with the last one's.
            kept.drain(..kept.len() - 1);
            (shown, since, said) = (stage, Instant::now(), Instant::now());
        }
        drawings += 1;
        if drawings.is_multiple_of(SECOND) {
            history.add(&now, &kept[kept.len().saturating_sub(SECOND)]);
            let later = (Instant::now(), generator_cpu());
            let used = later.1.saturating_sub(cpu.1).as_secs_f64();
            cores = Some(used / later.0.duration_since(cpu.0).as_secs_f64().max(1e-3));
            cpu = later;
        }
        let lasted = since.elapsed();
        let (before, now_seen) = (&kept[0], &now);
        if let Some(on) = &mut view {
            let picture = Picture {
                shown: &board.shown,
                stage,
                lasted,
                before,
                now: now_seen,
                cores,
                history: &history,
            };
            if on.draw(&picture).is_err() {
                // A terminal that takes no more is given back; lines may still get through.
                view = None;
            }
        } else if said.elapsed() >= LINES {
            say(&now.line(before, stage, board.shown.requested));
            said = Instant::now();
        }
        kept.push_back(now);
        if kept.len() > WINDOW {
            kept.pop_front();
        }
    }
    if view.is_none() {
        say(&Snapshot::take(&board.cells).line(&kept[0], shown, board.shown.requested));
    }
}

/// A line on standard error; a closed one is no fault of the run.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests;
