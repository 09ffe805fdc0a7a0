//! One shard of the generator over a network of the caller's making, led by hand through the steps
//! of a run: for instruction counts, where each turn must be the same every time.
//!
//! It starts no thread, opens no connection, and knows no time but its network's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mio::{Poll, Token, Waker};
use plimsoll::conn::Tally;
use plimsoll::shard::{Counters, Net, Place, Post, Reactor};

use crate::cli::Plan;
use crate::progress::LiveCell;
use crate::run::spec;
use crate::schedule::Nanos;
use crate::workload::{Mail, Route, Step, Task, Times, Workload};

/// Turns that connecting may take for each connection.
const TURNS: u32 = 10;

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
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9001));
        let start = self.now();
        let route = Route { to, host: to.to_string(), sources: vec![None], start };
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
        let start = self.now();
        let to = start + self.task.plan.duration.as_nanos() as Nanos;
        let (members, senders) = (vec![members], vec![members]);
        let times = Times { start, from: start, to, until: to, members, senders };
        self.tell(Mail::Start(Arc::new(times)))
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
