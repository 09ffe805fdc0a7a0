//! Masks, frame headers, and whole echoes of one connection without a shard around it.

use std::hint::black_box;

use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::mask::{Key, Level, Masker};
use plimsoll::wire::utf8::Utf8;

use crate::memory::aside;
use crate::turn::{KEY, LOADS, Load, Shard};
use crate::{Bench, Work};

const LEVELS: [(&str, Level); 3] =
    [("scalar", Level::Scalar), ("sse2", Level::Sse2), ("avx2", Level::Avx2)];
/// Under 32 bytes no level makes a difference.
const LENGTHS: [usize; 3] = [125, 1024, 16384];

/// Header lengths of all kinds, small ones most.
const FRAMES: [usize; 16] =
    [20, 125, 126, 5, 1000, 0, 64, 300, 7, 125, 2000, 33, 90, 126, 12, 70_000];

pub(crate) fn benches() -> Vec<Bench> {
    let mut benches = vec![mask("mask/short/20".into(), Level::Scalar, 20)];
    for (name, level) in LEVELS.into_iter().filter(|(_, level)| Masker::with(*level).is_some()) {
        for len in LENGTHS {
            benches.push(mask(format!("mask/{name}/{len}"), level, len));
            benches.push(mask_text(format!("mask-text/{name}/{len}"), level, len));
        }
    }
    benches.push(Bench::new("frame/decode", decode));
    benches.push(Bench::new("frame/encode", encode));
    // The best that callgrind can run, and any such CPU has.
    let level = if Masker::with(Level::Avx2).is_some() { Level::Avx2 } else { Level::Scalar };
    benches.extend(LOADS.into_iter().map(|load| echo(load, level)));
    benches
}

fn mask(name: String, level: Level, len: usize) -> Bench {
    Bench::new(name, move || {
        let masker = Masker::with(level).unwrap();
        let mut data = vec![b'a'; len];
        Work::new(1, move || masker.apply(black_box(KEY), black_box(&mut data)))
    })
}

/// Zero is a key that leaves the text what it is, turn after turn.
fn mask_text(name: String, level: Level, len: usize) -> Bench {
    Bench::new(name, move || {
        let masker = Masker::with(level).unwrap();
        let mut data = vec![b'a'; len];
        Work::new(1, move || {
            let mut utf8 = Utf8::default();
            let outcome =
                masker.apply_text(black_box(Key([0; 4])), black_box(&mut data), &mut utf8);
            assert!(outcome.is_ok(), "ASCII is UTF-8");
        })
    })
}

fn decode() -> Work {
    let frames = FRAMES.map(|size| Load { size, ..LOADS[0] }.bytes()).concat();
    Work::new(FRAMES.len() as u32, move || {
        let mut rest = black_box(&frames[..]);
        while let Ok(Some(header)) = frame::decode(rest, true) {
            rest = &rest[usize::from(header.size) + black_box(header).len as usize..];
        }
        assert!(rest.is_empty(), "whole frames");
    })
}

fn encode() -> Work {
    Work::new(FRAMES.len() as u32, move || {
        let mut out = [0; MAX_HEADER];
        for size in FRAMES {
            black_box(frame::encode(true, Opcode::Binary, size, None, black_box(&mut out)));
        }
    })
}

fn echo(load: Load, level: Level) -> Bench {
    Bench::new(format!("conn/{}", load.name), move || {
        let mut shard = Shard::new(Masker::with(level).unwrap());
        let bytes = load.bytes();
        Work::new(load.messages as u32, move || {
            aside(|| shard.fill(&bytes));
            black_box(shard.turn());
        })
    })
}
