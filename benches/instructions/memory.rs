//! A network in memory with a clock of its own: nothing in it differs from one run to the next.
//!
//! What it does in a poll, a read and a write is left out of the count, as is what [`aside`] is
//! given elsewhere. A look at the clock is counted, with a few instructions: one look more than
//! there was is to be seen, though the real clock's own are not in it.
//!
//! The clock begins a tenth of a second after a full one and must not reach the next: a carry
//! between seconds and nanoseconds is a few instructions more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use plimsoll::conn::ConnectFault;
use plimsoll::shard::net::{Accepted, Ready, Received, Sent, Source};
use plimsoll::shard::{ConnId, Net};
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::handshake::{parse_request, write_switching};
use plimsoll::wire::mask::{Level, Masker};

/// What one look at the clock takes.
const LOOK: Duration = Duration::from_nanos(25);
/// What one poll takes.
const TURN: Duration = Duration::from_micros(1);
/// What a poll without a report takes at most.
const NAP: Duration = Duration::from_micros(100);

/// Who is at the other end of every line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Takes everything and says nothing.
    Silent,
    /// Answers the handshake, echoes messages, answers pings.
    Echo,
}

#[derive(Default)]
struct Line {
    id: Option<ConnId>,
    /// What the peer has said and nobody has read.
    inbox: Vec<u8>,
    /// Writability is to be reported too: a connect that is decided.
    fresh: bool,
    reported: bool,
    open: bool,
}

struct Desk {
    now: Instant,
    peer: Peer,
    /// Connections that wait to be accepted.
    callers: VecDeque<usize>,
    lines: Vec<Line>,
    reports: Vec<usize>,
    taken: u64,
}

/// The network of one shard. Clones are the same network.
#[derive(Clone)]
pub(crate) struct Memory(Rc<RefCell<Desk>>);

/// A connection by its number.
pub(crate) struct Stream(usize);

/// Leaves `work` out of the count: the script takes the calls of this function, with all that they
/// call, off what was collected.
#[inline(never)]
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// A moment a tenth of a second after a full one, and past: what the generator times by the real
/// clock, its connects, takes no time at all then.
fn noon() -> Instant {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every system has it");
    let since_full = Duration::from_nanos(now.tv_nsec() as u64);
    let past = Instant::now().checked_sub(since_full + Duration::from_millis(900));
    past.expect("the machine runs for two seconds")
}

impl Memory {
    pub(crate) fn new(peer: Peer) -> Self {
        let (lines, reports, callers) = (Vec::new(), Vec::new(), VecDeque::new());
        Self(Rc::new(RefCell::new(Desk { now: noon(), peer, callers, lines, reports, taken: 0 })))
    }

    /// One more peer connects, and says `head`: its number.
    pub(crate) fn call(&self, head: &[u8]) -> usize {
        let mut desk = self.0.borrow_mut();
        let line = desk.lines.len();
        desk.lines.push(Line { inbox: head.to_vec(), ..Line::default() });
        desk.callers.push_back(line);
        line
    }

    /// The peer of a line says something.
    pub(crate) fn say(&self, line: usize, bytes: &[u8]) {
        self.0.borrow_mut().say(line, bytes);
    }

    /// Bytes written to all peers since the last time.
    pub(crate) fn taken(&self) -> u64 {
        std::mem::take(&mut self.0.borrow_mut().taken)
    }
}

impl Desk {
    fn say(&mut self, line: usize, bytes: &[u8]) {
        self.lines[line].inbox.extend_from_slice(bytes);
        self.report(line);
    }

    fn report(&mut self, line: usize) {
        if !std::mem::replace(&mut self.lines[line].reported, true) {
            self.reports.push(line);
        }
    }

    fn answer(&mut self, line: usize, bytes: &[u8]) {
        if !std::mem::replace(&mut self.lines[line].open, true) {
            let request = parse_request(bytes).expect("the generator's request is right");
            let mut head = Vec::new();
            write_switching(&mut head, &request.accept(), None);
            return self.say(line, &head);
        }
        let masker = Masker::with(Level::Scalar).expect("every CPU has it");
        let mut rest = bytes;
        while let Some(header) =
            frame::decode(rest, true).expect("the generator's frames are right")
        {
            let (start, len) = (usize::from(header.size), header.len as usize);
            let mut payload = rest[start..start + len].to_vec();
            rest = &rest[start + len..];
            masker.apply(header.key, &mut payload);
            let opcode = if header.opcode == Opcode::Ping { Opcode::Pong } else { header.opcode };
            let mut head = [0; MAX_HEADER];
            let size = frame::encode(header.fin, opcode, len, None, &mut head);
            self.say(line, &head[..size]);
            self.say(line, &payload);
        }
        assert!(rest.is_empty(), "whole frames in one write");
    }
}

impl Net for Memory {
    type Stream = Stream;

    fn now(&self) -> Instant {
        let mut desk = self.0.borrow_mut();
        desk.now += LOOK;
        desk.now
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
        aside(|| {
            let mut desk = self.0.borrow_mut();
            let Desk { now, lines, reports, callers, .. } = &mut *desk;
            *now += TURN;
            if !callers.is_empty() {
                let source = Source::Listener;
                ready.push(Ready { source, readable: true, writable: false, hangup: false });
            }
            for line in reports.drain(..) {
                let line = &mut lines[line];
                line.reported = false;
                let source = Source::Conn(line.id.expect("a line that speaks is registered"));
                let (readable, writable) = (!line.inbox.is_empty(), line.fresh);
                line.fresh = false;
                ready.push(Ready { source, readable, writable, hangup: false });
            }
            if ready.is_empty() {
                // A mail would wake a real poll, so it never sleeps long here.
                *now = until.unwrap_or(*now).clamp(*now, *now + NAP);
            }
            Ok(())
        })
    }

    fn listen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn unlisten(&mut self) {}

    fn accept(&mut self) -> Accepted<Stream> {
        let line = self.0.borrow_mut().callers.pop_front();
        line.map_or(Accepted::Empty, |line| {
            Accepted::One(Stream(line), IpAddr::from(Ipv4Addr::LOCALHOST))
        })
    }

    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<Stream, ConnectFault> {
        let mut desk = self.0.borrow_mut();
        desk.lines.push(Line { fresh: true, ..Line::default() });
        Ok(Stream(desk.lines.len() - 1))
    }

    fn established(&mut self, _: &mut Stream) -> Result<(), ConnectFault> {
        Ok(())
    }

    fn register(&mut self, stream: &mut Stream, id: ConnId, _: bool) -> io::Result<()> {
        let mut desk = self.0.borrow_mut();
        desk.lines[stream.0].id = Some(id);
        if desk.lines[stream.0].fresh || !desk.lines[stream.0].inbox.is_empty() {
            desk.report(stream.0);
        }
        Ok(())
    }

    fn watch_writable(&mut self, _: &mut Stream, _: ConnId) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, stream: &mut Stream, direct: &mut [u8], shared: &mut [u8]) -> Received {
        aside(|| {
            let inbox = &mut self.0.borrow_mut().lines[stream.0].inbox;
            let first = direct.len().min(inbox.len());
            let second = shared.len().min(inbox.len() - first);
            direct[..first].copy_from_slice(&inbox[..first]);
            shared[..second].copy_from_slice(&inbox[first..first + second]);
            inbox.drain(..first + second);
            match first + second {
                0 => Received::Blocked,
                n => Received::Bytes { n, drained: n < direct.len() + shared.len() },
            }
        })
    }

    fn write(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Sent {
        aside(|| {
            let mut desk = self.0.borrow_mut();
            let n: usize = parts.iter().map(|part| part.len()).sum();
            desk.taken += n as u64;
            if desk.peer == Peer::Echo {
                desk.answer(stream.0, &parts.concat());
            }
            Sent::Bytes(n)
        })
    }

    fn finish(&mut self, _: &mut Stream) {}
}
