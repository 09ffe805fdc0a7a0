//! What a shard owns besides its App: sockets, connections, buffers, deadlines; and how bytes
//! leave.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::addresses::Counted;
use super::counters::Counters;
use super::net::{Net, Sent};
use super::slab::{ConnId, Slab};
use super::sockets::MAX_PARTS;
use super::wheel::Wheel;
use crate::conn::{Conn, End, Gear, Step};

/// One connection in the slab.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, a byte each")]
pub(super) struct Slot<T, S> {
    pub(super) stream: T,
    pub(super) conn: Conn,
    /// The App's own data: a server's connection has none before its request is accepted.
    pub(super) state: Option<S>,
    /// What it counts for its address.
    pub(super) counted: Option<Counted>,
    /// A connect is under way.
    pub(super) connecting: bool,
    /// Reports of writability were asked for.
    pub(super) watches_writable: bool,
    /// There may be more to read, and no report will come.
    pub(super) readable: bool,
    /// FIN or an error was reported: read to the end.
    pub(super) hangup: bool,
    /// It stands in the ready list.
    pub(super) queued: bool,
    /// It owes more than the water mark.
    pub(super) paused_by_debt: bool,
    /// The App wants no more from it for now.
    pub(super) paused_by_app: bool,
    /// Its handshake was completed.
    pub(super) opened: bool,
    /// It was refused for want of room.
    pub(super) turned_away: bool,
    /// It is to be closed at the end of the batch.
    pub(super) doomed: bool,
}

impl<T, S> Slot<T, S> {
    pub(super) fn new(stream: T, conn: Conn, state: Option<S>) -> Self {
        Self {
            stream,
            conn,
            state,
            counted: None,
            connecting: false,
            watches_writable: false,
            readable: false,
            hangup: false,
            queued: false,
            paused_by_debt: false,
            paused_by_app: false,
            opened: false,
            turned_away: false,
            doomed: false,
        }
    }

    #[inline]
    pub(super) fn paused(&self) -> bool {
        self.paused_by_debt || self.paused_by_app || self.connecting
    }
}

/// The shard's possessions.
pub(super) struct Core<N: Net, S> {
    pub(super) net: N,
    pub(super) slab: Slab<Slot<N::Stream, S>>,
    pub(super) gear: Gear,
    pub(super) wheel: Wheel,
    /// Connections with something left to read and no report to come.
    pub(super) ready: VecDeque<ConnId>,
    /// Connections whose bytes are all with the kernel, and since when; for the App to hear of.
    pub(super) flushed: Vec<(ConnId, Instant)>,
    /// Connections to close at the end of the batch.
    pub(super) doomed: Vec<ConnId>,
    /// The connection that the stage belongs to, outside of read turns.
    current: ConnId,
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
        Self {
            net,
            slab: Slab::default(),
            gear,
            wheel: Wheel::default(),
            ready: VecDeque::new(),
            flushed: Vec::new(),
            doomed: Vec::new(),
            current: ConnId::NONE,
            precise,
            all_counters: counters,
            index,
        }
    }

    #[inline]
    pub(super) fn counters(&self) -> &Counters {
        &self.all_counters[self.index]
    }

    /// Puts a connection into the slab.
    pub(super) fn admit(&mut self, slot: Slot<N::Stream, S>) -> ConnId {
        self.counters().accepted.add(1);
        self.counters().connections.add(1);
        let id = self.slab.insert(slot);
        self.after(id);
        id
    }

    /// Writes what the last connection was sent, and gives the stage to this one.
    #[inline]
    pub(super) fn turn_to(&mut self, id: ConnId) {
        if self.current != id {
            let last = std::mem::replace(&mut self.current, id);
            if last != ConnId::NONE {
                self.flush(last, None);
            }
        }
    }

    /// Puts a connection into the ready list, once.
    #[inline]
    pub(super) fn queue(&mut self, id: ConnId) {
        if let Some(slot) = self.slab.get_mut(id)
            && slot.readable
            && !slot.queued
            && !slot.paused()
        {
            slot.queued = true;
            self.ready.push_back(id);
        }
    }

    /// One write for the turn of a connection. `input` is the read buffer that parts may lie in.
    #[inline]
    pub(super) fn flush(&mut self, id: ConnId, input: Option<&[u8]>) {
        let Some(slot) = self.slab.get_mut(id) else {
            return self.gear.stage.clear(&mut self.gear.pool);
        };
        let input = input.unwrap_or_default();
        if !self.gear.stage.is_empty() {
            if slot.conn.owes() || slot.connecting {
                slot.conn.settle(0, input, &mut self.gear);
                self.pay(id);
            } else {
                self.write_stage(id, input);
            }
        }
        self.after(id);
    }

    #[inline]
    fn write_stage(&mut self, id: ConnId, input: &[u8]) {
        let at = self.precise.then(|| self.net.now());
        let Some(slot) = self.slab.get_mut(id) else { return };
        let (sent, offered) = match self.gear.stage.single(input) {
            Some(one) => (self.net.write(&mut slot.stream, &[one]), one.len()),
            None => write_parts(&mut self.net, &mut slot.stream, self.gear.stage.slices(input)),
        };
        let written = match sent {
            Sent::Bytes(n) => n,
            Sent::Blocked => 0,
            Sent::Failed(why) => {
                slot.conn.handle_fault(End::Socket(why));
                self.gear.stage.clear(&mut self.gear.pool);
                return;
            }
        };
        slot.conn.settle(written, input, &mut self.gear);
        let owes = slot.conn.owes();
        count_writes(self.counters(), 1, written as u64);
        if !owes {
            self.flushed.extend(at.map(|at| (id, at)));
        } else if written < offered {
            self.watch_writable(id);
        } else {
            // More parts than one call takes.
            self.pay(id);
        }
    }

    /// Writes what is owed until the socket takes no more. The debt is bounded, so is the work.
    pub(super) fn pay(&mut self, id: ConnId) {
        loop {
            let at = self.precise.then(|| self.net.now());
            let Some(slot) = self.slab.get_mut(id) else { return };
            if slot.conn.pending() == 0 {
                return;
            }
            let (sent, offered) = write_parts(&mut self.net, &mut slot.stream, slot.conn.owed());
            let written = match sent {
                Sent::Bytes(n) => n,
                Sent::Blocked => 0,
                Sent::Failed(why) => return slot.conn.handle_fault(End::Socket(why)),
            };
            slot.conn.paid(written, &mut self.gear);
            let owes = slot.conn.owes();
            count_writes(self.counters(), 1, written as u64);
            if !owes {
                self.flushed.extend(at.map(|at| (id, at)));
                return;
            }
            if written < offered {
                return self.watch_writable(id);
            }
        }
    }

    /// Asks for reports of writability, the first time. Later ones come by themselves: a write that
    /// fell short has told the kernel that somebody waits.
    pub(super) fn watch_writable(&mut self, id: ConnId) {
        if let Some(slot) = self.slab.get_mut(id)
            && !slot.watches_writable
        {
            slot.watches_writable = true;
            if self.net.watch_writable(&mut slot.stream, id).is_err() {
                slot.conn.handle_fault(End::Socket("the poll takes no more sockets"));
            }
        }
    }

    /// What every turn of a connection ends with: pauses, deadlines, FIN, close.
    #[inline]
    pub(super) fn after(&mut self, id: ConnId) {
        let Some(slot) = self.slab.get_mut(id) else { return };
        let pending = slot.conn.pending();
        let mark = self.gear.settings.max_pending;
        if pending > mark && !slot.paused_by_debt {
            slot.paused_by_debt = true;
            self.all_counters[self.index].pauses.add(1);
        } else if slot.paused_by_debt && pending <= mark / 2 {
            slot.paused_by_debt = false;
        }
        let step = slot.conn.step(&self.gear);
        if let Some(at) = slot.conn.take_deadline() {
            self.wheel.arm(id.index, at);
        }
        match step {
            Step::Stay => {}
            Step::Finish => self.net.finish(&mut slot.stream),
            Step::Close => {
                if !std::mem::replace(&mut slot.doomed, true) {
                    self.doomed.push(id);
                }
            }
        }
        self.queue(id);
    }
}

#[inline]
pub(super) fn count_writes(counters: &Counters, calls: u64, bytes: u64) {
    counters.writes.add(calls);
    counters.bytes_out.add(bytes);
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
