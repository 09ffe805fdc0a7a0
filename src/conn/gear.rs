//! What a shard lends to whichever of its connections has the turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::assemble::Partial;
use super::block::Tally;
use super::buffer::Pool;
use super::deadline::MIDDLE_BEAT;
use super::settings::{Settings, Tick};
use super::stage::Stage;
use crate::wire::mask::{Key, Masker};

/// Boxes of incomplete things kept for reuse, 200 KiB of them.
const KEEP_PARTIALS: usize = 1024;

/// Tools and memory of one shard. Not `Send`: it stays on its thread.
#[derive(Debug)]
pub struct Gear {
    /// The bounds every connection lives under.
    pub settings: Settings,
    /// The mask bodies for this CPU.
    pub masker: Masker,
    /// Free buffers.
    pub pool: Pool,
    /// What the current connection sends.
    pub stage: Stage,
    /// Messages that were received whole, since the loop last asked.
    pub received: u64,
    /// Messages that were sent, since the loop last asked.
    pub sent: u64,
    /// Upgrades that were refused, since the loop last asked.
    pub refused: u64,
    /// The coarse clock, set by the loop.
    pub now: Tick,
    /// From the last byte heard to our ping, as it is at the moment: the settings' interval, unless
    /// the loop has stretched it for a crowd. `None` sends none.
    pub ping_interval: Option<Duration>,
    /// The beat of the next connection.
    beat: u8,
    #[expect(clippy::vec_box, reason = "the box itself moves into a connection and back")]
    pub(super) partials: Vec<Box<Partial>>,
    blocks: Tally,
    shared: Rc<Cell<usize>>,
    heads: Rc<Cell<usize>>,
    keys: StdRng,
}

impl Gear {
    /// `seed` makes masks and nonces repeatable in tests; `None` asks the system for one.
    pub fn new(settings: Settings, seed: Option<u64>) -> Self {
        let keys = seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        Self {
            ping_interval: settings.ping_interval,
            beat: MIDDLE_BEAT,
            settings,
            masker: Masker::detect(),
            pool: Pool::default(),
            stage: Stage::default(),
            received: 0,
            sent: 0,
            refused: 0,
            now: Tick(0),
            partials: Vec::new(),
            blocks: Tally::default(),
            shared: Rc::new(Cell::new(0)),
            heads: Rc::new(Cell::new(0)),
            keys,
        }
    }

    /// Counts a message that was received whole. Counts of messages wrap: they stand on the path of
    /// every one, and an overflow that can not be needs no check there.
    #[inline]
    pub(super) fn count_received(&mut self) {
        self.received = self.received.wrapping_add(1);
    }

    /// Counts `messages` that were sent.
    #[inline]
    pub fn count_sent(&mut self, messages: u64) {
        self.sent = self.sent.wrapping_add(messages);
    }

    /// Where the next connection's pings lie in the spread of their interval, in 256ths. Steps of
    /// the golden section: any run of connections, however long, is spread evenly.
    pub(super) fn next_beat(&mut self) -> u8 {
        let next = self.beat.wrapping_add(158);
        std::mem::replace(&mut self.beat, next)
    }

    /// A fresh unpredictable key (RFC 6455 5.3, 10.3).
    #[inline]
    pub fn key(&mut self) -> Key {
        Key(self.keys.next_u32().to_ne_bytes())
    }

    /// A fresh nonce for `Sec-WebSocket-Key` (RFC 6455 4.1).
    pub fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.keys.fill_bytes(&mut nonce);
        nonce
    }

    /// Counts this shard's blocks together with those of its group.
    #[must_use]
    pub fn with_tally(mut self, tally: Tally) -> Self {
        self.blocks = tally;
        self
    }

    /// The count of bytes that blocks hold, all shards of the group together.
    pub fn blocks(&self) -> &Tally {
        &self.blocks
    }

    /// The count of bytes of the blocks that this shard refers to.
    pub fn shared(&self) -> &Rc<Cell<usize>> {
        &self.shared
    }

    /// Gives a box of incomplete things back; a crowd's worth of them is kept, not more.
    pub(super) fn keep(&mut self, partial: Box<Partial>) {
        if self.partials.len() < KEEP_PARTIALS {
            self.partials.push(partial);
        }
    }

    /// Bytes of memory kept ready for use: free buffers, boxes, the stage.
    pub fn kept(&self) -> usize {
        self.pool.kept() + self.partials.len() * size_of::<Partial>() + self.stage.capacity()
    }

    /// The count of bytes that unfinished heads hold.
    pub(super) fn heads(&self) -> &Rc<Cell<usize>> {
        &self.heads
    }

    /// Bytes held for slow peers and half-received messages of this shard. Shared frames are the
    /// group's, see [`Gear::blocks`].
    #[inline]
    pub fn buffered(&self) -> usize {
        self.pool.lent() + self.heads.get()
    }
}
