//! Drives one connection as a shard does, over a socket of bytes: reads cut anywhere, writes taken
//! in part. What it saw is compared with the same bytes in one piece and a peer that takes all.

use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use plimsoll::conn::{
    Conn, Control, Event, Gear, Input, Kind, MAX_TAIL, Settings, Side, Step, Upgrade,
};
use plimsoll::wire::close::CloseCode;
use plimsoll::wire::frame::{Opcode, decode};
use plimsoll::wire::handshake::{parse_request, write_switching};
use plimsoll::wire::mask::Masker;

const MAX_MESSAGE: usize = 1 << 17;
const MAX_PENDING: usize = 1 << 16;

/// How the bytes reach the connection, and how they leave it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way<'a> {
    /// Sizes of the reads, in turn and from the start again; none: one read.
    pub(crate) reads: &'a [u8],
    /// Bytes the peer takes of each write, likewise; none: all.
    pub(crate) writes: &'a [u8],
    /// Whether large payloads are received straight into their buffers.
    pub(crate) direct: bool,
}

/// An event: what it is, and its bytes.
pub(crate) type Told = (&'static str, Vec<u8>);

/// What was seen of a connection.
#[derive(PartialEq, Eq, Debug, Default)]
pub(crate) struct Seen {
    /// Each event with its payload.
    pub(crate) events: Vec<Told>,
    /// Every byte that left.
    pub(crate) sent: Vec<u8>,
    /// Why it ended.
    pub(crate) end: String,
}

/// A frame that left: opcode and payload, unmasked.
type Sent = (Opcode, Vec<u8>);

/// Runs the stream whole, cut, and cut with a slow peer, and demands one story of all three.
pub(crate) fn compare(side: Side, stream: &[u8], way: Way<'_>) -> Seen {
    let whole = run(side, stream, Way::default());
    let cut = run(side, stream, Way { writes: &[], ..way });
    assert!(cut == whole, "cut as {way:?}: {cut:#?}\nwhole: {whole:#?}");

    let slow = run(side, stream, way);
    assert_eq!(slow.events, whole.events, "events of a slow peer, {way:?}");
    assert_eq!(slow.end, whole.end, "end of a slow peer, {way:?}");
    let (all, some) = (frames(side, &whole.sent), frames(side, &slow.sent));
    let is_pong = |frame: &&Sent| frame.0 == Opcode::Pong;
    assert!(
        all.iter().filter(|f| !is_pong(f)).eq(some.iter().filter(|f| !is_pong(f))),
        "a slow peer gets every frame but pongs"
    );
    let mut pongs = all.iter().filter(is_pong);
    for pong in some.iter().filter(is_pong) {
        assert!(pongs.any(|p| p == pong), "pongs of a slow peer are answers, in order");
    }
    //# RFC 6455 5.5.1: The application MUST NOT send any more data frames after sending a Close
    //# frame. 5.5.2: [a Pong is owed] unless it already received a Close frame.
    let began = slow.events.iter().any(|(_, bytes)| bytes == b"bye");
    for sent in [&all, &some] {
        let close = sent.iter().position(|f| f.0 == Opcode::Close).unwrap_or(sent.len());
        let after = &sent[(close + 1).min(sent.len())..];
        assert!(after.iter().all(|f| began && is_pong(&f)), "after a close frame: {after:?}");
    }
    slow
}

/// What follows the handshake in what one side sent, frame by frame.
fn frames(side: Side, sent: &[u8]) -> Vec<Sent> {
    let start = sent.windows(4).position(|w| w == b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
    let mut rest = &sent[start..];
    let mut out = Vec::new();
    if sent.starts_with(b"HTTP/1.1 ") && !sent.starts_with(b"HTTP/1.1 101 ") {
        return out;
    }
    while !rest.is_empty() {
        let masked = side == Side::Client;
        let header = decode(rest, masked).expect("we send right frames").expect("whole ones");
        let (payload, later) = rest[usize::from(header.size)..].split_at(header.len as usize);
        let mut unmasked = payload.to_vec();
        Masker::detect().apply(header.key, &mut unmasked);
        out.push((header.opcode, unmasked));
        rest = later;
    }
    out
}

/// Bounds that a stream of a megabyte reaches.
fn settings(side: Side) -> Settings {
    Settings {
        side,
        max_message: MAX_MESSAGE,
        max_pending: MAX_PENDING,
        max_head: 1024,
        pong_queue: 4,
        frame_cost: 64,
        handshake_timeout: Duration::from_secs(10),
        ping_interval: None,
        pong_timeout: Duration::from_secs(8),
        idle_timeout: None,
        close_timeout: Duration::from_secs(5),
    }
}

/// A right opening handshake of the peer. The nonce of a client is that of the driver's seed.
pub(crate) fn peers_head(side: Side) -> Vec<u8> {
    static HEADS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let [request, answer] = HEADS.get_or_init(|| {
        let mut asked = Drive::new(Side::Client, Way::default());
        asked.ask();
        let request = parse_request(&asked.seen.sent).expect("our request is right");
        let mut answer = Vec::new();
        write_switching(&mut answer, &request.accept(), None);
        [asked.seen.sent, answer]
    });
    let of_peer = if side == Side::Server { request } else { answer };
    of_peer.clone()
}

/// The whole life of one connection.
fn run(side: Side, stream: &[u8], way: Way<'_>) -> Seen {
    let mut drive = Drive::new(side, way);
    if side == Side::Client {
        drive.ask();
    }
    let mut rest = stream;
    let mut closed = false;
    while !rest.is_empty() && !closed {
        let n = next_size(way.reads, &mut drive.read, rest.len());
        let (piece, later) = rest.split_at(n);
        rest = later;
        drive.turn(piece);
        closed = drive.conn.step(&drive.gear) == Step::Close;
    }
    drive.pay(0);
    if !closed {
        drive.conn.handle_eof();
    }
    drive.finish()
}

/// The next size of a cycle: 1 to 200 bytes, or some thousands. Of much it is not too little: the
/// work stays near linear.
fn next_size(sizes: &[u8], at: &mut usize, most: usize) -> usize {
    let Some(size) = sizes.get(*at % sizes.len().max(1)) else { return most };
    *at += 1;
    let size = usize::from(*size);
    let size = if size < 200 { size + 1 } else { (size - 199) * 1000 };
    size.max(most / 512).min(most)
}

struct Drive<'a> {
    conn: Conn,
    gear: Gear,
    way: Way<'a>,
    read: usize,
    written: usize,
    fed: usize,
    seen: Seen,
}

impl<'a> Drive<'a> {
    fn new(side: Side, way: Way<'a>) -> Self {
        let mut gear = Gear::new(settings(side), Some(1));
        let upgrade = Upgrade { host: "a".into(), target: "/echo".into(), ..Upgrade::default() };
        let conn = match side {
            Side::Server => Conn::server(&mut gear),
            Side::Client => Conn::client(Rc::new(upgrade), &mut gear),
        };
        Self { conn, gear, way, read: 0, written: 0, fed: 0, seen: Seen::default() }
    }

    fn ask(&mut self) {
        self.conn.ask(&mut self.gear);
        self.write(&[]);
    }

    /// One read of the shard and all that follows from it.
    fn turn(&mut self, mut piece: &[u8]) {
        self.fed += piece.len();
        if self.way.direct
            && let Some(room) = self.conn.direct(&mut self.gear)
        {
            let n = room.len().min(piece.len());
            let (straight, rest) = piece.split_at(n);
            room[..n].copy_from_slice(straight);
            self.conn.received(n, &mut self.gear);
            piece = rest;
        }
        let mut buffer = vec![0; MAX_TAIL];
        let start = MAX_TAIL - self.conn.restore_tail(&mut buffer, &mut self.gear);
        buffer.extend_from_slice(piece);
        self.conn.heard(&self.gear);
        let mut input = Input::new(&mut buffer[start..], start);
        while let Some(event) = self.conn.next(&mut input, &mut self.gear) {
            let told = react(event, &mut self.conn, &mut self.gear);
            self.seen.events.push(told);
        }
        let void = self.conn.step(&self.gear) == Step::Close;
        assert!(input.rest().is_empty() || void, "input is interpreted, kept or void");
        self.write(&buffer);
        self.check_budget();
    }

    fn write(&mut self, input: &[u8]) {
        let staged = self.gear.stage.slices(input).collect::<Vec<_>>().concat();
        assert_eq!(staged.len(), self.gear.stage.len());
        let owed = self.conn.owes();
        let most = staged.len();
        let n = if owed { 0 } else { next_size(self.way.writes, &mut self.written, most) };
        self.seen.sent.extend_from_slice(&staged[..n]);
        self.conn.settle(n, input, &mut self.gear);
        assert!(self.gear.stage.is_empty(), "a turn leaves nothing staged");
        if owed {
            self.pay_once();
        }
        self.pay(MAX_PENDING);
    }

    /// Pays until no more than `rest` bytes are owed: over the mark a shard stops reading.
    fn pay(&mut self, rest: usize) {
        while self.conn.pending() > rest {
            self.pay_once();
        }
    }

    fn pay_once(&mut self) {
        let owed = self.conn.owed().map(<[u8]>::len).sum();
        assert_eq!(owed, self.conn.pending());
        let n = next_size(self.way.writes, &mut self.written, owed);
        let mut left = n;
        for slice in self.conn.owed() {
            let taken = &slice[..left.min(slice.len())];
            self.seen.sent.extend_from_slice(taken);
            left -= taken.len();
        }
        self.conn.paid(n, &mut self.gear);
    }

    /// Memory follows what was received and what is owed, not what was promised. A buffer is up to
    /// four times what it must hold, reads ahead as much again, and a free one is used for a
    /// promise whatever its size.
    fn check_budget(&self) {
        let received = self.fed.min(MAX_MESSAGE);
        let bound = 8 * (received + self.conn.pending()) + 4 * MAX_MESSAGE;
        let held = self.gear.buffered();
        assert!(held <= bound, "{held} bytes held, {bound} allowed");
        if self.fed < 4096 {
            assert!(held < 1 << 17, "{held} bytes held for {} received", self.fed);
        }
    }

    fn finish(mut self) -> Seen {
        self.seen.end = format!("{:?}", self.conn.end(&mut self.gear));
        assert_eq!(self.gear.buffered(), 0, "every buffer is given back once");
        self.seen
    }
}

/// The App: echoes, closes at "bye", and accepts every right request.
fn react(event: Event<'_>, conn: &mut Conn, gear: &mut Gear) -> Told {
    match event {
        Event::Head(head) => match parse_request(&head) {
            Ok(request) => {
                conn.accept(&request.accept(), request.protocols().last(), gear);
                ("head", head.to_vec())
            }
            Err(refusal) => {
                conn.refuse(&refusal, gear);
                ("refused", head.to_vec())
            }
        },
        Event::Opened => ("opened", Vec::new()),
        Event::Message(mut message) => {
            let bytes = message.payload().to_vec();
            let kind = match message.kind() {
                Kind::Text => "text",
                Kind::Binary => "binary",
            };
            assert!(kind == "binary" || std::str::from_utf8(&bytes).is_ok(), "text is UTF-8");
            if bytes == b"bye" {
                conn.sender(gear).close(CloseCode::NORMAL, "you said so");
            } else {
                conn.sender(gear).echo(&mut message);
            }
            message.reclaim(&mut gear.pool);
            (kind, bytes)
        }
        Event::Control(Control::Ping(data)) => ("ping", data.to_vec()),
        Event::Control(Control::Pong(data)) => ("pong", data.to_vec()),
    }
}
