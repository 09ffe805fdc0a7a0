//! The coarse clock of rooms: quarter seconds since their shard began.

use std::time::{Duration, Instant, SystemTime};

use crate::conn::Tick;

/// A moment, in quarter seconds. The last one is never.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Moment(pub(super) u32);

impl Moment {
    pub(super) const NEVER: Self = Self(u32::MAX);

    /// The first moment that is surely `wait` later.
    pub(super) fn plus(self, wait: Duration) -> Self {
        Self(Tick(self.0).plus(wait).0)
    }

    pub(super) fn tick(self) -> Tick {
        Tick(self.0)
    }
}

/// The time of the turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Instant,
    now: Instant,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, now }
    }

    pub(super) fn set(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// From 1 on.
    pub(super) fn now(&self) -> Moment {
        let millis = self.now.duration_since(self.began).as_millis() / u128::from(Tick::MILLIS);
        Moment(u32::try_from(millis).unwrap_or(u32::MAX - 2) + 1)
    }

    /// Microseconds since the beginning.
    pub(super) fn micros(&self) -> u64 {
        self.now.duration_since(self.began).as_micros() as u64
    }

    /// When a moment comes.
    pub(super) fn instant(&self, tick: Tick) -> Instant {
        let millis = u64::from(tick.0.saturating_sub(1)) * u64::from(Tick::MILLIS);
        self.began + Duration::from_millis(millis)
    }

    /// Seconds since 1970, for the times in tokens: the one look at the system's calendar.
    pub(super) fn unix() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
