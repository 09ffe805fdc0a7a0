//! Bytes that the peer's socket did not take: own bytes and shared frames, in order.
//!
//! Exists only while something is owed. Its bound is the caller's: reading pauses over the water
//! mark, and a publish over it closes the member.

use std::collections::VecDeque;

use super::block::Shared;
use super::buffer::{Buffer, HEADROOM, Pool};
use super::stage::{Drained, Stage};
use crate::wire::frame::MAX_CONTROL;

#[derive(Debug)]
enum Chunk {
    Owned { buffer: Buffer, start: usize },
    Shared { shared: Shared, start: usize },
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned { buffer, start } => buffer.from(*start),
            Self::Shared { shared, start } => &shared.bytes()[*start..],
        }
    }
}

/// The queue.
///
/// Invariants: `bytes` is the sum of all chunks' remaining bytes; every chunk ends where a frame
/// ends; only the first can have lost a part to the socket, and then `begun` is set;
/// `pongs_end <= bytes`.
#[derive(Debug, Default)]
pub struct Outbox {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    begun: bool,
    pongs: usize,
    pong_staged: bool,
    pongs_end: usize,
    last_pong: Option<(u8, [u8; MAX_CONTROL])>,
}

impl Outbox {
    /// Bytes owed.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is owed, a pong held back included.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0 && self.last_pong.is_none()
    }

    /// What it takes of memory: the bytes owed, and the queue's own room for each chunk. Shared
    /// frames of a few bytes would cost ten times their length unseen.
    pub fn cost(&self) -> usize {
        self.bytes + self.chunks.len() * size_of::<Chunk>()
    }

    /// Takes all of the stage except its first `skip` bytes, which the socket took.
    pub fn absorb(&mut self, stage: &mut Stage, input: &[u8], mut skip: usize, pool: &mut Pool) {
        debug_assert!(skip == 0 || self.chunks.is_empty(), "written past what is owed");
        self.begun |= skip > 0 && skip < stage.len();
        stage.drain(input, |part| match part {
            Drained::Bytes(bytes) => {
                let gone = skip.min(bytes.len());
                skip -= gone;
                self.copy(&bytes[gone..], pool);
            }
            Drained::Owned(buffer, start) => {
                let gone = skip.min(buffer.from(start).len());
                skip -= gone;
                self.own(buffer, start + gone, pool);
            }
        });
        if std::mem::take(&mut self.pong_staged) {
            self.pongs_end = self.bytes;
        }
    }

    /// Never divides `bytes` between two chunks: a cut between them would leave half a frame.
    fn copy(&mut self, bytes: &[u8], pool: &mut Pool) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        match self.chunks.back_mut() {
            Some(Chunk::Owned { buffer, .. })
                if buffer.capacity() - buffer.len() >= bytes.len() =>
            {
                buffer.extend(bytes.len()).copy_from_slice(bytes);
            }
            _ => {
                let mut buffer = pool.take(bytes.len(), 0);
                buffer.extend(bytes.len()).copy_from_slice(bytes);
                self.chunks.push_back(Chunk::Owned { buffer, start: HEADROOM });
            }
        }
    }

    fn own(&mut self, buffer: Buffer, start: usize, pool: &mut Pool) {
        let len = buffer.from(start).len();
        if len == 0 {
            return pool.give(buffer);
        }
        self.bytes += len;
        self.chunks.push_back(Chunk::Owned { buffer, start });
    }

    /// Queues shared frames from `start`: before it the socket has taken them.
    pub fn share(&mut self, shared: Shared, start: usize) {
        self.begun |= self.chunks.is_empty() && start > 0;
        self.bytes += shared.bytes().len() - start;
        self.chunks.push_back(Chunk::Shared { shared, start });
    }

    /// Whether one more pong may be queued; past `bound` the newest replaces those held back.
    pub fn admit_pong(&mut self, payload: &[u8], bound: usize) -> bool {
        if self.pongs < bound {
            self.pongs += 1;
            self.pong_staged = true;
            return true;
        }
        let mut data = [0; MAX_CONTROL];
        data[..payload.len()].copy_from_slice(payload);
        self.last_pong = Some((payload.len() as u8, data));
        false
    }

    /// The pong that was held back, once the pongs before it are gone; the caller queues it.
    ///
    /// Data may still be owed: a peer that reads, but never catches up, has its pongs all the same.
    pub fn held_pong(&mut self) -> Option<(u8, [u8; MAX_CONTROL])> {
        if self.pongs_end > 0 {
            return None;
        }
        let held = self.last_pong.take();
        self.pongs = usize::from(held.is_some());
        self.pong_staged = held.is_some();
        held
    }

    /// No pong may follow what is queued now: the peer's close frame has come.
    pub fn drop_held_pong(&mut self) {
        self.last_pong = None;
    }

    /// The first slices to write.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().map(Chunk::bytes)
    }

    /// The socket took `n` bytes.
    pub fn advance(&mut self, mut n: usize, pool: &mut Pool) {
        self.bytes -= n;
        self.pongs_end = self.pongs_end.saturating_sub(n);
        while let Some(chunk) = self.chunks.front_mut() {
            let left = chunk.bytes().len();
            if n < left {
                match chunk {
                    Chunk::Owned { start, .. } | Chunk::Shared { start, .. } => *start += n,
                }
                self.begun |= n > 0;
                return;
            }
            n -= left;
            self.begun = false;
            if let Some(Chunk::Owned { buffer, .. }) = self.chunks.pop_front() {
                pool.give(buffer);
            }
        }
    }

    /// Drops what has not begun to leave: the rest of a frame in flight must still follow it.
    pub fn cut(&mut self, pool: &mut Pool) {
        let keep = usize::from(self.begun);
        for chunk in self.chunks.drain(keep.min(self.chunks.len())..) {
            self.bytes -= chunk.bytes().len();
            if let Chunk::Owned { buffer, .. } = chunk {
                pool.give(buffer);
            }
        }
        self.pongs_end = self.pongs_end.min(self.bytes);
        self.last_pong = None;
    }

    /// Gives every buffer back.
    pub fn release(&mut self, pool: &mut Pool) {
        self.begun = false;
        self.cut(pool);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::super::block::{Block, Tally};
    use super::*;

    fn drain(outbox: &mut Outbox, pool: &mut Pool, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !outbox.is_empty() {
            let bytes: Vec<u8> = outbox.slices().flatten().copied().take(step).collect();
            outbox.advance(bytes.len(), pool);
            out.extend(bytes);
        }
        out
    }

    #[test]
    fn order_is_kept_over_all_kinds_of_chunks() {
        for step in [1, 2, 3, 7, 100] {
            let (mut pool, mut stage, mut outbox) = Default::default();
            let (tally, here) = (Tally::default(), Rc::default());
            Stage::copy(&mut stage, b"abc");
            stage.in_place(1..3);
            let mut owned = Pool::take(&mut pool, 4, 0);
            owned.extend(4).copy_from_slice(b"wxyz");
            stage.owned(owned, HEADROOM);
            Outbox::absorb(&mut outbox, &mut stage, b"0123", 2, &mut pool);
            outbox.share(Shared::new(Block::new(&b"shared"[..], &tally), &here), 1);
            stage.copy(b"end");
            outbox.absorb(&mut stage, &[], 0, &mut pool);
            assert_eq!(outbox.bytes(), 15);
            assert_eq!(drain(&mut outbox, &mut pool, step), b"c12wxyzharedend");
            assert_eq!((pool.lent(), tally.get()), (0, 0), "every buffer went back");
        }
    }

    #[test]
    fn a_cut_keeps_what_has_begun() {
        let (mut pool, mut outbox): (Pool, Outbox) = Default::default();
        let (tally, here) = (Tally::default(), Rc::default());
        let block = Shared::new(Block::new(&b"frame"[..], &tally), &here);
        outbox.share(block.clone(), 2);
        outbox.share(block.clone(), 0);
        outbox.cut(&mut pool);
        assert_eq!(drain(&mut outbox, &mut pool, 9), b"ame");
        outbox.share(block, 0);
        outbox.cut(&mut pool);
        assert!(outbox.is_empty());
        assert_eq!(tally.get(), 0);
    }

    #[test]
    fn pongs_past_the_bound_leave_only_the_newest() {
        let mut outbox = Outbox::default();
        assert!((0..16).all(|_| outbox.admit_pong(b"x", 16)));
        assert!(!outbox.admit_pong(b"old", 16));
        assert!(!outbox.admit_pong(b"new", 16));
        let (len, data) = outbox.held_pong().unwrap();
        assert_eq!(&data[..usize::from(len)], b"new");
        assert!(outbox.admit_pong(b"again", 16), "an empty queue takes pongs again");
    }
}
