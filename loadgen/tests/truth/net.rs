//! A network in memory in virtual time, with a server of known manners at its other end.
//!
//! Its clock stands still while anybody works and goes from event to event when everybody sleeps:
//! nothing takes time but what a [`Manner`] says. So what the generator reports can be held against
//! a formula, to the width of a histogram's bucket.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plimsoll::conn::ConnectFault;
use plimsoll::shard::ConnId;
use plimsoll::shard::net::{Accepted, Net, Ready, Received, Sent, Source};
use plimsoll::wire::frame::{self, Header, MAX_HEADER, Opcode};
use plimsoll::wire::handshake::{head_end, parse_request, write_switching};
use plimsoll::wire::mask::{Level, Masker};

/// Longest sleep without an event: a mail would end a real one.
const NAP: Duration = Duration::from_millis(10);

/// One answer: when, on which connection, what.
pub(crate) struct Reply {
    pub(crate) at: Duration,
    pub(crate) line: usize,
    pub(crate) payload: Vec<u8>,
}

/// What a server does. Times count from the network's beginning.
pub(crate) trait Manner {
    /// When the server reads what is there for it at `now` on a connection: never before `now`.
    fn reads(&self, _line: usize, now: Duration) -> Duration {
        now
    }

    /// A message was read at `now`: its answers.
    fn answer(&mut self, line: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply>;

    /// How long a pong takes.
    fn pong(&self) -> Duration {
        Duration::ZERO
    }

    /// Bytes that a connection holds while the server does not read it.
    fn room(&self) -> usize {
        usize::MAX
    }
}

/// Both ends of a connection.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself, as in a real socket")]
struct Line {
    id: Option<ConnId>,
    reported: bool,
    /// Writability is to be reported: a connect that is decided, or room that came back.
    writable: bool,
    /// A write fell short.
    wants_room: bool,
    /// What the server sent and the generator has not read.
    inbox: Vec<u8>,
    /// The server's FIN.
    ended: bool,
    /// What the generator sent and the server has not read.
    unread: Vec<u8>,
    reading: bool,
    upgraded: bool,
    /// Fragments of a message so far.
    parts: Vec<u8>,
}

enum Event {
    /// Bytes come to the generator, and after them the end if this is it.
    Lands { line: usize, bytes: Vec<u8>, end: bool },
    /// The server turns to a connection.
    Reads { line: usize },
}

struct World<M> {
    base: Instant,
    now: Duration,
    manner: M,
    lines: Vec<Line>,
    events: BTreeMap<(Duration, u64), Event>,
    posted: u64,
    reports: Vec<usize>,
}

/// The network of one shard.
pub(crate) struct Virtual<M>(Rc<RefCell<World<M>>>);

/// A connection by its number.
pub(crate) struct Stream(usize);

impl<M: Manner> Virtual<M> {
    pub(crate) fn new(manner: M) -> Self {
        Self(Rc::new(RefCell::new(World {
            base: Instant::now(),
            now: Duration::ZERO,
            manner,
            lines: Vec::new(),
            events: BTreeMap::new(),
            posted: 0,
            reports: Vec::new(),
        })))
    }
}

impl<M: Manner> World<M> {
    fn post(&mut self, at: Duration, event: Event) {
        assert!(at >= self.now, "nothing happens in the past");
        self.posted += 1;
        self.events.insert((at, self.posted), event);
    }

    fn report(&mut self, line: usize) {
        if !std::mem::replace(&mut self.lines[line].reported, true) {
            self.reports.push(line);
        }
    }

    /// All that is due happens.
    fn happen(&mut self) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            match entry.remove() {
                Event::Lands { line, bytes, end } => {
                    self.lines[line].inbox.extend_from_slice(&bytes);
                    self.lines[line].ended |= end;
                    self.report(line);
                }
                Event::Reads { line } => {
                    self.lines[line].reading = false;
                    self.read(line);
                }
            }
        }
    }

    /// The server turns to a connection as soon as it reads.
    fn turn_to(&mut self, line: usize) {
        let at = self.manner.reads(line, self.now);
        if at <= self.now {
            self.read(line);
        } else if !std::mem::replace(&mut self.lines[line].reading, true) {
            self.post(at, Event::Reads { line });
        }
    }

    /// The server reads all that a connection holds.
    fn read(&mut self, line: usize) {
        if !self.lines[line].upgraded {
            return self.upgrade(line);
        }
        let bytes = std::mem::take(&mut self.lines[line].unread);
        let mut rest = bytes.as_slice();
        while let Some(header) =
            frame::decode(rest, true).expect("the generator's frames are right")
        {
            let (start, len) = (usize::from(header.size), header.len as usize);
            let Some(payload) = rest.get(start..start + len) else { break };
            let mut payload = payload.to_vec();
            rest = &rest[start + len..];
            Masker::with(Level::Scalar).expect("every CPU has it").apply(header.key, &mut payload);
            self.frame(line, &header, &payload);
        }
        self.lines[line].unread = rest.to_vec();
        if std::mem::take(&mut self.lines[line].wants_room) {
            self.lines[line].writable = true;
            self.report(line);
        }
    }

    fn upgrade(&mut self, line: usize) {
        let Some(end) = head_end(&self.lines[line].unread, 0) else { return };
        let head: Vec<u8> = self.lines[line].unread.drain(..end).collect();
        let mut bytes = Vec::new();
        let request = parse_request(&head).expect("the generator's request is right");
        write_switching(&mut bytes, &request.accept(), None);
        self.lines[line].upgraded = true;
        self.post(self.now, Event::Lands { line, bytes, end: false });
    }

    fn frame(&mut self, line: usize, header: &Header, payload: &[u8]) {
        let now = self.now;
        match header.opcode {
            Opcode::Ping => self.send(line, now + self.manner.pong(), Opcode::Pong, payload),
            Opcode::Close => {
                let bytes = framed(Opcode::Close, payload);
                self.post(now, Event::Lands { line, bytes, end: true });
            }
            Opcode::Pong => {}
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                self.lines[line].parts.extend_from_slice(payload);
                if header.fin {
                    let message = std::mem::take(&mut self.lines[line].parts);
                    for Reply { at, line, payload } in self.manner.answer(line, now, message) {
                        self.send(line, at, Opcode::Binary, &payload);
                    }
                }
            }
        }
    }

    fn send(&mut self, line: usize, at: Duration, opcode: Opcode, payload: &[u8]) {
        self.post(at, Event::Lands { line, bytes: framed(opcode, payload), end: false });
    }
}

/// A server's frame.
fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut head = [0; MAX_HEADER];
    let size = frame::encode(true, opcode, payload.len(), None, &mut head);
    [&head[..size], payload].concat()
}

impl<M: Manner> Net for Virtual<M> {
    type Stream = Stream;

    fn now(&self) -> Instant {
        let world = self.0.borrow();
        world.base + world.now
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        world.happen();
        if world.reports.is_empty() {
            let wake = until.map_or(Duration::MAX, |at| at.saturating_duration_since(world.base));
            let event = world.events.first_key_value().map_or(Duration::MAX, |(key, _)| key.0);
            world.now = wake.min(event).clamp(world.now, world.now + NAP);
            world.happen();
        }
        for line in std::mem::take(&mut world.reports) {
            let line = &mut world.lines[line];
            line.reported = false;
            let source = Source::Conn(line.id.expect("a line that is reported is registered"));
            let readable = !line.inbox.is_empty() || line.ended;
            let writable = std::mem::take(&mut line.writable);
            ready.push(Ready { source, readable, writable, hangup: line.ended });
        }
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn unlisten(&mut self) {}

    fn accept(&mut self) -> Accepted<Stream> {
        Accepted::Empty
    }

    fn connect(&mut self, _: SocketAddr, _: Option<IpAddr>) -> Result<Stream, ConnectFault> {
        let mut world = self.0.borrow_mut();
        world.lines.push(Line { writable: true, ..Line::default() });
        Ok(Stream(world.lines.len() - 1))
    }

    fn established(&mut self, _: &mut Stream) -> Result<(), ConnectFault> {
        Ok(())
    }

    fn register(&mut self, stream: &mut Stream, id: ConnId, _: bool) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        world.lines[stream.0].id = Some(id);
        world.report(stream.0);
        Ok(())
    }

    fn watch_writable(&mut self, _: &mut Stream, _: ConnId) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, stream: &mut Stream, direct: &mut [u8], shared: &mut [u8]) -> Received {
        let line = &mut self.0.borrow_mut().lines[stream.0];
        let first = direct.len().min(line.inbox.len());
        let second = shared.len().min(line.inbox.len() - first);
        direct[..first].copy_from_slice(&line.inbox[..first]);
        shared[..second].copy_from_slice(&line.inbox[first..first + second]);
        line.inbox.drain(..first + second);
        match first + second {
            0 if line.ended => Received::Eof,
            0 => Received::Blocked,
            n => Received::Bytes { n, drained: n < direct.len() + shared.len() },
        }
    }

    /// Takes what the connection has room for. A server that reads empties it at once.
    fn write(&mut self, stream: &mut Stream, parts: &[&[u8]]) -> Sent {
        let mut world = self.0.borrow_mut();
        let bytes = parts.concat();
        let (room, now) = (world.manner.room(), world.now);
        let reads = world.manner.reads(stream.0, now) <= now;
        let line = &mut world.lines[stream.0];
        let n =
            if reads { bytes.len() } else { bytes.len().min(room - line.unread.len().min(room)) };
        line.unread.extend_from_slice(&bytes[..n]);
        line.wants_room |= n < bytes.len();
        world.turn_to(stream.0);
        if n == 0 { Sent::Blocked } else { Sent::Bytes(n) }
    }

    fn finish(&mut self, _: &mut Stream) {}
}
