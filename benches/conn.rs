//! Frames and whole echoes without sockets: header decode, then a connection's read turn from the
//! bytes that a read gave to the bytes that one write takes. `cargo bench --bench conn`.
//!
//! Beside each stands the naive way, which any of these must beat to be worth its lines: one frame
//! after the other, a byte at a time, into a fresh buffer.
//!
//! How it may mislead: no system call, no other connection, everything in cache, and one length
//! over and over. Both ways pay the same copy first: it stands for the kernel's, and unmasking in
//! place needs fresh bytes each time.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll::conn::{Conn, Event, Gear, Input, MAX_TAIL, Side};
use plimsoll::limits;
use plimsoll::shard::default_settings;
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::handshake::parse_request;
use plimsoll::wire::mask::Key;

const KEY: Key = Key([0x37, 0xfa, 0x21, 0x3d]);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What one read brings.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    opcode: Opcode,
    /// Bytes of one message.
    size: usize,
    messages: usize,
    /// Frames of one message.
    fragments: usize,
}

const LOADS: [Load; 9] = [
    Load { name: "binary/20", opcode: Opcode::Binary, size: 20, messages: 1, fragments: 1 },
    Load { name: "binary/125", opcode: Opcode::Binary, size: 125, messages: 1, fragments: 1 },
    Load { name: "text/125", opcode: Opcode::Text, size: 125, messages: 1, fragments: 1 },
    Load { name: "binary/1024", opcode: Opcode::Binary, size: 1024, messages: 1, fragments: 1 },
    Load { name: "binary/16384", opcode: Opcode::Binary, size: 16384, messages: 1, fragments: 1 },
    Load { name: "text/16384", opcode: Opcode::Text, size: 16384, messages: 1, fragments: 1 },
    Load { name: "16x20", opcode: Opcode::Binary, size: 20, messages: 16, fragments: 1 },
    Load { name: "16x125", opcode: Opcode::Binary, size: 125, messages: 16, fragments: 1 },
    Load { name: "4-fragments/4096", opcode: Opcode::Text, size: 4096, messages: 1, fragments: 4 },
];

impl Load {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.messages {
            for fragment in 0..self.fragments {
                let last = fragment + 1 == self.fragments;
                let opcode = if fragment == 0 { self.opcode } else { Opcode::Continuation };
                let len = self.size / self.fragments;
                let mut header = [0; MAX_HEADER];
                let size = frame::encode(last, opcode, len, Some(KEY), &mut header);
                bytes.extend_from_slice(&header[..size]);
                bytes.extend((0..len).map(|i| (b'a' + (i % 26) as u8) ^ KEY.0[i % 4]));
            }
        }
        bytes
    }
}

/// A server's connection past its handshake, with its shard's tools and read buffer.
struct Shard {
    conn: Conn,
    gear: Gear,
    buffer: Vec<u8>,
}

impl Shard {
    fn new() -> Self {
        let settings = default_settings(Side::Server);
        let gear = Gear::new(settings, Some(1));
        let conn = Conn::server(&gear);
        let mut shard = Self { conn, gear, buffer: vec![0; MAX_TAIL + limits::READ_BUFFER] };
        shard.turn(REQUEST);
        assert!(shard.conn.is_open(), "the handshake is right");
        shard
    }

    /// One read turn; gives the bytes that it would write.
    fn turn(&mut self, arrived: &[u8]) -> usize {
        let Self { conn, gear, buffer } = self;
        buffer[MAX_TAIL..][..arrived.len()].copy_from_slice(arrived);
        conn.heard(gear);
        let start = MAX_TAIL - conn.restore_tail(&mut buffer[..MAX_TAIL], gear);
        let mut input = Input::new(&mut buffer[start..MAX_TAIL + arrived.len()], start);
        while let Some(event) = conn.next(&mut input, gear) {
            match event {
                Event::Message(mut message) => {
                    conn.sender(gear).echo(&mut message);
                    message.reclaim(&mut gear.pool);
                }
                Event::Head(head) => {
                    let accept = parse_request(&head).expect("a right request").accept();
                    conn.accept(&accept, None, gear);
                }
                _ => {}
            }
        }
        for slice in gear.stage.slices(buffer) {
            black_box(slice);
        }
        let written = gear.stage.len();
        conn.settle(written, buffer, gear);
        black_box(conn.step(gear));
        written
    }
}

/// Headers byte by byte, payloads byte by byte, every answer into a new buffer.
fn naive_turn(arrived: &[u8]) -> usize {
    let bytes = arrived.to_vec();
    let mut rest = &bytes[..];
    let mut answer = Vec::new();
    let mut message = Vec::new();
    let mut kind = 0;
    while !rest.is_empty() {
        let (first, short) = (rest[0], usize::from(rest[1] & 0x7f));
        let (len, at) = match short {
            126 => (usize::from(rest[2]) << 8 | usize::from(rest[3]), 4),
            short => (short, 2),
        };
        let key = &rest[at..at + 4];
        let payload = &rest[at + 4..at + 4 + len];
        message.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        rest = &rest[at + 4 + len..];
        if first & 0x0f != 0 {
            kind = first & 0x0f;
        }
        if first & 0x80 == 0 {
            continue;
        }
        if kind == 1 {
            assert!(std::str::from_utf8(&message).is_ok(), "the text of the bench is good");
        }
        answer.push(0x80 | kind);
        if message.len() < 126 {
            answer.push(message.len() as u8);
        } else {
            answer.push(126);
            answer.extend((message.len() as u16).to_be_bytes());
        }
        answer.append(&mut message);
    }
    black_box(answer).len()
}

fn echo(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
    group.sample_size(20);
    for load in LOADS {
        let bytes = load.bytes();
        let mut shard = Shard::new();
        assert_eq!(shard.turn(&bytes), naive_turn(&bytes), "both answer alike");
        group.throughput(Throughput::Elements(load.messages as u64));
        group.bench_function(BenchmarkId::new("conn", load.name), |b| {
            b.iter(|| shard.turn(black_box(&bytes)));
        });
        group.bench_function(BenchmarkId::new("naive", load.name), |b| {
            b.iter(|| naive_turn(black_box(&bytes)));
        });
    }
}

/// The same bytes in reads of 1000 bytes: tails, half messages, buffers.
fn cut(c: &mut Criterion) {
    let mut group = c.benchmark_group("cut into 1000 bytes");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
    group.sample_size(20);
    for load in LOADS.into_iter().filter(|load| load.size * load.messages > 1000) {
        let bytes = load.bytes();
        let mut shard = Shard::new();
        group.throughput(Throughput::Elements(load.messages as u64));
        group.bench_function(BenchmarkId::new("conn", load.name), |b| {
            b.iter(|| bytes.chunks(1000).map(|piece| shard.turn(piece)).sum::<usize>());
        });
    }
}

/// A walk over the headers of 16 pipelined frames of many lengths.
fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("header");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
    group.sample_size(20);
    let sizes = [20, 125, 126, 5, 1000, 0, 64, 300, 7, 125, 2000, 33, 90, 126, 12, 65];
    let mut bytes = Vec::new();
    for size in sizes {
        bytes.extend(Load { size, ..LOADS[0] }.bytes());
    }
    group.throughput(Throughput::Elements(sizes.len() as u64));
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut rest = black_box(&bytes[..]);
            let mut sum = 0;
            while let Ok(Some(header)) = frame::decode(rest, true) {
                sum += header.len;
                rest = &rest[usize::from(header.size) + header.len as usize..];
            }
            sum
        });
    });
    group.bench_function("encode", |b| {
        b.iter(|| {
            let mut out = [0; MAX_HEADER];
            sizes.map(|size| {
                black_box(frame::encode(true, Opcode::Binary, size, None, black_box(&mut out)))
            })
        });
    });
}

criterion_group!(benches, headers, echo, cut);
criterion_main!(benches);
