//! What one connection sends in its own turn, before the one write that ends it.
//!
//! One stage per shard, empty between turns. Small frames are copied side by side; large answers
//! stay where they lie, in the read buffer or in the buffer they were reassembled in.

use std::ops::Range;

use super::buffer::{Buffer, Pool};

/// Bytes of staging kept between turns; a turn that needed more gives the rest back.
const KEEP: usize = 1 << 20;

/// One contiguous run of bytes to send.
#[derive(Debug)]
pub(super) enum Part {
    /// A range of the stage's own bytes.
    Copied(Range<usize>),
    /// A range of the shard's read buffer.
    InPlace(Range<usize>),
    /// A buffer, from an offset of its head-room.
    Owned(Buffer, usize),
}

/// The parts in order, and behind them a run of copied bytes that is still added to.
///
/// Invariants: `run <= used <= bytes.len()`; `apart` is the sum of the parts that lie elsewhere.
#[derive(Debug, Default)]
pub struct Stage {
    bytes: Vec<u8>,
    used: usize,
    run: usize,
    parts: Vec<Part>,
    apart: usize,
}

impl Stage {
    /// Bytes staged.
    #[inline]
    pub fn len(&self) -> usize {
        self.used + self.apart
    }

    /// Bytes of memory it keeps.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Room for `n` more copied bytes, joined to the run before where there is one.
    #[inline]
    pub fn room(&mut self, n: usize) -> &mut [u8] {
        let start = self.used;
        let end = start + n;
        if self.bytes.len() < end {
            self.grow(end);
        }
        self.used = end;
        &mut self.bytes[start..end]
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.bytes.resize(end.next_power_of_two().max(4096), 0);
    }

    /// Copies `bytes`.
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
    }

    /// Sends a range of the read buffer from where it lies.
    #[inline]
    pub fn in_place(&mut self, range: Range<usize>) {
        self.apart += range.len();
        self.push(Part::InPlace(range));
    }

    /// Sends a buffer from `start` of its head-room.
    pub fn owned(&mut self, buffer: Buffer, start: usize) {
        self.apart += buffer.from(start).len();
        self.push(Part::Owned(buffer, start));
    }

    /// Ends the run of copied bytes, and lets `part` follow.
    #[inline]
    fn push(&mut self, part: Part) {
        if self.run < self.used {
            self.parts.push(Part::Copied(self.run..self.used));
            self.run = self.used;
        }
        self.parts.push(part);
    }

    /// The staged bytes in order, as slices. `input` is the read buffer.
    #[inline]
    pub fn slices<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let run = &self.bytes[self.run..self.used];
        let parts = self.parts.iter().map(move |part| match part {
            Part::Copied(range) => &self.bytes[range.clone()],
            Part::InPlace(range) => &input[range.clone()],
            Part::Owned(buffer, start) => buffer.from(*start),
        });
        parts.chain((!run.is_empty()).then_some(run))
    }

    /// The staged bytes when they are one run, as they nearly always are.
    #[inline]
    pub fn single<'a>(&'a self, input: &'a [u8]) -> Option<&'a [u8]> {
        match self.parts.as_slice() {
            [] => Some(&self.bytes[..self.used]),
            [Part::InPlace(range)] if self.used == 0 => Some(&input[range.clone()]),
            _ => None,
        }
    }

    /// Everything was written: forget it.
    #[inline]
    pub fn clear(&mut self, pool: &mut Pool) {
        if !self.parts.is_empty() {
            for part in self.parts.drain(..) {
                if let Part::Owned(buffer, _) = part {
                    pool.give(buffer);
                }
            }
        }
        self.begin();
    }

    /// Moves every part out, in order; the copied ones are lent by the visitor's second argument.
    pub(super) fn drain(&mut self, input: &[u8], mut each: impl FnMut(Drained<'_>)) {
        for part in self.parts.drain(..) {
            match part {
                Part::Copied(range) => each(Drained::Bytes(&self.bytes[range])),
                Part::InPlace(range) => each(Drained::Bytes(&input[range])),
                Part::Owned(buffer, start) => each(Drained::Owned(buffer, start)),
            }
        }
        each(Drained::Bytes(&self.bytes[self.run..self.used]));
        self.begin();
    }

    /// The next turn's stage, all parts gone.
    #[inline]
    fn begin(&mut self) {
        (self.used, self.run, self.apart) = (0, 0, 0);
        if self.bytes.len() > KEEP {
            self.bytes.truncate(KEEP);
            self.bytes.shrink_to_fit();
        }
    }
}

/// A part on its way to the outbox.
#[derive(Debug)]
pub(super) enum Drained<'a> {
    /// To be copied.
    Bytes(&'a [u8]),
    /// To be moved.
    Owned(Buffer, usize),
}
