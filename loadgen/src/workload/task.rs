//! What all shards of a run share, what the main thread tells them, and what they tell it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::route::{Route, ServerCount};
use super::storm::Settled;
use crate::cli::plan::{Mode, PhasePlan, Plan};
use crate::schedule::Nanos;

/// The run as every shard sees it; it never changes.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) plan: Plan,
    /// The plan's, one at least.
    pub(crate) phases: Box<[PhasePlan]>,
    pub(crate) shards: usize,
    /// Nanoseconds count from here. Before anything is sent, so no time is 0.
    pub(crate) epoch: Instant,
    /// The same by the calendar, in milliseconds since 1970.
    pub(crate) epoch_ms: u64,
    /// One for each shard.
    pub(crate) board: Box<[Notice]>,
    /// One for each server of the plan.
    pub(crate) servers: Box<[ServerCount]>,
    /// One for each storm of the plan.
    pub(crate) settled: Settled,
}

impl Task {
    pub(crate) fn new(plan: Plan, shards: usize) -> Self {
        let board = (0..shards).map(|_| Notice::default()).collect();
        let epoch = Instant::now().checked_sub(Duration::from_millis(1));
        let settled = plan.life.storms.iter().map(|_| AtomicU64::new(0)).collect();
        let servers = (0..plan.servers()).map(|_| ServerCount::default()).collect();
        let phases = plan.all_phases().into_owned().into();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_ms = since.as_millis() as u64;
        Self {
            plan,
            phases,
            shards,
            epoch_ms,
            epoch: epoch.unwrap_or_else(Instant::now),
            board,
            servers,
            settled,
        }
    }

    /// An instant in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn nanos(&self, at: Instant) -> Nanos {
        at.saturating_duration_since(self.epoch).as_nanos() as u64
    }

    /// The instant of a number of nanoseconds since the epoch.
    #[inline]
    pub(crate) fn instant(&self, at: Nanos) -> Instant {
        self.epoch + Duration::from_nanos(at)
    }

    /// Connections of one shard: connection `i` of the run belongs to shard `i % shards`.
    pub(crate) fn connections_of(&self, shard: usize) -> u32 {
        let (all, shards, shard) = (self.plan.connections, self.shards as u32, shard as u32);
        all.saturating_sub(shard).div_ceil(shards)
    }

    /// Number in the run of a shard's connection.
    pub(crate) fn global(&self, shard: usize, local: u32) -> u32 {
        local * self.shards as u32 + shard as u32
    }

    /// Whether a connection may leave on purpose: publishers of a broadcast are the load itself.
    pub(crate) fn may_leave(&self, global: u32) -> bool {
        global >= self.publishers() && !self.is_slow(global)
    }

    /// Whether a connection reads at a trickle: as many as were asked for, evenly among those that
    /// do not publish.
    pub(crate) fn is_slow(&self, global: u32) -> bool {
        let (Some(slow), Some(at)) = (self.plan.life.slow, global.checked_sub(self.publishers()))
        else {
            return false;
        };
        let all = self.plan.connections - self.publishers();
        let up_to = |n: u32| u64::from(n) * u64::from(slow.of(all)) / u64::from(all.max(1));
        up_to(at + 1) > up_to(at)
    }

    /// The first connections publish, in a broadcast.
    fn publishers(&self) -> u32 {
        match self.plan.mode {
            Mode::Broadcast(rooms) => rooms.publishers,
            Mode::Echo | Mode::Idle => 0,
        }
    }

    /// Whether a connection sends messages.
    pub(crate) fn sends(&self, global: u32) -> bool {
        match self.plan.mode {
            Mode::Echo => true,
            Mode::Broadcast(rooms) => global < rooms.publishers,
            Mode::Idle => false,
        }
    }
}

/// How far a shard is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Step {
    /// Waits for the server's address.
    Waiting,
    /// Connects.
    Dialing,
    /// Every connection is established or given up.
    Ready,
    /// Sends by its schedule.
    Running,
    /// Everything is answered, or the drain is over.
    Drained,
    /// Sends close frames and waits for their answers.
    Closing,
    /// No connection is left.
    Closed,
}

const STEPS: [Step; 7] = [
    Step::Waiting,
    Step::Dialing,
    Step::Ready,
    Step::Running,
    Step::Drained,
    Step::Closing,
    Step::Closed,
];

/// What a shard lets the main thread know, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Notice {
    step: AtomicU8,
    /// Connections established so far.
    pub(crate) established: AtomicU32,
    /// Connections given up so far.
    pub(crate) failed: AtomicU32,
    /// Established connections, and those of them that send, when the shard became ready.
    pub(crate) members: AtomicU32,
    pub(crate) senders: AtomicU32,
    /// Those of the established that may leave on purpose.
    pub(crate) leavers: AtomicU32,
    /// Why the first connection failed.
    pub(crate) failure: OnceLock<String>,
    /// The shard's App is no more.
    pub(crate) gone: AtomicBool,
}

impl Notice {
    pub(crate) fn step(&self) -> Step {
        STEPS[usize::from(self.step.load(Ordering::Acquire))]
    }

    /// The shard has got there; what it stored before can be read by who sees it.
    pub(crate) fn reach(&self, step: Step) {
        self.step.store(step as u8, Ordering::Release);
    }
}

/// Says on the board that its shard has ended, whatever ended it.
#[derive(Debug)]
pub(super) struct Leaving {
    task: Arc<Task>,
    shard: usize,
}

impl Leaving {
    pub(super) fn new(task: Arc<Task>, shard: usize) -> Self {
        Self { task, shard }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.task.board[self.shard].gone.store(true, Ordering::Release);
    }
}

/// What the main thread tells a shard.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    /// Begin to connect.
    Dial(Arc<Route>),
    /// Begin no further connection: what was not begun has failed.
    GiveUp,
    /// Every shard is ready: send by these times.
    Start(Arc<Times>),
    /// The measured window and the drain end earlier than planned, both still to come.
    Cut { to: Nanos, until: Nanos },
    /// Close all connections.
    Close,
}

/// The run's instants, the same for all shards, and who takes part.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// First intended send.
    pub(crate) start: Nanos,
    /// The measured window.
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
    /// End of the drain.
    pub(crate) until: Nanos,
    /// Established connections of each shard, and those that send.
    pub(crate) members: Vec<u32>,
    pub(crate) senders: Vec<u32>,
    /// Those that may leave on purpose.
    pub(crate) leavers: Vec<u32>,
}

impl Times {
    /// Before the run has begun.
    pub(super) fn never() -> Self {
        let (start, from, to, until) = (Nanos::MAX, Nanos::MAX, Nanos::MAX, Nanos::MAX);
        let (members, senders, leavers) = (Vec::new(), Vec::new(), Vec::new());
        Self { start, from, to, until, members, senders, leavers }
    }

    /// The plan's phases from `start` on, for the connections that each shard established.
    pub(crate) fn of(plan: &Plan, start: Nanos, board: &[Notice]) -> Self {
        let all = |what: fn(&Notice) -> &AtomicU32| {
            board.iter().map(|notice| what(notice).load(Ordering::Relaxed)).collect()
        };
        let (members, senders) = (all(|notice| &notice.members), all(|notice| &notice.senders));
        let leavers = all(|notice| &notice.leavers);
        let after = |at: Nanos, wait: Duration| at + wait.as_nanos() as Nanos;
        let from = after(start, plan.warmup);
        let to = after(from, plan.duration);
        // The last message's own fragments come first, then the wait for what is late.
        let until = after(after(to, plan.longest_message()), plan.drain);
        Self { start, from, to, until, members, senders, leavers }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser as _;

    /// A plan as the command line makes it.
    pub(crate) fn plan(arguments: &str) -> Plan {
        let words = std::iter::once("loadgen").chain(arguments.split_ascii_whitespace());
        Args::try_parse_from(words).unwrap().plan().unwrap()
    }

    #[test]
    fn connections_are_dealt_to_shards_in_turn() {
        for (connections, shards) in [(10, 3), (1, 4), (100_000, 6), (7, 7)] {
            let task = Task::new(plan(&format!("-c {connections}")), shards);
            let mut seen: Vec<u32> = (0..shards)
                .flat_map(|s| (0..task.connections_of(s)).map(move |l| (s, l)))
                .map(|(s, l)| task.global(s, l))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..connections).collect::<Vec<_>>());
        }
    }

    #[test]
    fn times_there_and_back() {
        let task = Task::new(plan("-c 1"), 1);
        assert!(task.nanos(Instant::now()) >= 1_000_000);
        assert_eq!(task.nanos(task.instant(12_345_678_901)), 12_345_678_901);
    }

    #[test]
    fn steps_by_their_numbers() {
        let notice = Notice::default();
        assert_eq!(notice.step(), Step::Waiting);
        for step in STEPS {
            notice.reach(step);
            assert_eq!(notice.step(), step);
        }
    }
}
