//! How connections leave other than by themselves: a drain, and a shortage of memory.

use super::app::App;
use super::net::Net;
use super::reactor::Reactor;

/// Connections asked to leave in one turn.
const DRAIN_SLICE: usize = 1024;

impl<N: Net, A: App> Reactor<N, A> {
    pub(super) fn begin_drain(&mut self) {
        if self.draining.is_none() {
            self.core.net.unlisten();
            self.listening = false;
            self.listener_ready = false;
            self.draining = Some(0);
        }
    }

    pub(super) fn drain_goes_on(&self) -> bool {
        self.draining.is_some_and(|next| next < self.core.slab.places())
    }

    /// Asks a slice of the connections to leave.
    pub(super) fn drain_slice(&mut self) {
        let Some(next) = self.draining else { return };
        let end = (next + DRAIN_SLICE).min(self.core.slab.places());
        for index in next..end {
            let Some(id) = self.core.slab.id_at(index) else { continue };
            if let Some(slot) = self.core.slab.get_mut(id) {
                slot.conn.go_away(&mut self.core.gear);
            }
            self.core.flush(id, None);
        }
        self.draining = Some(end);
    }

    /// Makes this turn's gauges public, and sheds debtors when memory is short.
    pub(super) fn publish(&mut self) {
        let gear = &mut self.core.gear;
        let counters = &self.place.counters[self.place.index];
        counters.messages_out.add(std::mem::take(&mut gear.sent));
        counters.buffered_bytes.set(gear.buffered() as u64);
        counters.memory_bytes.set((self.core.slab.memory() + self.buffer.len()) as u64);
        if gear.buffered() > 1 << 20 {
            self.shed();
        }
    }

    /// Over 95 % of the process's memory for pending bytes, the largest debtor here is closed.
    pub(super) fn shed(&mut self) {
        let counters = &self.place.counters;
        let total: u64 = counters.iter().map(|c| c.buffered_bytes.get()).sum();
        if total as usize <= self.limits.buffered / 100 * 95 {
            return;
        }
        let debts = self.core.slab.iter().map(|(id, slot)| (slot.conn.memory(), id));
        let Some((debt, id)) = debts.max() else { return };
        if debt > 0
            && let Some(slot) = self.core.slab.get_mut(id)
        {
            slot.conn.shed(&mut self.core.gear);
            self.core.after(id);
        }
    }
}
