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

#[path = "support/turn.rs"]
mod turn;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::mask::Masker;
use turn::{LOADS, Load, Shard};

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

/// A read and its turn: the bytes that are written.
fn echo_of(shard: &mut Shard, arrived: &[u8]) -> usize {
    shard.fill(arrived);
    shard.turn()
}

fn echo(c: &mut Criterion) {
    let mut group = c.benchmark_group("echo");
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
    group.sample_size(20);
    for load in LOADS {
        let bytes = load.bytes();
        let mut shard = Shard::new(Masker::detect());
        assert_eq!(echo_of(&mut shard, &bytes), naive_turn(&bytes), "both answer alike");
        group.throughput(Throughput::Elements(load.messages as u64));
        group.bench_function(BenchmarkId::new("conn", load.name), |b| {
            b.iter(|| echo_of(&mut shard, black_box(&bytes)));
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
        let mut shard = Shard::new(Masker::detect());
        group.throughput(Throughput::Elements(load.messages as u64));
        group.bench_function(BenchmarkId::new("conn", load.name), |b| {
            b.iter(|| bytes.chunks(1000).map(|piece| echo_of(&mut shard, piece)).sum::<usize>());
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
