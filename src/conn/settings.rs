//! The bounds one connection lives under, and its coarse clock.

use std::time::Duration;

use super::Side;

/// A moment of the coarse clock: quarter seconds since the shard began. Four bytes in each
/// connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// Milliseconds of one tick.
    pub const MILLIS: u64 = 250;

    /// Whole ticks in a time; past 34 years the last.
    #[must_use]
    pub fn whole(time: Duration) -> u32 {
        // In 64 bits: the shard's clock is told with every turn of its loop, and `as_millis` divides
        // 128 of them.
        let per_second = 1000 / Self::MILLIS;
        let rest = u64::from(time.subsec_millis()) / Self::MILLIS;
        let ticks = time.as_secs().saturating_mul(per_second).saturating_add(rest);
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// The first tick that is surely `wait` later: one more than the quotient, as this tick has
    /// partly passed already.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        let begun = wait.saturating_add(Duration::from_millis(Self::MILLIS - 1));
        Self(self.0.saturating_add(Self::whole(begun)).saturating_add(1))
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
