//! The loop's door: accepts in bounded batches, refusals of a server that is full, and a shard's
//! leave of the listening group.

use std::net::IpAddr;

use super::addresses::Counted;
use super::app::App;
use super::counters::Counters;
use super::net::{Accepted, Net};
use super::reactor::{Reactor, TICK};
use super::slot::Slot;
use crate::conn::Conn;
use crate::wire::handshake::Refusal;

/// Connections of one shard that are being told why they were turned away, at most.
const TURNED_AWAY: u64 = 1024;

impl<N: Net, A: App> Reactor<N, A> {
    pub(super) fn accept_batch(&mut self) {
        if self.accept_after.is_some_and(|at| self.now < at) {
            return;
        }
        self.accept_after = None;
        if !self.listening {
            self.rejoin();
        }
        for _ in 0..self.limits.accepts_per_turn {
            if !self.listener_ready || !self.accept_one() {
                return;
            }
        }
    }

    /// One accept; false if there is no use in another one now.
    pub(super) fn accept_one(&mut self) -> bool {
        match self.core.kit.net.accept() {
            Accepted::One(stream, from) => self.admit(stream, from),
            Accepted::Empty => {
                self.listener_ready = false;
                if self.core.slab.len() >= self.room {
                    self.leave_group();
                }
                return false;
            }
            Accepted::Full => {
                self.counters().accept_errors.add(1);
                self.accept_after = Some(self.now + TICK);
                // Others may have room. A shard alone keeps its queue and waits for its own.
                if self.place.counters.len() > 1 {
                    self.room = self.core.slab.len();
                    self.leave_group();
                }
                return false;
            }
            Accepted::Failed => self.counters().accept_errors.add(1),
        }
        true
    }

    /// Takes a connection in, or tells it why not.
    fn admit(&mut self, mut stream: N::Stream, from: IpAddr) {
        let id = self.core.slab.next_id();
        let (counted, refusal) = match self.refusal().map_or_else(|| self.count(from), Err) {
            Ok(counted) => (counted, None),
            Err(refusal) => (None, Some(refusal)),
        };
        // Those who are told why wait for their peer's FIN; a crowd of them is just closed.
        let crowded = self.counters().turned_away.get() >= TURNED_AWAY;
        if refusal.is_some() && crowded {
            return self.counters().refused.add(1);
        }
        if self.core.kit.net.register(&mut stream, id, false).is_err() {
            self.uncount(counted);
            return self.counters().accept_errors.add(1);
        }
        let mut slot = Slot::new(stream, Conn::server(&mut self.core.kit.gear), None);
        slot.counted = counted;
        self.core.admit(slot);
        if let Some(refusal) = refusal {
            self.counters().turned_away.add(1);
            if let Some(slot) = self.core.slab.get_mut(id) {
                slot.turned_away = true;
                slot.conn.refuse(&refusal, &mut self.core.kit.gear);
                self.core.kit.flush(id, slot, &[]);
            }
        }
    }

    /// Counts a connection for its address, if that is limited and not reached.
    fn count(&self, from: IpAddr) -> Result<Option<Counted>, Refusal> {
        let Some(addresses) = &self.limits.addresses else { return Ok(None) };
        let limit = addresses.limit();
        addresses.enter(from).map(Some).ok_or(Refusal::PerAddress { limit })
    }

    /// A connection that was counted is gone.
    pub(super) fn uncount(&self, counted: Option<Counted>) {
        if let (Some(addresses), Some(counted)) = (&self.limits.addresses, counted) {
            addresses.leave(counted);
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        if self.draining.is_some() {
            return Some(Refusal::ShuttingDown);
        }
        let sum =
            |of: fn(&Counters) -> u64| self.place.counters.iter().map(of).sum::<u64>() as usize;
        let limit = self.limits.group_connections;
        let here = sum(|c| c.connections.get().saturating_sub(c.turned_away.get()));
        if here >= limit {
            return Some(Refusal::Full { limit });
        }
        (self.group_buffered() > self.limits.buffered / 20 * 17).then_some(Refusal::Overloaded)
    }

    /// A shard that is full would strand its share of new connections: it leaves the group.
    pub(super) fn leave_group(&mut self) {
        if self.listening {
            self.core.kit.net.unlisten();
            self.listening = false;
            self.listener_ready = false;
            self.accept_after = Some(self.now + TICK);
        }
    }

    /// Back once some room is free, not for one place: each leave resets what is queued.
    fn rejoin(&mut self) {
        let wanted = self.limits.shard_connections > 0 && self.draining.is_none();
        let some = self.core.slab.len() < self.room - self.room / 32;
        if some && wanted && self.core.kit.net.listen().is_ok() {
            self.listening = true;
            self.room = self.limits.shard_connections;
        } else if wanted {
            self.accept_after = Some(self.now + TICK);
        }
    }
}
