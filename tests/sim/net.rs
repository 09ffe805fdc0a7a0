//! The simulated [`Net`] of one shard, and the clockwork that runs several shards in one thread.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use plimsoll::conn::ConnectFault;
use plimsoll::shard::net::{Accepted, Net, Ready, Received, Sent, Source};
use plimsoll::shard::{App, ConnId, Reactor};

use super::world::Shared;

/// What a turn costs, so that time passes for whoever never sleeps.
const TURN: Duration = Duration::from_micros(20);

/// Turns of one run before it counts as going round in circles.
const MOST_TURNS: usize = 400_000;

/// One shard's view of the world. Its waker is a real one: mail wakes it as it does in earnest.
pub(crate) struct SimNet {
    world: Shared,
    shard: usize,
    mail: Poll,
    events: Events,
}

impl SimNet {
    /// The net of shard `shard`, and the waker for its mailbox.
    pub(crate) fn new(world: &Shared, shard: usize) -> (Self, Waker) {
        let mail = Poll::new().unwrap();
        let waker = Waker::new(mail.registry(), Token(0)).unwrap();
        let events = Events::with_capacity(1);
        (Self { world: Shared::clone(world), shard, mail, events }, waker)
    }
}

/// One end of a connection, closed when it is dropped.
pub(crate) struct Stream {
    world: Shared,
    half: usize,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.world.borrow_mut().close(self.half);
    }
}

impl Net for SimNet {
    type Stream = Stream;

    fn now(&self) -> Instant {
        self.world.borrow().instant()
    }

    /// Collects what is ready. With nothing to report it fails with `WouldBlock`: a real poll would
    /// sleep here, and the clockwork takes the turn up again when it would have been woken.
    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
        self.mail.poll(&mut self.events, Some(Duration::ZERO))?;
        if !self.events.is_empty() {
            let source = Source::Mail;
            ready.push(Ready { source, readable: true, writable: false, hangup: false });
        }
        let mut world = self.world.borrow_mut();
        world.collect(self.shard, ready);
        let until = until.map(|at| world.since(at));
        if ready.is_empty() && until.is_none_or(|at| at > world.now) {
            world.sleeping.insert(self.shard, until);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        self.world.borrow_mut().listen(self.shard);
        Ok(())
    }

    fn unlisten(&mut self) {
        self.world.borrow_mut().unlisten(self.shard);
    }

    fn accept(&mut self) -> Accepted<Stream> {
        match self.world.borrow_mut().accept(self.shard) {
            Err(()) => Accepted::Full,
            Ok(None) => Accepted::Empty,
            Ok(Some(half)) => {
                let stream = Stream { world: Shared::clone(&self.world), half };
                Accepted::One(stream, Ipv4Addr::LOCALHOST.into())
            }
        }
    }

    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<Stream, ConnectFault> {
        let half = self.world.borrow_mut().connect(Some(self.shard));
        let half = half.map_err(|()| ConnectFault::OpenFileLimit)?;
        Ok(Stream { world: Shared::clone(&self.world), half })
    }

    fn established(&mut self, stream: &mut Stream) -> Result<(), ConnectFault> {
        let connected = self.world.borrow().is_connected(stream.half);
        if connected { Ok(()) } else { Err(ConnectFault::Refused) }
    }

    fn register(&mut self, stream: &mut Stream, id: ConnId, writable: bool) -> io::Result<()> {
        self.world.borrow_mut().watch(stream.half, id, writable);
        Ok(())
    }

    fn watch_writable(&mut self, stream: &mut Stream, id: ConnId) -> io::Result<()> {
        self.world.borrow_mut().watch(stream.half, id, true);
        Ok(())
    }

    fn read(&mut self, stream: &mut Stream, direct: &mut [u8], shared: &mut [u8]) -> Received {
        let room = direct.len() + shared.len();
        match self.world.borrow_mut().read(stream.half, &mut [direct, shared]) {
            Ok(Some(0)) => Received::Eof,
            Ok(Some(n)) => Received::Bytes { n, drained: n < room },
            Ok(None) => Received::Blocked,
            Err(()) => Received::Failed("connection reset by the peer"),
        }
    }

    fn write(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Sent {
        match self.world.borrow_mut().write(stream.half, &parts.concat()) {
            Some(0) => Sent::Blocked,
            Some(n) => Sent::Bytes(n),
            None => Sent::Failed("connection closed by the peer"),
        }
    }

    fn finish(&mut self, stream: &mut Stream) {
        self.world.borrow_mut().shut(stream.half);
    }
}

/// A shard whatever its App.
pub(crate) trait Turn {
    fn turn(&mut self) -> io::Result<bool>;
}

impl<A: App> Turn for Reactor<SimNet, A> {
    fn turn(&mut self) -> io::Result<bool> {
        Reactor::turn(self)
    }
}

/// Runs all shards until `done`, each when a real poll would have woken it. `act` plays the peers
/// that are no shards, whenever something has changed. Gives the turns it took.
pub(crate) fn run(
    world: &Shared,
    shards: &mut [&mut dyn Turn],
    mut act: impl FnMut(&Shared),
    mut done: impl FnMut(&Shared) -> bool,
) -> usize {
    let mut turns = 0;
    loop {
        world.borrow_mut().land();
        act(world);
        if done(world) {
            return turns;
        }
        let mut ran = false;
        for (shard, reactor) in shards.iter_mut().enumerate() {
            world.borrow_mut().sleeping.remove(&shard);
            match reactor.turn() {
                Ok(_) => ran = true,
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "{e}"),
            }
        }
        let mut world = world.borrow_mut();
        if ran {
            turns += 1;
            world.now += TURN;
            assert!(turns < MOST_TURNS, "going round in circles at {:?}", world.now);
            continue;
        }
        let alarm = world.sleeping.values().flatten().min().copied();
        let next = [alarm, world.next_arrival()].into_iter().flatten().min();
        let now = world.now;
        let next = next.unwrap_or_else(|| panic!("a stall at {now:?}: everybody sleeps"));
        world.now = next.max(now);
    }
}
