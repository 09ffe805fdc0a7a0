//! The bounds one connection lives under, and its coarse clock.

use std::time::Duration;

use super::Side;

/// A moment of the coarse clock: quarter seconds since the shard began. Four bytes in each
/// connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// Milliseconds of one tick.
    pub const MILLIS: u32 = 1000 / Self::PER_SECOND;

    /// Ticks of one second.
    pub const PER_SECOND: u32 = 4;

    /// Whole ticks in a time.
    #[must_use]
    pub fn whole(time: Duration) -> u64 {
        // In 64 bits: the clock is told with every turn of the loop, and `as_millis` has 128.
        let rest = time.subsec_millis() / Self::MILLIS;
        time.as_secs().saturating_mul(Self::PER_SECOND.into()).saturating_add(rest.into())
    }

    /// The first tick that is surely so many ticks later: one more, as this one has partly passed
    /// already. Past 34 years the last, which is never.
    #[must_use]
    pub fn after(self, ticks: u64) -> Self {
        let at = u64::from(self.0).saturating_add(ticks).saturating_add(1);
        Self(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// The first tick that is surely `wait` later.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        let up = Duration::from_millis(u64::from(Self::MILLIS) - 1);
        self.after(Self::whole(wait.saturating_add(up)))
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
    /// From the last byte heard to our ping, give or take a sixteenth: each connection has a length
    /// of its own, so that those who came together drift apart. `None` sends none.
    pub ping_interval: Option<Duration>,
    /// From our ping to any byte.
    pub pong_timeout: Duration,
    /// From the last message to our close; `None` never closes.
    pub idle_timeout: Option<Duration>,
    /// From our close frame to the peer's, and from our FIN to the peer's.
    pub close_timeout: Duration,
}
