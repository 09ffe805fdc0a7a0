//! The bounds one connection lives under, and its coarse clock.

use std::time::Duration;

use super::Side;

/// A moment of the coarse clock: quarter seconds since the shard began. Four bytes in each
/// connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// Milliseconds of one tick.
    pub const MILLIS: u128 = 250;

    /// The first tick that is surely `wait` later: one more than the quotient, as this tick has
    /// partly passed already.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        let ticks = wait.as_millis().div_ceil(Self::MILLIS) + 1;
        Self(self.0.saturating_add(u32::try_from(ticks).unwrap_or(u32::MAX)))
    }
}

/// Bounds and timeouts, the same for every connection of a shard.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which end we are.
    pub side: Side,
    /// Bytes of one message at most, all fragments together.
    pub max_message: usize,
    /// Bytes the peer may leave untaken before its reads pause, or a publish closes it.
    pub max_pending: usize,
    /// Bytes of the peer's head at most.
    pub max_head: usize,
    /// Pongs owed at most before the newest replaces the rest.
    pub pong_queue: usize,
    /// What a frame of a fragmented message costs at least, in bytes of `max_message`.
    pub frame_cost: usize,
    /// From the start to a complete handshake.
    pub handshake_timeout: Duration,
    /// From the last byte heard to our ping; `None` sends none.
    pub ping_interval: Option<Duration>,
    /// From our ping to any byte.
    pub pong_timeout: Duration,
    /// From the last message to our close; `None` never closes.
    pub idle_timeout: Option<Duration>,
    /// From our close frame to the peer's, and from our FIN to the peer's.
    pub close_timeout: Duration,
}
