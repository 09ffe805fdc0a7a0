//! Drives one connection as a shard does, by the contract of `Conn` and nothing else.
//!
//! The unit tests, the two machines in virtual time and the fuzz targets all drive through here, so
//! that a rule of the contract stands in one place. Nothing in it asserts what a test is about.

// Each of the programs that include this file uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

use std::rc::Rc;
use std::time::Duration;

use super::conn::{
    Conn, Control, End, Event, Gear, Input, Kind, MAX_TAIL, Settings, Side, Step, Upgrade,
};
use super::wire::handshake::{parse_request, write_switching};

/// A request that the server accepts.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Bytes of one read. Smaller than the messages of the tests, so that they span reads.
pub(crate) const READ: usize = 20 * 1024;

/// The house's defaults, with a smaller message limit so that it is met.
pub(crate) fn settings(side: Side) -> Settings {
    Settings {
        side,
        max_message: 256 * 1024,
        max_pending: 64 * 1024,
        max_head: 8 * 1024,
        pong_queue: 16,
        frame_cost: 64,
        handshake_timeout: Duration::from_secs(10),
        ping_interval: Some(Duration::from_secs(25)),
        pong_timeout: Duration::from_secs(8),
        idle_timeout: None,
        close_timeout: Duration::from_secs(5),
    }
}

/// What an App was told, copied out.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Head,
    Opened,
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, data) = match self {
            Self::Head => return f.write_str("Head"),
            Self::Opened => return f.write_str("Opened"),
            Self::Text(data) => ("Text", data),
            Self::Binary(data) => ("Binary", data),
            Self::Ping(data) => ("Ping", data),
            Self::Pong(data) => ("Pong", data),
        };
        let shown = &data[..data.len().min(12)];
        write!(f, "{name}({} bytes: {})", data.len(), shown.escape_ascii())
    }
}

/// What the App does with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// Nothing.
    Listen,
    /// Sends it back from where it lies.
    Echo,
    /// Sends a copy of it.
    Copy,
}

/// One connection, its shard and its socket.
pub(crate) struct Rig {
    pub(crate) gear: Gear,
    pub(crate) conn: Conn,
    pub(crate) answer: Answer,
    /// Whether large payloads are read straight into their buffer.
    pub(crate) direct: bool,
    pub(crate) seen: Vec<Seen>,
    /// What the socket took.
    pub(crate) sent: Vec<u8>,
    /// How often the shard was told to shut the writing side down.
    pub(crate) shuts: usize,
    /// Whether the shard was told to close the socket.
    pub(crate) close: bool,
    buffer: Vec<u8>,
}

impl Rig {
    /// A server that has read nothing.
    pub(crate) fn server(settings: Settings) -> Self {
        let mut gear = Gear::new(settings, Some(7));
        let conn = Conn::server(&mut gear);
        Self::of(gear, conn)
    }

    /// A client that has asked for the upgrade.
    pub(crate) fn client(settings: Settings) -> Self {
        let mut gear = Gear::new(settings, Some(11));
        let upgrade = Upgrade { host: "a".into(), target: "/".into(), ..Upgrade::default() };
        let conn = Conn::client(Rc::new(upgrade), &mut gear);
        let mut rig = Self::of(gear, conn);
        rig.conn.ask(&mut rig.gear);
        rig.flush(&mut usize::MAX.clone());
        rig
    }

    fn of(gear: Gear, conn: Conn) -> Self {
        Self {
            gear,
            conn,
            answer: Answer::Echo,
            direct: true,
            seen: Vec::new(),
            sent: Vec::new(),
            shuts: 0,
            close: false,
            buffer: vec![0; MAX_TAIL + READ],
        }
    }

    /// Either side with the handshake behind it and nothing recorded.
    pub(crate) fn open(settings: Settings) -> Self {
        let mut rig = if settings.side == Side::Server {
            let mut rig = Self::server(settings);
            rig.feed(REQUEST);
            rig
        } else {
            let mut rig = Self::client(settings);
            let accept = parse_request(&rig.sent).unwrap().accept();
            let mut answer = Vec::new();
            write_switching(&mut answer, &accept, None);
            rig.feed(&answer);
            rig
        };
        assert!(rig.conn.is_open(), "the handshake of the rig");
        rig.seen.clear();
        rig.sent.clear();
        rig
    }

    /// Turns until all of `bytes` are read, with a socket that takes everything.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.turns(bytes, &mut usize::MAX.clone());
    }

    /// Turns until all of `bytes` are read, with a socket that takes `room` bytes more.
    pub(crate) fn turns(&mut self, bytes: &[u8], room: &mut usize) {
        let mut rest = bytes;
        loop {
            let n = self.read(rest);
            rest = &rest[n..];
            self.flush(room);
            self.obey();
            if rest.is_empty() {
                return;
            }
        }
    }

    /// The reading half of one turn: takes some of what arrived and shows the App what is in it.
    pub(crate) fn read(&mut self, arrived: &[u8]) -> usize {
        let Self { gear, conn, buffer, direct, seen, answer, .. } = self;
        let (n, range) = if let Some(room) = conn.direct(gear).filter(|_| *direct) {
            let n = room.len().min(arrived.len());
            room[..n].copy_from_slice(&arrived[..n]);
            conn.received(n, gear);
            (n, MAX_TAIL..MAX_TAIL)
        } else {
            let kept = conn.restore_tail(&mut buffer[..MAX_TAIL], gear);
            let n = arrived.len().min(READ);
            buffer[MAX_TAIL..][..n].copy_from_slice(&arrived[..n]);
            (n, MAX_TAIL - kept..MAX_TAIL + n)
        };
        if n > 0 {
            conn.heard(gear);
        }
        let at = range.start;
        let mut input = Input::new(&mut buffer[range], at);
        while let Some(event) = conn.next(&mut input, gear) {
            handle(event, conn, gear, *answer, seen);
        }
        assert!(input.rest().is_empty(), "what is left over is kept or void");
        n
    }

    /// The writing half of one turn: what is owed first, then the stage; `room` shrinks by what the
    /// socket takes.
    pub(crate) fn flush(&mut self, room: &mut usize) {
        let Self { gear, conn, sent, buffer, .. } = self;
        if conn.owes() {
            conn.settle(0, buffer, gear);
        } else {
            let written = take(gear.stage.slices(buffer), sent, room);
            conn.settle(written, buffer, gear);
        }
        self.pay(room);
    }

    /// Writes what is owed, as when the socket is writable again.
    pub(crate) fn pay(&mut self, room: &mut usize) {
        while self.conn.owes() {
            let n = take(self.conn.owed(), &mut self.sent, room);
            self.conn.paid(n, &mut self.gear);
            if *room == 0 {
                return;
            }
        }
    }

    /// Does to the socket what the connection says.
    pub(crate) fn obey(&mut self) {
        match self.conn.step(&self.gear) {
            Step::Stay => {}
            Step::Finish => self.shuts += 1,
            Step::Close => self.close = true,
        }
    }

    /// Lets `wait` pass and looks at the deadline, as the wheel would.
    pub(crate) fn pass(&mut self, wait: Duration) {
        let ticks = u32::try_from(wait.as_millis() / 250).unwrap();
        self.gear.now.0 += ticks;
        self.conn.handle_deadline(&mut self.gear);
        self.flush(&mut usize::MAX.clone());
        self.obey();
    }

    /// Ends the connection and gives the reason with the shard's tools.
    pub(crate) fn end(self) -> (End, Gear) {
        let Self { mut gear, conn, .. } = self;
        let end = conn.end(&mut gear);
        (end, gear)
    }
}

fn handle(event: Event<'_>, conn: &mut Conn, gear: &mut Gear, how: Answer, seen: &mut Vec<Seen>) {
    match event {
        Event::Head(head) => {
            seen.push(Seen::Head);
            match parse_request(&head) {
                Ok(request) => conn.accept(&request.accept(), None, gear),
                Err(refusal) => conn.refuse(&refusal, gear),
            }
        }
        Event::Opened => seen.push(Seen::Opened),
        Event::Message(mut message) => {
            let payload = message.payload().to_vec();
            let mut sender = conn.sender(gear);
            match how {
                Answer::Listen => {}
                Answer::Echo => {
                    sender.echo(&mut message);
                }
                Answer::Copy => {
                    sender.send(message.kind(), message.payload());
                }
            }
            seen.push(match message.kind() {
                Kind::Text => Seen::Text(payload),
                Kind::Binary => Seen::Binary(payload),
            });
            message.reclaim(&mut gear.pool);
        }
        Event::Control(Control::Ping(data)) => seen.push(Seen::Ping(data.to_vec())),
        Event::Control(Control::Pong(data)) => seen.push(Seen::Pong(data.to_vec())),
    }
}

fn take<'a>(slices: impl Iterator<Item = &'a [u8]>, sent: &mut Vec<u8>, room: &mut usize) -> usize {
    let before = sent.len();
    for slice in slices {
        let n = slice.len().min(*room);
        sent.extend_from_slice(&slice[..n]);
        *room -= n;
    }
    sent.len() - before
}
