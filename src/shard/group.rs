//! Starting shards: threads, cores, private descriptor tables, listeners; and waiting for them.
//!
//! A descriptor table is copied as it is at that instant. So nothing is opened between the moment
//! every poll and waker exists and the moment the last table has parted: [`Launch`] is the barrier
//! for that, one for all groups of the process. Then each shard closes what it does not own, wakers
//! excepted.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};

use core_affinity::CoreId;
use mio::{Poll, Waker};

use super::app::App;
use super::counters::Counters;
use super::mailbox::{Command, Post};
use super::net::Net;
use super::os;
use super::reactor::{Limits, Place, Reactor};
use super::sockets::{MAIL, SocketOptions, Sockets};
use crate::conn::{Settings, Tally};

/// The barrier at which descriptor tables part. Made for a number of shards, all groups together.
#[derive(Clone, Debug)]
pub struct Launch(Arc<Parting>);

#[derive(Debug)]
struct Parting {
    gate: Gate,
    failed: AtomicBool,
    copies: Mutex<Vec<RawFd>>,
}

/// A barrier that can be called off, so that a thread that could not be spawned strands nobody.
#[derive(Debug)]
struct Gate {
    size: usize,
    /// How many arrived, over all rounds; `None` once it is called off.
    arrived: Mutex<Option<usize>>,
    moved: Condvar,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all have arrived in this round; false if it was called off.
    fn pass(&self) -> bool {
        let mut arrived = self.lock();
        let Some(count) = &mut *arrived else { return false };
        *count += 1;
        let round_ends = count.next_multiple_of(self.size);
        self.moved.notify_all();
        while arrived.is_some_and(|count| count < round_ends) {
            arrived = self.moved.wait(arrived).unwrap_or_else(PoisonError::into_inner);
        }
        arrived.is_some()
    }

    fn call_off(&self) {
        *self.lock() = None;
        self.moved.notify_all();
    }
}

impl Launch {
    /// For exactly so many shards; they all wait until the last of them is spawned.
    pub fn new(shards: usize) -> Self {
        Self(Arc::new(Parting {
            gate: Gate { size: shards, arrived: Mutex::new(Some(0)), moved: Condvar::new() },
            failed: AtomicBool::new(false),
            copies: Mutex::new(Vec::new()),
        }))
    }

    /// On a shard's thread: waits for all, parts, closes what is not this shard's. False if the
    /// launch was called off.
    fn part(&self, own: RawFd) -> bool {
        if !self.0.gate.pass() {
            return false;
        }
        let parted = os::part_tables();
        if parted.is_err() {
            self.0.failed.store(true, Ordering::Release);
        }
        if !self.0.gate.pass() {
            return false;
        }
        if parted.is_ok() && os::close_others(own).is_err() {
            tracing::debug!("no /proc: descriptors of other shards stay open in this one's table");
        }
        true
    }

    /// Whether each shard has a descriptor table of its own: known once [`Group::ready`] returned.
    /// If not, the limit of open files holds for all of them together.
    pub fn parted(&self) -> bool {
        !self.0.failed.load(Ordering::Acquire)
    }

    /// Lets every shard that waits end: one of them could not be spawned.
    pub fn call_off(&self) {
        self.0.gate.call_off();
    }

    /// On the starting thread, once the shards run: closes its copies of their polls.
    fn close_copies(&self) {
        let copies =
            std::mem::take(&mut *self.0.copies.lock().unwrap_or_else(PoisonError::into_inner));
        if self.parted() {
            os::close_copies(&copies);
        } else {
            tracing::warn!(
                "private descriptor tables are not to be had here: the open-file limit holds for \
                 all shards together"
            );
        }
    }
}

/// What a group of shards is to be.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Threads are named `NAME-0`, `NAME-1`, ...
    pub name: String,
    /// How many.
    pub shards: usize,
    /// Whether each is bound to a core of the process's affinity mask.
    pub pin: bool,
    /// What each connection lives under.
    pub settings: Settings,
    /// What each loop lives under.
    pub limits: Limits,
    /// How sockets are made. Port 0 lets the system choose one for all shards.
    pub sockets: SocketOptions,
    /// Mails that one mailbox holds.
    pub mailbox: usize,
    /// Makes masks repeatable.
    pub seed: Option<u64>,
}

/// Running shards.
#[derive(Debug)]
pub struct Group<A: App> {
    threads: Vec<JoinHandle<io::Result<A::Outcome>>>,
    post: Post<A::Mail>,
    counters: Arc<[Counters]>,
    blocks: Tally,
    launch: Launch,
    started: Receiver<io::Result<Option<SocketAddr>>>,
}

/// What the first shard tells the others: the address it bound, or that it could not.
type Bound = OnceLock<Option<SocketAddr>>;

impl<A: App + 'static> Group<A> {
    /// Spawns the threads. They begin once every shard of the launch is spawned; the App of each is
    /// made on its own thread, by number.
    pub fn spawn<F>(spec: &Spec, launch: &Launch, make: F) -> io::Result<Self>
    where
        F: Fn(usize) -> A + Send + Sync + 'static,
    {
        Self::spawn_over(spec, launch, make, |sockets| sockets)
    }

    /// The same over a network that `over` makes of each shard's sockets, on its thread.
    pub fn spawn_over<F, W, N>(spec: &Spec, launch: &Launch, make: F, over: W) -> io::Result<Self>
    where
        F: Fn(usize) -> A + Send + Sync + 'static,
        W: Fn(Sockets) -> N + Send + Sync + 'static,
        N: Net,
    {
        Self::try_spawn(spec, launch, make, over).inspect_err(|_| launch.call_off())
    }

    fn try_spawn<F, W, N>(spec: &Spec, launch: &Launch, make: F, over: W) -> io::Result<Self>
    where
        F: Fn(usize) -> A + Send + Sync + 'static,
        W: Fn(Sockets) -> N + Send + Sync + 'static,
        N: Net,
    {
        let polls: Vec<Poll> = (0..spec.shards).map(|_| Poll::new()).collect::<io::Result<_>>()?;
        let wakers = polls
            .iter()
            .map(|poll| Waker::new(poll.registry(), MAIL))
            .collect::<io::Result<_>>()?;
        let numbers = polls.iter().map(AsRawFd::as_raw_fd);
        launch.0.copies.lock().unwrap_or_else(PoisonError::into_inner).extend(numbers);
        let post = Post::new(spec.mailbox, wakers);
        let blocks = Tally::default();
        let counters: Arc<[Counters]> = (0..spec.shards).map(|_| Counters::default()).collect();
        let cores = if spec.pin { core_affinity::get_core_ids() } else { None };
        let (tell, started) = channel();
        let shared = Arc::new((make, over, Bound::new()));
        let mut threads = Vec::with_capacity(spec.shards);
        for (index, poll) in polls.into_iter().enumerate() {
            let core = cores.as_ref().filter(|c| !c.is_empty()).map(|c| c[index % c.len()]);
            let (counters, blocks) = (Arc::clone(&counters), blocks.clone());
            let place = Place { index, post: post.clone(), counters, blocks };
            let name = format!("{}-{index}", spec.name);
            let (spec, tell, launch_of_thread) = (spec.clone(), tell.clone(), launch.clone());
            let shared = Arc::clone(&shared);
            let body = move || {
                if !launch_of_thread.part(poll.as_raw_fd()) {
                    return Err(io::Error::other("the launch was called off"));
                }
                let (make, over, bound) = &*shared;
                pin(core);
                let sockets = bind(poll, &spec, place.index, bound);
                let address = sockets.as_ref().ok().and_then(Sockets::address);
                let started = sockets.and_then(|sockets| start(over(sockets), make, &spec, place));
                run(started, address, &tell)
            };
            threads.push(Builder::new().name(name).spawn(body)?);
        }
        let launch = launch.clone();
        Ok(Self { threads, post, counters, blocks, launch, started })
    }

    /// Waits until every shard runs. The address that is listened on, if any.
    pub fn ready(&self) -> io::Result<Option<SocketAddr>> {
        let mut address = None;
        let mut outcome = Ok(());
        for _ in &self.threads {
            match self.started.recv() {
                Ok(Ok(bound)) => address = address.or(bound),
                // The first shard's error is the cause, the others' only that it had one.
                Ok(Err(e)) if e.kind() == io::ErrorKind::Other => outcome = outcome.and(Err(e)),
                Ok(Err(e)) => outcome = Err(e),
                Err(_) => {
                    outcome = outcome.and(Err(io::Error::other("a shard ended at its start")));
                }
            }
        }
        self.launch.close_copies();
        if outcome.is_err() {
            self.post.command(Command::Stop);
        }
        outcome.map(|()| address)
    }

    /// The way to every shard.
    pub fn post(&self) -> &Post<A::Mail> {
        &self.post
    }

    /// Every shard's counters.
    pub fn counters(&self) -> &Arc<[Counters]> {
        &self.counters
    }

    /// The count of bytes that blocks hold on all shards.
    pub fn blocks(&self) -> &Tally {
        &self.blocks
    }

    /// Whether every shard has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for every shard to end, and gives what their Apps made.
    pub fn join(self) -> io::Result<Vec<A::Outcome>> {
        let ended = |thread: JoinHandle<_>| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a shard panicked")))
        };
        self.threads.into_iter().map(ended).collect()
    }
}

fn pin(core: Option<CoreId>) {
    if let Some(core) = core
        && !core_affinity::set_for_current(core)
    {
        tracing::warn!(core = core.id, "could not pin a shard to its core");
    }
}

/// On the shard's thread: its sockets.
fn bind(poll: Poll, spec: &Spec, index: usize, bound: &Bound) -> io::Result<Sockets> {
    let sockets = sockets(poll, spec, index, bound);
    if index == 0 {
        // Whatever came of it, the others wait for it.
        let _ = bound.set(sockets.as_ref().ok().and_then(Sockets::address));
    }
    sockets
}

/// On the shard's thread: listener, App.
fn start<N: Net, A: App>(
    net: N,
    make: &impl Fn(usize) -> A,
    spec: &Spec,
    place: Place<A::Mail>,
) -> io::Result<Reactor<N, A>> {
    let index = place.index;
    let seed = spec.seed.map(|seed| seed.wrapping_add(index as u64));
    let (settings, limits) = (spec.settings.clone(), spec.limits.clone());
    let mut reactor = Reactor::new(net, make(index), settings, limits, place, seed);
    reactor.listen()?;
    Ok(reactor)
}

/// The first shard binds, and so finds the port; the others bind the same address after it.
fn sockets(poll: Poll, spec: &Spec, index: usize, bound: &Bound) -> io::Result<Sockets> {
    let mut options = spec.sockets.clone();
    if options.listen.is_some() && index > 0 {
        options.listen = *bound.wait();
        if options.listen.is_none() {
            return Err(io::Error::other("the first shard could not listen"));
        }
    }
    let mut sockets = Sockets::new(poll, options)?;
    if index == 0 {
        sockets.bind_first()?;
    }
    Ok(sockets)
}

fn run<N: Net, A: App>(
    started: io::Result<Reactor<N, A>>,
    address: Option<SocketAddr>,
    tell: &Sender<io::Result<Option<SocketAddr>>>,
) -> io::Result<A::Outcome> {
    match started {
        Ok(reactor) => {
            // Nobody waits any more when the group was dropped: the shard runs on until it is told.
            let _ = tell.send(Ok(address));
            reactor.run()
        }
        Err(e) => {
            let kind = e.kind();
            let _ = tell.send(Err(e));
            Err(io::Error::new(kind, "this shard did not start"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_all_through_round_after_round_or_none() {
        let launch = Launch::new(3);
        let pass = |times: usize| {
            let launch = launch.clone();
            std::thread::spawn(move || (0..times).filter(|_| launch.0.gate.pass()).count())
        };
        let all = [pass(4), pass(4), pass(4)].map(|thread| thread.join().unwrap());
        assert_eq!(all, [4, 4, 4]);
        let stranded = [pass(1), pass(1)];
        launch.call_off();
        assert_eq!(stranded.map(|thread| thread.join().unwrap()), [0, 0]);
    }
}
