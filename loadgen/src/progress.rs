//! The live line on standard error, and the cells that it reads.
//!
//! Each generator thread owns one [`LiveCell`] and writes it with relaxed stores; the line's own
//! thread reads them all a few times a second. Nothing else passes between the two.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Buckets of each power of two: the line's percentiles are at most an eighth too high.
const STEPS: u32 = 8;

/// The shortest time that is told apart: 2^10 ns.
const FIRST_POWER: u32 = 10;

/// The longest: 2^37 ns, 137 s.
const LAST_POWER: u32 = 37;

const BUCKETS: usize = ((LAST_POWER - FIRST_POWER) * STEPS) as usize;

/// A count with one writer: a load and a store instead of a locked addition.
#[derive(Default, Debug)]
pub struct LiveCount(AtomicU64);

impl LiveCount {
    /// Adds. Only the owning thread may call it.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The count as it was a moment ago.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Times with one writer, coarse and cheap: two relaxed accesses for each.
#[derive(Debug)]
pub struct LiveTimes([AtomicU32; BUCKETS]);

impl Default for LiveTimes {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; BUCKETS])
    }
}

impl LiveTimes {
    /// Adds one time in nanoseconds. Only the owning thread may call it.
    #[inline]
    pub fn record(&self, ns: u64) {
        let bucket = &self.0[bucket(ns)];
        bucket.store(bucket.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// The bucket of a time: its power of two and the next three bits.
#[inline]
fn bucket(ns: u64) -> usize {
    let ns = ns.clamp(1 << FIRST_POWER, (1 << LAST_POWER) - 1);
    let power = ns.ilog2();
    let step = (ns >> (power - STEPS.ilog2())) as u32 % STEPS;
    ((power - FIRST_POWER) * STEPS + step) as usize
}

/// What one generator thread shows of itself, on cache lines of its own.
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct LiveCell {
    /// Connections established.
    pub connected: LiveCount,
    /// Connections that could not be, or that ended early.
    pub failed: LiveCount,
    /// Messages sent.
    pub sent: LiveCount,
    /// Messages received.
    pub received: LiveCount,
    /// Response times (idle mode: ping times).
    pub response: LiveTimes,
    /// Send lags.
    pub lag: LiveTimes,
}
