//! What a shard lends to whichever of its connections has the turn.

use std::cell::Cell;
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::assemble::Partial;
use super::buffer::Pool;
use super::settings::{Settings, Tick};
use super::stage::Stage;
use crate::wire::mask::{Key, Masker};

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
    /// Messages that were sent, since the loop last asked.
    pub sent: u64,
    /// The coarse clock, set by the loop.
    pub now: Tick,
    #[expect(clippy::vec_box, reason = "the box itself moves into a connection and back")]
    pub(super) partials: Vec<Box<Partial>>,
    shared: Rc<Cell<usize>>,
    keys: StdRng,
}

impl Gear {
    /// `seed` makes masks and nonces repeatable in tests; `None` asks the system for one.
    pub fn new(settings: Settings, seed: Option<u64>) -> Self {
        let keys = seed.map_or_else(rand::make_rng, StdRng::seed_from_u64);
        Self {
            settings,
            masker: Masker::detect(),
            pool: Pool::default(),
            stage: Stage::default(),
            sent: 0,
            now: Tick(0),
            partials: Vec::new(),
            shared: Rc::new(Cell::new(0)),
            keys,
        }
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

    /// The count of bytes that shared frames hold on this shard.
    pub fn shared(&self) -> &Rc<Cell<usize>> {
        &self.shared
    }

    /// Bytes held for slow peers and half-received messages.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.pool.lent() + self.shared.get()
    }
}
