//! Servers whose behaviour is known to the nanosecond.

use std::time::Duration;

use crate::net::{Manner, Reply};

/// From a message to its answer, where nothing else is said.
pub(crate) const DELAY: Duration = Duration::from_millis(2);

/// Each message comes back after a fixed time, whatever came with it.
pub(crate) struct Delay(pub(crate) Duration);

impl Manner for Delay {
    fn answer(&mut self, line: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply> {
        vec![Reply { at: now + self.0, line, payload }]
    }

    fn pong(&self) -> Duration {
        self.0
    }
}

/// Reads nothing in the first part of each period.
pub(crate) struct Stall {
    pub(crate) lasts: Duration,
    pub(crate) every: Duration,
    /// The one connection that it is for; all if `None`.
    pub(crate) only: Option<usize>,
    /// Bytes that each socket holds meanwhile.
    pub(crate) room: usize,
    pub(crate) delay: Duration,
}

impl Manner for Stall {
    fn reads(&self, line: usize, now: Duration) -> Duration {
        let begun = Duration::from_nanos((now.as_nanos() % self.every.as_nanos()) as u64);
        let stalls = self.only.is_none_or(|only| only == line) && begun < self.lasts;
        if stalls { now + self.lasts.saturating_sub(begun) } else { now }
    }

    fn answer(&mut self, line: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply> {
        Delay(self.delay).answer(line, now, payload)
    }

    fn room(&self) -> usize {
        self.room
    }
}

/// Serves one message after the other, each for so long.
pub(crate) struct Queue {
    pub(crate) each: Duration,
    pub(crate) free: Duration,
}

impl Manner for Queue {
    fn answer(&mut self, line: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply> {
        self.free = self.free.max(now) + self.each;
        vec![Reply { at: self.free, line, payload }]
    }
}

/// What becomes of each tenth message: the fifth, the fifteenth, and so on.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// No answer.
    Dropped,
    /// Two answers at once.
    Doubled,
    /// A bit of the last byte is flipped.
    Flipped,
    /// So much later than the others: after the answer to a later message.
    Late(Duration),
}

/// Answers after [`DELAY`], but each tenth message with a fault.
pub(crate) struct Tenth {
    pub(crate) fault: Fault,
    pub(crate) seen: u64,
}

impl Tenth {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, seen: 0 }
    }
}

impl Manner for Tenth {
    fn answer(&mut self, line: usize, now: Duration, mut payload: Vec<u8>) -> Vec<Reply> {
        self.seen += 1;
        let at = now + DELAY;
        if self.seen % 10 != 5 {
            return vec![Reply { at, line, payload }];
        }
        match self.fault {
            Fault::Dropped => Vec::new(),
            Fault::Doubled => {
                vec![Reply { at, line, payload: payload.clone() }, Reply { at, line, payload }]
            }
            Fault::Flipped => {
                *payload.last_mut().unwrap() ^= 1;
                vec![Reply { at, line, payload }]
            }
            Fault::Late(more) => vec![Reply { at: at + more, line, payload }],
        }
    }
}

/// Slow until a time, quick from then on.
pub(crate) struct SlowStart {
    pub(crate) until: Duration,
    pub(crate) slow: Duration,
}

impl Manner for SlowStart {
    fn answer(&mut self, line: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply> {
        let delay = if now < self.until { self.slow } else { DELAY };
        Delay(delay).answer(line, now, payload)
    }
}

/// One room of so many members: each hears a message [`DELAY`] after it came, and `apart` after the
/// member before. The last one misses each tenth if `deaf`.
pub(crate) struct Room {
    pub(crate) members: usize,
    pub(crate) apart: Duration,
    pub(crate) deaf: bool,
    pub(crate) seen: u64,
}

impl Manner for Room {
    fn answer(&mut self, _: usize, now: Duration, payload: Vec<u8>) -> Vec<Reply> {
        self.seen += 1;
        let heard = self.members - usize::from(self.deaf && self.seen.is_multiple_of(10));
        let to = |line: usize| Reply {
            at: now + DELAY + self.apart * line as u32,
            line,
            payload: payload.clone(),
        };
        (0..heard).map(to).collect()
    }
}
