//! The loop's ears: what a report leads to, and the read turn of one connection.

use std::time::Instant;

use super::app::App;
use super::net::{Net, Ready, Received, Source};
use super::reactor::{FRONT, Reactor, cx};
use super::slab::ConnId;
use super::turn;
use crate::conn::{End, Input};

impl<N: Net, A: App> Reactor<N, A> {
    pub(super) fn report(&mut self, report: Ready) {
        match report.source {
            Source::Listener => self.listener_ready = true,
            // Drained each turn anyway; the report has done its work by ending the sleep.
            Source::Mail => {}
            Source::Conn(id) => {
                let Some(slot) = self.core.slab.get_mut(id) else { return };
                slot.readable |= report.readable;
                slot.hangup |= report.hangup;
                if slot.connecting && (report.writable || report.hangup) {
                    self.connected(id);
                } else if report.writable && slot.conn.owes() {
                    self.core.pay(id);
                    self.core.after(id);
                    self.tell_flushed();
                }
                // Whoever stands in the ready list has its turn there, once: a second entry for
                // each report would give a flood more turns the longer it lasts.
                if self.core.slab.get_mut(id).is_some_and(|slot| !slot.queued) {
                    self.read_turn(id);
                }
            }
        }
    }

    /// Client: a connect is decided.
    pub(super) fn connected(&mut self, id: ConnId) {
        let now = self.event_time();
        let Self { core, app, place, .. } = self;
        let Some(slot) = core.slab.get_mut(id) else { return };
        slot.connecting = false;
        if let Err(fault) = core.net.established(&mut slot.stream) {
            slot.conn.handle_fault(End::Connect(fault));
        } else {
            if let Some(mut peer) = slot.peer(id, &mut core.gear) {
                app.connected(&mut cx(place, now), &mut peer);
            }
            slot.conn.ask(&mut core.gear);
        }
        core.flush(id, None);
        self.tell_flushed();
    }

    /// The time of an event for an App that measures, of the turn for one that does not.
    #[inline]
    pub(super) fn event_time(&self) -> Instant {
        if A::PRECISE { self.core.net.now() } else { self.now }
    }

    /// One read, its events, one write.
    #[inline]
    pub(super) fn read_turn(&mut self, id: ConnId) {
        let core = &mut self.core;
        let Some(slot) = core.slab.get_mut(id) else { return };
        slot.queued = false;
        if !slot.readable || slot.paused() || slot.doomed {
            return;
        }
        if let Some(state) = &slot.state
            && !self.app.may_read(&mut cx(&self.place, self.now), id, state)
        {
            slot.paused_by_app = true;
            return;
        }
        let direct = slot.conn.direct(&mut core.gear).unwrap_or_default();
        let direct_len = direct.len();
        let outcome = core.net.read(&mut slot.stream, direct, &mut self.buffer[FRONT..]);
        self.place.counters[self.place.index].reads.add(1);
        match outcome {
            Received::Bytes { n, drained } => {
                slot.readable = !drained || slot.hangup;
                self.interpret(id, n, direct_len);
                return;
            }
            Received::Blocked => {
                slot.readable = false;
                return;
            }
            Received::Eof => slot.conn.handle_eof(),
            Received::Failed(why) => slot.conn.handle_fault(End::Socket(why)),
        }
        slot.readable = false;
        core.after(id);
    }

    #[inline]
    pub(super) fn interpret(&mut self, id: ConnId, n: usize, direct_len: usize) {
        let now = self.event_time();
        let Self { core, app, place, buffer, .. } = self;
        let Some(slot) = core.slab.get_mut(id) else { return };
        place.counters[place.index].bytes_in.add(n as u64);
        slot.conn.heard(&core.gear);
        let from_direct = n.min(direct_len);
        if from_direct > 0 {
            slot.conn.received(from_direct, &mut core.gear);
        }
        let kept = slot.conn.restore_tail(&mut buffer[..FRONT], &mut core.gear);
        let (start, end) = (FRONT - kept, FRONT + n - from_direct);
        let mut input = Input::new(&mut buffer[start..end], start);
        turn::events(slot, id, &mut core.gear, app, &mut cx(place, now), &mut input);
        core.flush(id, Some(buffer));
        self.tell_flushed();
    }

    /// Tells an App that measures which connections' bytes are with the kernel.
    #[inline]
    pub(super) fn tell_flushed(&mut self) {
        if A::PRECISE {
            let mut flushed = std::mem::take(&mut self.core.flushed);
            for (id, at) in flushed.drain(..) {
                if let Some(state) = self.core.slab.get_mut(id).and_then(|s| s.state.as_mut()) {
                    self.app.flushed(state, at);
                }
            }
            self.core.flushed = flushed;
        }
    }
}
