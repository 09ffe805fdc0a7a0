//! Frames as a read leaves them: packed header to payload, so that payloads begin anywhere.
//!
//! How it may mislead: the lengths of one plan come back each time the plan does, and a branch
//! predictor learns some thousands of them. So random lengths have many plans over one buffer,
//! which stays in the first-level cache while the lengths go on changing.
#![allow(dead_code, reason = "each benchmark takes its part")]

pub(crate) mod ratios;

use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::mask::Key;

/// Bytes of a buffer of small frames: they stay in a first-level cache of 32 KiB.
const SMALL: usize = 24 * 1024;
/// Plans of random lengths: about 150,000 frames before one comes back.
const PLANS: usize = 512;

/// A generator of test data: xorshift64, Marsaglia 2003.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// One frame of a plan: bytes of its header and payload, and its key.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) header: usize,
    pub(crate) len: usize,
    pub(crate) key: Key,
}

/// A buffer and the frames that it holds, in one or in many ways.
pub(crate) struct Packed {
    bytes: Vec<u8>,
    start: usize,
    /// Bytes of the first plan, headers and payloads.
    size: usize,
    plans: Vec<Vec<Frame>>,
    turn: usize,
}

/// The lengths of a benchmark.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Lengths {
    /// One length, in bytes.
    Fixed(usize),
    /// Each from 20 to 125 bytes.
    Random,
}

impl std::fmt::Display for Lengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(len) if len % (1 << 20) == 0 => write!(f, "{} MiB", len >> 20),
            Self::Fixed(len) if len % 1024 == 0 => write!(f, "{} KiB", len >> 10),
            Self::Fixed(len) => write!(f, "{len} B"),
            Self::Random => f.write_str("20-125 B"),
        }
    }
}

impl Packed {
    /// Frames of these lengths, filled with `x`.
    pub(crate) fn new(lengths: Lengths) -> Self {
        let mut random = Random::new();
        let plans = if lengths == Lengths::Random { PLANS } else { 1 };
        let plans: Vec<_> = (0..plans).map(|_| plan(lengths, &mut random)).collect();
        Self::holding(plans)
    }

    fn holding(plans: Vec<Vec<Frame>>) -> Self {
        let sizes = plans.iter().map(|plan| plan.iter().map(|f| f.header + f.len).sum::<usize>());
        let sizes: Vec<_> = sizes.collect();
        let bytes = vec![b'x'; sizes.iter().max().unwrap_or(&0) + 128];
        let start = bytes.as_ptr().align_offset(64);
        let mut packed = Self { bytes, start, size: sizes[0], plans, turn: 0 };
        packed.write_headers();
        packed
    }

    /// Frames of one length whose payloads are this text, repeated, under keys of zero: unmasking
    /// leaves it valid, so that a pass can follow a pass.
    pub(crate) fn text(lengths: Lengths, text: &str) -> Self {
        let mut packed = Self::new(lengths);
        packed.plans.iter_mut().flatten().for_each(|frame| frame.key = Key::default());
        packed.write_headers();
        if lengths != Lengths::Random {
            packed.walk(|payload, _| {
                for chunk in payload.chunks_exact_mut(text.len()) {
                    chunk.copy_from_slice(text.as_bytes());
                }
            });
        }
        packed
    }

    /// One buffer for fixed lengths; for random ones as many as fit the second-level cache, each
    /// with one plan, so that its headers can be read.
    pub(crate) fn buffers(lengths: Lengths) -> Vec<Self> {
        let whole = Self::new(lengths);
        whole.plans.into_iter().take(24).map(|plan| Self::holding(vec![plan])).collect()
    }

    /// Frames of `len` bytes whose payloads all begin at `alignment` modulo 64.
    pub(crate) fn aligned(len: usize, alignment: usize) -> Self {
        let mut packed = Self::new(Lengths::Fixed(len));
        // From the end of a payload to the next one's place.
        let gap = (64 + alignment - (alignment + len) % 64) % 64 + 64;
        let count = (SMALL / (len + gap)).max(1);
        let mut random = Random::new();
        let mut frames: Vec<_> = (0..count).map(|_| frame_of(len, &mut random)).collect();
        for frame in &mut frames {
            frame.header = gap;
        }
        frames[0].header = 64 + alignment;
        packed.bytes = vec![b'x'; 256 + count * (len + gap)];
        packed.start = packed.bytes.as_ptr().align_offset(64);
        packed.plans = vec![frames];
        packed
    }

    /// Bytes from the first header to the last payload, for decoding. For one plan only.
    pub(crate) fn wire(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.size]
    }

    /// The first frame alone, with its key or without.
    pub(crate) fn wire_of_one(&self, masked: bool) -> Vec<u8> {
        let frame = self.plans[0][0];
        let mut header = [0; MAX_HEADER];
        let key = masked.then_some(frame.key);
        let size = frame::encode(true, Opcode::Binary, frame.len, key, &mut header);
        let payload = &self.bytes[self.start + frame.header..][..frame.len];
        [&header[..size], payload].concat()
    }

    /// Frames of the plan whose turn it is.
    pub(crate) fn frames(&self) -> usize {
        self.plans[self.turn].len()
    }

    /// The next plan's lengths.
    pub(crate) fn turn(&mut self) -> &[Frame] {
        self.turn = (self.turn + 1) % self.plans.len();
        &self.plans[self.turn]
    }

    /// Hands each payload of the next plan, with its key, to `work`. Gives how many.
    #[inline]
    pub(crate) fn walk(&mut self, mut work: impl FnMut(&mut [u8], Key)) -> usize {
        self.turn = (self.turn + 1) % self.plans.len();
        let plan = &self.plans[self.turn];
        let mut rest = &mut self.bytes[self.start..];
        for frame in plan {
            let (bytes, after) = rest.split_at_mut(frame.header + frame.len);
            rest = after;
            work(&mut bytes[frame.header..], frame.key);
        }
        plan.len()
    }

    fn write_headers(&mut self) {
        if self.plans.len() > 1 {
            return;
        }
        let mut at = self.start;
        for frame in &self.plans[0] {
            let mut header = [0; MAX_HEADER];
            frame::encode(true, Opcode::Binary, frame.len, Some(frame.key), &mut header);
            self.bytes[at..at + frame.header].copy_from_slice(&header[..frame.header]);
            at += frame.header + frame.len;
        }
    }
}

fn plan(lengths: Lengths, random: &mut Random) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut size = 0;
    loop {
        let len = match lengths {
            Lengths::Fixed(len) => len,
            Lengths::Random => 20 + (random.next() % 106) as usize,
        };
        let frame = frame_of(len, random);
        size += frame.header + len;
        if size > SMALL && !frames.is_empty() {
            return frames;
        }
        frames.push(frame);
    }
}

fn frame_of(len: usize, random: &mut Random) -> Frame {
    let key = Key((random.next() as u32).to_le_bytes());
    let header = match len {
        0..=125 => 6,
        126..=0xffff => 8,
        _ => 14,
    };
    Frame { header, len, key }
}
