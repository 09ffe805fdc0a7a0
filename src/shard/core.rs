//! What a shard owns besides its App: connections, and the kit that each of them is lent for its
//! turn; and how bytes leave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::counters::{Counters, Flow};
use super::net::{Net, Sent};
use super::slab::{ConnId, Slab};
use super::slot::{Hold, Slot};
use super::sockets::MAX_PARTS;
use super::wheel::Wheel;
use crate::conn::{End, Gear, Step};

/// The shard's possessions.
pub(super) struct Core<N: Net, S> {
    pub(super) slab: Slab<Slot<N::Stream, S>>,
    pub(super) kit: Kit<N>,
    /// The connection that the stage belongs to, outside of read turns.
    current: ConnId,
}

/// What a connection is lent for its turn: the gear of [`crate::conn`], which touches no system,
/// and around it the network, the deadlines and the lists that the loop works through.
pub(super) struct Kit<N> {
    pub(super) net: N,
    pub(super) gear: Gear,
    pub(super) wheel: Wheel,
    /// Connections with something left to read and no report to come.
    pub(super) ready: VecDeque<ConnId>,
    /// Connections whose bytes are all with the kernel, and since when; for the App to hear of.
    pub(super) flushed: Vec<(ConnId, Instant)>,
    /// Connections to close at the end of the batch.
    pub(super) doomed: Vec<ConnId>,
    /// What moved since the loop last published it.
    pub(super) flow: Flow,
    precise: bool,
    all_counters: Arc<[Counters]>,
    index: usize,
}

impl<N: Net, S> Core<N, S> {
    pub(super) fn new(
        net: N,
        gear: Gear,
        precise: bool,
        counters: Arc<[Counters]>,
        index: usize,
    ) -> Self {
        let kit = Kit {
            net,
            gear,
            wheel: Wheel::default(),
            ready: VecDeque::new(),
            flushed: Vec::new(),
            doomed: Vec::new(),
            flow: Flow::default(),
            precise,
            all_counters: counters,
            index,
        };
        Self { slab: Slab::default(), kit, current: ConnId::NONE }
    }

    /// Puts a connection into the slab.
    pub(super) fn admit(&mut self, slot: Slot<N::Stream, S>) -> ConnId {
        self.kit.counters().accepted.add(1);
        self.kit.counters().connections.add(1);
        let id = self.slab.insert(slot);
        if let Some(slot) = self.slab.get_mut(id) {
            self.kit.after(id, slot);
        }
        id
    }

    /// Writes what the last connection was sent, and gives the stage to this one.
    #[inline]
    pub(super) fn turn_to(&mut self, id: ConnId) {
        if self.current != id {
            let last = std::mem::replace(&mut self.current, id);
            if last != ConnId::NONE {
                self.flush(last);
            }
        }
    }

    /// Ends the turn of a connection that did not read.
    pub(super) fn flush(&mut self, id: ConnId) {
        match self.slab.get_mut(id) {
            Some(slot) => self.kit.flush(id, slot, &[]),
            None => self.kit.gear.stage.clear(&mut self.kit.gear.pool),
        }
    }
}

impl<N: Net> Kit<N> {
    pub(super) fn counters(&self) -> &Counters {
        &self.all_counters[self.index]
    }

    /// What every turn of a connection ends with: one write of what was staged, and its
    /// consequences. `input` is the read buffer that parts may lie in.
    #[inline]
    pub(super) fn flush<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>, input: &[u8]) {
        if !self.gear.stage.is_empty() {
            if slot.conn.owes() || slot.holds.has(Hold::Connecting) {
                slot.conn.settle(0, input, &mut self.gear);
                self.pay(id, slot);
            } else {
                self.write_stage(id, slot, input);
            }
        }
        self.after(id, slot);
    }

    #[inline]
    fn write_stage<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>, input: &[u8]) {
        let at = self.precise.then(|| self.net.now());
        let (sent, offered) = match self.gear.stage.single(input) {
            Some(one) => (self.net.write(&mut slot.stream, &[one]), one.len()),
            None => write_parts(&mut self.net, &mut slot.stream, self.gear.stage.slices(input)),
        };
        let written = match sent {
            Sent::Bytes(n) => n,
            Sent::Blocked => 0,
            Sent::Failed(why) => {
                self.flow.wrote(1, 0);
                slot.conn.handle_fault(End::Socket(why));
                self.gear.stage.clear(&mut self.gear.pool);
                return;
            }
        };
        slot.conn.settle(written, input, &mut self.gear);
        self.flow.wrote(1, written as u64);
        if !slot.conn.owes() {
            self.flushed.extend(at.map(|at| (id, at)));
        } else if written < offered {
            self.watch_writable(id, slot);
        } else {
            // More parts than one call takes.
            self.pay(id, slot);
        }
    }

    /// Writes what is owed until the socket takes no more. The debt is bounded, so is the work.
    #[inline(never)]
    pub(super) fn pay<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>) {
        while slot.conn.pending() > 0 {
            let at = self.precise.then(|| self.net.now());
            let (sent, offered) = write_parts(&mut self.net, &mut slot.stream, slot.conn.owed());
            let written = match sent {
                Sent::Bytes(n) => n,
                Sent::Blocked => 0,
                Sent::Failed(why) => {
                    self.flow.wrote(1, 0);
                    return slot.conn.handle_fault(End::Socket(why));
                }
            };
            slot.conn.paid(written, &mut self.gear);
            self.flow.wrote(1, written as u64);
            if !slot.conn.owes() {
                self.flushed.extend(at.map(|at| (id, at)));
                return;
            }
            if written < offered {
                return self.watch_writable(id, slot);
            }
        }
    }

    /// Asks for reports of writability, the first time. Later ones come by themselves: a write that
    /// fell short has told the kernel that somebody waits.
    pub(super) fn watch_writable<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>) {
        if !slot.watches_writable {
            slot.watches_writable = true;
            if self.net.watch_writable(&mut slot.stream, id).is_err() {
                slot.conn.handle_fault(End::Socket("the poll takes no more sockets"));
            }
        }
    }

    /// Pauses, deadlines, FIN, close; and the ready list.
    #[inline]
    pub(super) fn after<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>) {
        if !(slot.conn.is_settled() && slot.holds.is_empty()) {
            self.follow(id, slot);
        }
        self.queue(id, slot);
    }

    /// What changed with a connection that is not just open with nothing owed.
    #[inline(never)]
    fn follow<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>) {
        let pending = slot.conn.pending();
        let mark = self.gear.settings.max_pending;
        let paused = slot.holds.has(Hold::Debt);
        if pending > mark && !paused {
            slot.holds.add(Hold::Debt);
            self.counters().pauses.add(1);
        } else if paused && pending <= mark / 2 {
            slot.holds.lift(Hold::Debt);
        }
        let step = slot.conn.step(&self.gear);
        if let Some(at) = slot.conn.take_deadline() {
            self.wheel.arm(id.index, at);
        }
        match step {
            Step::Stay => {}
            Step::Finish => self.net.finish(&mut slot.stream),
            Step::Close => {
                if !slot.holds.has(Hold::Doomed) {
                    slot.holds.add(Hold::Doomed);
                    self.doomed.push(id);
                }
            }
        }
    }

    /// Puts a connection into the ready list, once.
    #[inline]
    pub(super) fn queue<S>(&mut self, id: ConnId, slot: &mut Slot<N::Stream, S>) {
        if slot.readable && !slot.queued && slot.holds.is_empty() {
            slot.queued = true;
            self.ready.push_back(id);
        }
    }
}

/// One write of the first parts; how many bytes that offered.
fn write_parts<'a, N: Net>(
    net: &mut N,
    stream: &mut N::Stream,
    slices: impl Iterator<Item = &'a [u8]>,
) -> (Sent, usize) {
    let mut parts = [&[][..]; MAX_PARTS];
    let mut count = 0;
    for (place, part) in parts.iter_mut().zip(slices) {
        *place = part;
        count += 1;
    }
    let parts = &parts[..count];
    (net.write(stream, parts), parts.iter().map(|part| part.len()).sum())
}
