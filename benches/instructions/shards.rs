//! Whole shards over a network in memory: the server's echo and its rooms, and the generator.

use std::sync::Arc;
use std::time::Instant;

use clap::Parser as _;
use loadgen::cli::Args;
use loadgen::rehearsal::Rehearsal;
use mio::{Poll, Token, Waker};
use plimsoll::conn::{Side, Tally};
use plimsoll::hub::{Common, Hub};
use plimsoll::limits;
use plimsoll::shard::{Counters, Limits, Place, Post, Reactor, default_settings};
use plimsoll::wire::frame::Opcode;

use crate::memory::{Memory, Peer};
use crate::turn::Load;
use crate::{Bench, Work};

/// Connections that speak in one turn.
const SPEAKERS: u32 = 64;
const MEMBERS: u32 = 1000;

pub(crate) fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for (name, size, messages) in
        [("20", 20, 1), ("16x20", 20, 16), ("1024", 1024, 1), ("16384", 16_384, 1)]
    {
        benches.push(Bench::new(format!("shard/{name}"), move || echo(size, messages)));
    }
    for (name, messages) in [("1000", 1), ("1000-16x", 16)] {
        benches.push(Bench::new(format!("fan-out/{name}"), move || fan_out(messages)));
    }
    for (name, arguments) in [
        ("closed", "--size 125"),
        ("closed-16", "--size 125 --pipeline 16"),
        ("closed-1024", "--size 1024"),
        ("closed-text", "--size 125 --text"),
        ("verify", "--size 125 --verify"),
        ("fragments", "--size 1024 --fragments 4"),
        ("open", "--size 125 --rate 1000000"),
        ("open-poisson", "--size 125 --rate 1000000 --arrival poisson"),
    ] {
        benches.push(Bench::new(format!("generator/{name}"), move || generator(arguments)));
    }
    benches
}

/// A message of a client; the key is the same each time, the work too.
fn message(size: usize, messages: usize) -> Vec<u8> {
    Load { name: "", opcode: Opcode::Binary, size, messages, fragments: 1 }.bytes()
}

/// The server's shard with so many connections open on a path.
fn server(path: &str, connections: u32) -> (Reactor<Memory, Hub>, Memory, Poll) {
    let net = Memory::new(Peer::Silent);
    let poll = Poll::new().unwrap();
    let waker = Waker::new(poll.registry(), Token(0)).unwrap();
    let common = Arc::new(Common::new(1, Vec::new(), Vec::new(), None));
    let hub = Hub::new(0, 1, common, Instant::now(), Box::new(|_| ()));
    let limits = Limits {
        group_connections: usize::MAX,
        shard_connections: usize::MAX,
        buffered: limits::MAX_BUFFERED,
        addresses: None,
        pings: None,
        accepts_per_turn: limits::ACCEPTS_PER_TURN,
        mails_per_turn: limits::ACCEPTS_PER_TURN,
        read_buffer: limits::READ_BUFFER,
    };
    let counters: Arc<[Counters]> = [Counters::default()].into();
    let post = Post::new(1, vec![waker]);
    let place = Place { index: 0, post, counters: Arc::clone(&counters), blocks: Tally::default() };
    let settings = default_settings(Side::Server);
    let mut reactor = Reactor::new(net.clone(), hub, settings, limits, place, Some(1));
    reactor.listen().unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    for _ in 0..connections {
        net.call(head.as_bytes());
        // One to accept it, one to read what it asks for.
        (0..2).for_each(|_| assert!(reactor.turn().unwrap()));
    }
    assert_eq!(counters[0].open.get(), u64::from(connections), "everybody is in");
    net.taken();
    (reactor, net, poll)
}

fn echo(size: usize, messages: usize) -> Work {
    let (mut reactor, net, poll) = server("/echo", SPEAKERS);
    let bytes = message(size, messages);
    Work::new(SPEAKERS * messages as u32, move || {
        crate::memory::aside(|| {
            (0..SPEAKERS as usize).for_each(|line| net.say(line, &bytes));
        });
        reactor.turn().unwrap();
        crate::memory::aside(|| {
            // Without its key each answer is 4 bytes shorter.
            let answers = SPEAKERS as usize * (bytes.len() - 4 * messages);
            assert_eq!(net.taken(), answers as u64, "everybody is answered");
            let _ = &poll;
        });
    })
}

/// One delivery is an operation: a message to one member.
fn fan_out(messages: usize) -> Work {
    const SIZE: usize = 64;
    let (mut reactor, net, poll) = server("/broadcast/bench", MEMBERS);
    let bytes = message(SIZE, messages);
    let deliveries = MEMBERS * messages as u32;
    Work::new(deliveries, move || {
        crate::memory::aside(|| net.say(0, &bytes));
        let mut taken = 0;
        while taken < u64::from(deliveries) * (SIZE as u64 + 2) {
            reactor.turn().unwrap();
            taken += crate::memory::aside(|| net.taken());
        }
        let _ = &poll;
    })
}

/// One operation is a message sent, answered and measured.
fn generator(arguments: &str) -> Work {
    const MESSAGES: u32 = 1024;
    let net = Memory::new(Peer::Echo);
    let words = format!("loadgen --connections {SPEAKERS} --duration 10s {arguments}");
    let plan = Args::parse_from(words.split(' ')).plan().unwrap();
    let mut shard = Rehearsal::new(plan, net).unwrap();
    shard.begin().unwrap();
    let mut answered = 0;
    Work::new(MESSAGES, move || {
        answered += u64::from(MESSAGES);
        while shard.received() < answered {
            shard.turn().unwrap();
        }
    })
}
