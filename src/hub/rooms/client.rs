//! One connection of a client of rooms, as its shard keeps it. Small: there may be 100,000, and
//! nearly all of them idle.

use std::sync::Arc;

use super::clock::Moment;
use super::identity::Identity;

/// How far a client has come.
#[derive(Debug)]
pub(super) enum Phase {
    /// It has not said who it is; the token that its request's head had.
    Silent(Option<Box<str>>),
    /// Its connect command was refused: the next command ends the connection.
    Refused,
    /// It is in.
    In(Arc<Identity>),
}

/// A subscription of a client.
#[derive(Debug)]
pub(super) struct Sub {
    /// The crowd's number.
    pub(super) crowd: u32,
    /// Its place in the crowd; nowhere until the room's home has answered.
    pub(super) place: u32,
    /// Its place at the room's home; [`Sub::ASKED`] until that has answered.
    pub(super) at_home: u32,
    /// When its token ends.
    pub(super) expires: Moment,
}

impl Sub {
    /// No answer yet. A home has fewer places.
    pub(super) const ASKED: u32 = u32::MAX - 1;

    pub(super) fn is_in(&self) -> bool {
        self.at_home != Self::ASKED
    }
}

const _: () = assert!(size_of::<Sub>() <= 16, "some for each client");

/// One client.
#[derive(Debug)]
pub(super) struct Client<I> {
    /// Its connection, once the handshake is complete.
    pub(super) conn: Option<I>,
    pub(super) phase: Phase,
    pub(super) subs: Vec<Sub>,
    /// When it is closed if nothing changes: no connect command, or its token's end.
    pub(super) until: Moment,
    /// When it is pinged next.
    pub(super) ping_at: Moment,
    /// Until when its pong has to be here; never, if none is owed.
    pub(super) pong_by: Moment,
    /// The buffer that gathers what it is told in this turn, or [`Client::QUIET`].
    pub(super) out: u32,
    /// Questions about rooms that have no answer yet.
    pub(super) questions: u16,
    /// Microseconds at which what it published so far is within the rate.
    pub(super) published: u64,
    /// Likewise for the deliveries that this caused.
    pub(super) delivered: u64,
}

impl<I> Client<I> {
    /// Nothing is said to it in this turn.
    pub(super) const QUIET: u32 = u32::MAX;

    pub(super) fn new(token: Option<Box<str>>, until: Moment) -> Self {
        Self {
            conn: None,
            phase: Phase::Silent(token),
            subs: Vec::new(),
            until,
            ping_at: Moment::NEVER,
            pong_by: Moment::NEVER,
            out: Self::QUIET,
            questions: 0,
            published: 0,
            delivered: 0,
        }
    }

    /// Its subscription to a crowd.
    pub(super) fn sub(&mut self, crowd: u32) -> Option<&mut Sub> {
        self.subs.iter_mut().find(|sub| sub.crowd == crowd)
    }

    /// Adds a subscription; one of a few costs no room for more.
    pub(super) fn add(&mut self, sub: Sub) {
        if self.subs.len() < 4 {
            self.subs.reserve_exact(1);
        }
        self.subs.push(sub);
    }

    /// Takes a subscription out.
    pub(super) fn remove(&mut self, crowd: u32) -> Option<Sub> {
        let at = self.subs.iter().position(|sub| sub.crowd == crowd)?;
        Some(self.subs.swap_remove(at))
    }

    /// When something is due.
    pub(super) fn next(&self) -> Moment {
        let subs = self.subs.iter().map(|sub| sub.expires).min();
        let own = self.until.min(self.ping_at).min(self.pong_by);
        subs.map_or(own, |subs| own.min(subs))
    }
}

/// Whether `amount` more is within `rate` a second, a second's worth at once: counts it if so.
/// `until` is when what was counted so far is used up, in microseconds (the generic cell rate
/// algorithm of ITU-T I.371).
pub(super) fn within(until: &mut u64, amount: u64, rate: u32, now_us: u64) -> bool {
    if rate == 0 {
        return true;
    }
    let begun = (*until).max(now_us);
    let cost = amount * 1_000_000 / u64::from(rate);
    if begun + cost > now_us + 1_000_000 {
        return false;
    }
    *until = begun + cost;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_seconds_worth_at_once_and_then_its_mean() {
        let (mut until, mut passed) = (0, 0);
        for now_us in (0..10_000_000).step_by(1000) {
            passed += u32::from(within(&mut until, 1, 100, now_us));
        }
        assert!((1090..=1100).contains(&passed), "{passed} in 10 s at 100 a second");
        assert!((0..1000).all(|_| within(&mut until, 1, 0, 0)), "no rate, no bound");
    }
}
