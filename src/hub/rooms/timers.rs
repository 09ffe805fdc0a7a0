//! What clients of rooms owe by the clock: a connect command, a pong, a fresh token.
//!
//! One byte of a wheel for each client (`shard::wheel`), as connections have for theirs: a client
//! whose byte fires is looked at, and says when to look again.

use super::Rooms;
use super::client::Phase;
use super::clock::Moment;
use super::letter::Key;
use super::reply::{self, Bye, Out};
use crate::hub::fanout::{Fanout, Reach};

/// Clients that are looked at in one turn: a crowd that came at once does not hold up the others.
const LOOKS_PER_TURN: usize = 256;

impl<I: Copy + PartialEq> Rooms<I> {
    /// Looks at who is due. True: some are left over.
    pub(super) fn timers<S: Clone>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> bool {
        let now = self.clock.now();
        if self.is_crowded() || fanout.holds_publishers() || !self.inbox.is_empty() {
            self.held = Some(now);
        }
        if self.wheel.next() <= now.tick() {
            self.wheel.expire(now.tick(), &mut self.due);
            self.look_after();
        }
        for _ in 0..LOOKS_PER_TURN {
            let Some(index) = self.due.pop() else { return false };
            if let Some(key) = self.clients.id_at(index as usize) {
                self.look_at(key, now, fanout, reach);
            }
        }
        !self.due.is_empty()
    }

    fn look_at<S: Clone>(
        &mut self,
        key: Key,
        now: Moment,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let settings = std::sync::Arc::clone(&self.settings);
        let stalled = self.stalled.contains_key(&key);
        let held = self.held.map(|held| held.plus(settings.pong_timeout));
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.pong_by <= now {
            // Its pong may lie where nobody read until a moment ago; or the ping still waits behind
            // what it is owed. Who takes nothing at all is found by the connection's own ping.
            let owes = client.conn.and_then(|conn| reach.owed(conn)).is_some_and(|owed| owed > 0);
            if stalled || owes {
                client.pong_by = now.plus(settings.pong_timeout);
            }
            client.pong_by = held.map_or(client.pong_by, |held| client.pong_by.max(held));
        }
        if client.until <= now || client.pong_by <= now {
            let why = match (&client.phase, client.pong_by <= now) {
                (Phase::In(_), true) => Bye::NO_PONG,
                (Phase::In(_), false) => Bye::EXPIRED,
                (Phase::Silent(_) | Phase::Refused, _) => Bye::STALE,
            };
            client.until = Moment::NEVER;
            client.pong_by = Moment::NEVER;
            client.ping_at = Moment::NEVER;
            return self.close(key, why, reach);
        }
        let mut pings = false;
        if client.ping_at <= now
            && let Some(interval) = settings.ping_interval
        {
            client.ping_at = now.plus(interval);
            // One at a time: of two pongs for two pings the second would be one that nobody owes.
            pings = client.pong_by == Moment::NEVER;
            if pings {
                client.pong_by = now.plus(settings.pong_timeout);
            }
        }
        let ended: Vec<u32> = client
            .subs
            .iter()
            .filter(|sub| sub.expires <= now && sub.is_in())
            .map(|sub| sub.crowd)
            .collect();
        if pings {
            reply::ping(self.out(key));
        }
        for crowd in ended {
            self.put_out(key, crowd, Out::EXPIRED, fanout, reach);
        }
        self.arm(key);
    }
}
