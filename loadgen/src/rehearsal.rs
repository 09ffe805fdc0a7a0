//! One shard of the generator over a network of the caller's making, led by hand through the steps
//! of a run: for instruction counts, where each turn must be the same every time, and for tests
//! that hold a whole run in virtual time against what it must measure.
//!
//! It starts no thread, opens no connection, and knows no time but its network's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mio::{Poll, Token, Waker};
use plimsoll::conn::Tally;
use plimsoll::shard::{Counters, Net, Place, Post, Reactor};

use crate::cli::Plan;
use crate::measure::{Outcome, PhaseResult, Phases};
use crate::progress::LiveCell;
use crate::run::{add_up, spec};
use crate::schedule::Nanos;
use crate::workload::{Destination, Mail, Route, Step, Task, Times, Workload};

/// Turns that connecting may take for each connection: with naps of 10 ms a server may sleep 10 s.
const TURNS: u32 = 1000;

/// From the mail to the first send, so that none is late.
const HEAD_START: Nanos = 20_000_000;

/// Turns in which the network's clock may stand still: far more than there are events at once.
const STANDSTILL: u32 = 1_000_000;

/// The masks' keys are the same in each rehearsal.
const SEED: u64 = 1;

/// A shard of the generator and what stands around it.
pub struct Rehearsal<N: Net> {
    reactor: Reactor<N, Workload>,
    task: Arc<Task>,
    post: Post<Mail>,
    cells: Arc<[LiveCell]>,
    /// The waker's; nobody sleeps on it.
    _poll: Poll,
}

impl<N: Net> Rehearsal<N> {
    /// All of the plan's connections on one shard. Nothing is sent yet.
    pub fn new(plan: Plan, net: N) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), Token(0))?;
        let spec = spec(&plan, 1, plan.connections as usize);
        let post = Post::new(spec.mailbox, vec![waker]);
        let cells: Arc<[LiveCell]> = [LiveCell::default()].into();
        // Each look at the network's clock is later, so no time is 0.
        let epoch = net.now();
        let task = Arc::new(Task { epoch, ..Task::new(plan, 1) });
        let workload = Workload::new(Arc::clone(&task), 0, Arc::clone(&cells));
        let counters = [Counters::default()].into();
        let place = Place { index: 0, post: post.clone(), counters, blocks: Tally::default() };
        let reactor = Reactor::new(net, workload, spec.settings, spec.limits, place, Some(SEED));
        Ok(Self { reactor, task, post, cells, _poll: poll })
    }

    /// Connects everybody and fixes the schedule, without a warm-up. From then on
    /// [`Rehearsal::turn`] sends and receives.
    ///
    /// # Errors
    /// When the network does not connect them all.
    pub fn begin(&mut self) -> io::Result<()> {
        let members = self.connect()?;
        let start = self.now();
        let to = start + self.task.plan.duration.as_nanos() as Nanos;
        let all = || vec![members];
        let (members, senders, leavers) = (all(), all(), all());
        let times = Times { start, from: start, to, until: to, members, senders, leavers };
        self.tell(Mail::Start(Arc::new(times)))
    }

    /// The whole run as the plan has it, by the network's clock: from the first connect through
    /// warm-up and drain to the last close. Nothing watches the machine meanwhile.
    ///
    /// # Errors
    /// When the network does not connect them all, or time stands still in it.
    pub fn perform(mut self) -> io::Result<Outcome> {
        self.connect()?;
        let start = self.now() + HEAD_START;
        let times = Times::of(&self.task.plan, start, &self.task.board);
        let phases = Phases {
            connect: Duration::ZERO,
            warmup: self.task.plan.warmup,
            measure: self.task.plan.duration,
        };
        self.tell(Mail::Start(Arc::new(times)))?;
        self.turn_until(Step::Drained)?;
        self.tell(Mail::Close)?;
        self.turn_until(Step::Closed)?;
        let rate_requested = self.task.plan.mean_rate();
        let task = Arc::clone(&self.task);
        let sum = add_up(vec![self.reactor.finish()]);
        let lasts = phases.measure;
        let phase_results = PhaseResult::of(&task.plan, &sum.tally, &sum.timeline, lasts);
        Ok(Outcome {
            target: "in virtual time".to_owned(),
            rate_requested,
            phase_results,
            phases,
            ..sum
        })
    }

    fn turn_until(&mut self, step: Step) -> io::Result<()> {
        let (mut seen, mut idle) = (self.now(), 0);
        while self.task.board[0].step() < step {
            self.turn()?;
            let now = self.now();
            idle = if now > seen { 0 } else { idle + 1 };
            seen = now;
            if idle > STANDSTILL {
                return Err(io::Error::other("the network's clock stands still"));
            }
        }
        Ok(())
    }

    /// Connects everybody: how many there are.
    fn connect(&mut self) -> io::Result<u32> {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9001));
        let start = self.now();
        let server = Destination { to, host: to.to_string(), sources: vec![None] };
        let servers = vec![server; self.task.servers.len()];
        let route = Route { servers, start };
        self.tell(Mail::Dial(Arc::new(route)))?;
        let members = self.task.plan.connections;
        for _ in 0..TURNS * members {
            if self.task.board[0].step() == Step::Ready {
                break;
            }
            self.turn()?;
        }
        if self.cells[0].connected.get() != u64::from(members) {
            return Err(io::Error::other("the network has not connected everybody"));
        }
        Ok(members)
    }

    /// One turn of the loop.
    pub fn turn(&mut self) -> io::Result<bool> {
        self.reactor.turn()
    }

    /// Replies that were received.
    pub fn received(&self) -> u64 {
        self.cells[0].received.get()
    }

    fn now(&self) -> Nanos {
        self.task.nanos(self.reactor.net().now())
    }

    fn tell(&mut self, mail: Mail) -> io::Result<()> {
        self.post.send(0, mail).map_err(|_| io::Error::other("the mailbox is full"))?;
        self.turn().map(|_| ())
    }
}
