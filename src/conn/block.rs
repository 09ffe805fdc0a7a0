//! Encoded frames that many connections send, on several shards.
//!
//! A [`Block`] is made once, by the shard that publishes; every shard that has subscribers takes
//! one [`Shared`] of it. Its bytes count once, in the group's [`Tally`], however many shards and
//! connections keep them, and until the last of these lets go.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of the blocks that a group of shards holds. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// Bytes, as they were a moment ago.
    #[inline]
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}

/// Encoded frames, counted as long as anybody keeps them.
#[derive(Debug)]
pub struct Block {
    bytes: Box<[u8]>,
    tally: Tally,
}

impl Block {
    /// Takes encoded frames and counts them.
    pub fn new(bytes: impl Into<Box<[u8]>>, tally: &Tally) -> Arc<Self> {
        let bytes = bytes.into();
        tally.0.fetch_add(bytes.len(), Relaxed);
        Arc::new(Self { bytes, tally: tally.clone() })
    }

    /// The encoded frames.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.tally.0.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// One shard's reference to a block. The outer count is the shard's alone, so a reference per
/// subscriber costs no traffic between cores.
#[derive(Clone, Debug)]
pub struct Shared(Rc<Held>);

#[derive(Debug)]
struct Held {
    block: Arc<Block>,
    here: Rc<Cell<usize>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.here.set(self.here.get() - self.block.bytes.len());
    }
}

impl Shared {
    /// Takes one reference into this shard; `here` counts the bytes that the shard refers to.
    pub fn new(block: Arc<Block>, here: &Rc<Cell<usize>>) -> Self {
        here.set(here.get() + block.bytes.len());
        Self(Rc::new(Held { block, here: Rc::clone(here) }))
    }

    /// The encoded frames.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.0.block.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_on_many_shards_counts_once_until_the_last_lets_go() {
        let tally = Tally::default();
        let block = Block::new(&b"frame"[..], &tally);
        let here: Vec<_> = (0..8).map(|_| Rc::new(Cell::new(0))).collect();
        let mut shards: Vec<Shared> =
            here.iter().map(|here| Shared::new(Arc::clone(&block), here)).collect();
        drop(block);
        let kept = shards[7].clone();
        assert_eq!((tally.get(), kept.bytes()), (5, &b"frame"[..]));
        shards.clear();
        assert_eq!((tally.get(), here[0].get(), here[7].get()), (5, 0, 5), "an outbox keeps it");
        drop(kept);
        assert_eq!((tally.get(), here[7].get()), (0, 0));
    }
}
