//! A block on its way from the shard that published it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::presence::Generation;
use crate::conn::Block;

/// What a block counts at least, in bytes of [`FANOUT_BACKLOG`](crate::limits::FANOUT_BACKLOG): it
/// bounds their number too.
const BLOCK_COST: usize = 4096;

/// A block on its way to the shards. The last one to drop it has finished the last walk.
#[derive(Debug)]
pub(super) struct Publication {
    /// The crowd's name.
    pub(super) name: Arc<[u8]>,
    /// Encoded frames.
    pub(super) block: Arc<Block>,
    /// How many.
    pub(super) messages: u32,
    /// The publishing shard's sum of [`cost`]s under way.
    pub(super) under_way: Arc<AtomicUsize>,
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.under_way.fetch_sub(cost(self.block.bytes()), Relaxed);
    }
}

/// What a block counts while it is under way, in bytes.
pub(super) fn cost(bytes: &[u8]) -> usize {
    bytes.len().max(BLOCK_COST)
}

/// A block for one shard.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) publication: Arc<Publication>,
    /// To whom: the receiving shard's members at that time. `None` where a member joins by a letter
    /// that travels the same way as the blocks do.
    pub(super) generation: Option<Generation>,
}
