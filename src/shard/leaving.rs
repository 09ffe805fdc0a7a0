//! How connections leave other than by themselves: a drain, and a shortage of memory.

use super::app::App;
use super::core::Kit;
use super::counters::Counters;
use super::net::Net;
use super::reactor::Reactor;
use crate::conn::Tick;
use crate::limits;

/// Connections asked to leave in one turn.
const DRAIN_SLICE: usize = 1024;
/// Bytes held below which the other shards' counters are not read each turn.
const SHED_ABOVE: usize = 1 << 20;

impl<N: Net, A: App> Reactor<N, A> {
    pub(super) fn begin_drain(&mut self) {
        if self.draining.is_none() {
            self.draining = Some(0);
            // Who is queued already hears why; closing the listener would reset them. No more than
            // a queue's worth: a storm of connects must not put the drain off for ever.
            for _ in 0..limits::BACKLOG {
                if !self.listening || !self.accept_one() {
                    break;
                }
            }
            self.leave_group();
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
                let (code, reason) = A::farewell(slot.state.as_ref());
                slot.conn.go_away(code, reason, &mut self.core.kit.gear);
                self.core.kit.flush(id, slot, &[]);
            }
        }
        self.draining = Some(end);
    }

    /// Makes this turn's gauges public, and sheds debtors when memory is short.
    pub(super) fn publish(&mut self) {
        let Kit { gear, flow, .. } = &mut self.core.kit;
        let counters = &self.place.counters[self.place.index];
        flow.publish(counters);
        counters.messages_in.add(std::mem::take(&mut gear.received));
        counters.messages_out.add(std::mem::take(&mut gear.sent));
        counters.refused.add(std::mem::take(&mut gear.refused));
        let memory = self.core.slab.memory() + self.buffer.len() + gear.kept();
        counters.memory_bytes.set(memory as u64);
        self.publish_buffered();
        let gear = &self.core.kit.gear;
        if gear.buffered() + gear.shared().get() > SHED_ABOVE {
            self.shed();
        }
    }

    /// Bytes that connections and the App hold here, blocks excepted: those are the group's.
    pub(super) fn publish_buffered(&self) {
        let here = self.core.kit.gear.buffered() + self.app.buffered();
        self.counters().buffered_bytes.set(here as u64);
        self.counters().shared_bytes.set(self.core.kit.gear.shared().get() as u64);
    }

    /// Bytes that the whole group holds for peers, each block counted once.
    pub(super) fn group_buffered(&self) -> usize {
        let shards: u64 = self.place.counters.iter().map(|c| c.buffered_bytes.get()).sum();
        shards as usize + self.core.kit.gear.blocks().get()
    }

    /// Over 95 % of the process's memory for pending bytes, the largest debtor is closed: by the
    /// shard that holds the most.
    fn shed(&mut self) {
        let held = |c: &Counters| c.buffered_bytes.get() + c.shared_bytes.get();
        let over = self.group_buffered() > self.limits.buffered / 20 * 19;
        let most = self.place.counters.iter().map(held).max() == Some(held(self.counters()));
        if !over || !most || self.core.kit.gear.now < self.shed_after {
            return;
        }
        let debts = self.core.slab.iter().map(|(id, slot)| (slot.conn.memory(), id));
        match debts.max() {
            Some((debt, id)) if debt > 0 => {
                if let Some(slot) = self.core.slab.get_mut(id) {
                    slot.conn.shed(&mut self.core.kit.gear);
                    self.core.kit.after(id, slot);
                }
            }
            // Nobody here owes it: look again later, not each turn.
            _ => self.shed_after = Tick(self.core.kit.gear.now.0 + 1),
        }
    }
}
