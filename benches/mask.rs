//! Unmasking, 2 B to 64 MiB: each body, the naive loop and the roofline.
//! `cargo bench --bench mask`; `--bench mask_targets` has the ratios that are quoted,
//! `benches/peers` the masks of others.
//!
//! How it may mislead: one length over and over lets the branch predictor learn it, so the group
//! `random` counts for small frames.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

mod packed;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use packed::{Lengths, Packed};
use plimsoll::wire::frame;
use plimsoll::wire::mask::{Key, Level, Masker, roofline};

const SIZES: [usize; 13] =
    [2, 8, 20, 64, 125, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20, 16 << 20, 64 << 20];

fn naive(data: &mut [u8], key: Key) {
    for (i, byte) in data.iter_mut().enumerate() {
        *byte ^= key.0[i % 4];
    }
}

/// Each body of this CPU, then everything that it is measured against.
fn in_place(c: &mut Criterion, name: &str, lengths: &[Lengths]) {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(700));
    group.sample_size(20);
    for &lengths in lengths {
        let mut packed = Packed::new(lengths);
        let mut bytes = 0;
        packed.walk(|payload, _| bytes += payload.len() as u64);
        group.throughput(Throughput::Bytes(bytes));
        let mut case = |name: &str, work: &mut dyn FnMut(&mut Packed)| {
            group.bench_function(BenchmarkId::new(name, lengths), |b| b.iter(|| work(&mut packed)));
        };
        for masker in Level::ALL.into_iter().filter_map(Masker::with) {
            case(&format!("{:?}", masker.level()), &mut |packed| {
                packed.walk(|payload, key| masker.apply(key, payload));
            });
        }
        case("naive", &mut |packed| _ = packed.walk(naive));
        case("roofline", &mut |packed| _ = packed.walk(|payload, _| roofline::invert(payload)));
    }
}

fn sizes(c: &mut Criterion) {
    in_place(c, "mask", &SIZES.map(Lengths::Fixed));
}

fn random(c: &mut Criterion) {
    in_place(c, "mask/random", &[Lengths::Random]);
}

fn alignments(c: &mut Criterion) {
    let masker = Masker::detect();
    let mut group = c.benchmark_group("mask/alignment");
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(200));
    group.sample_size(10);
    for len in [64, 1024] {
        for alignment in 0..64 {
            let mut packed = Packed::aligned(len, alignment);
            group.throughput(Throughput::Elements(packed.frames() as u64));
            group.bench_function(BenchmarkId::new(len.to_string(), alignment), |b| {
                b.iter(|| packed.walk(|payload, key| masker.apply(key, payload)));
            });
        }
    }
}

/// The way of a frame through floor 0: decode the header, unmask the payload, go on behind it.
fn with_header(c: &mut Criterion) {
    let masker = Masker::detect();
    let mut group = c.benchmark_group("header and mask");
    for len in [20, 125, 1024] {
        let mut packed = Packed::new(Lengths::Fixed(len));
        group.throughput(Throughput::Elements(packed.frames() as u64));
        group.bench_function(Lengths::Fixed(len).to_string(), |b| {
            b.iter(|| {
                let mut rest = packed.wire();
                while let Ok(Some(header)) = frame::decode(rest, true) {
                    let size = usize::from(header.size);
                    let (bytes, after) = rest.split_at_mut(size + header.len as usize);
                    masker.apply(header.key, &mut bytes[size..]);
                    rest = after;
                }
                assert!(rest.is_empty());
            });
        });
    }
}

fn copies(c: &mut Criterion) {
    let masker = Masker::detect();
    let key = Key([1, 2, 3, 4]);
    let mut group = c.benchmark_group("copy");
    for len in [125, 1 << 10, 4 << 10, 16 << 10] {
        let from = vec![b'x'; len];
        let mut to = vec![0; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("fused", len), |b| {
            b.iter(|| masker.copy(black_box(key), black_box(&from), &mut to));
        });
        group.bench_function(BenchmarkId::new("memcpy then mask", len), |b| {
            b.iter(|| {
                to.copy_from_slice(black_box(&from));
                masker.apply(black_box(key), black_box(&mut to));
            });
        });
    }
}

criterion_group!(benches, sizes, random, alignments, with_header, copies);
criterion_main!(benches);
