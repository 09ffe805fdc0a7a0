//! One connection's turn: one read, its events to the App, one write. A short read means drained,
//! unless FIN or an error was reported with it.

use super::app::App;
use super::context::Cx;
use super::core::Kit;
use super::net::{Net, Ready, Received};
use super::slab::ConnId;
use super::slot::{Hold, Slot};
use crate::conn::{Control, End, Event, Input, MAX_TAIL, Message};
use crate::wire::handshake::parse_request;

/// Room in front of what is read, for the incomplete bytes of the read before.
pub(super) const FRONT: usize = MAX_TAIL.next_multiple_of(64);

/// A connection, looked up once, and everything that its turn needs.
pub(super) struct Turn<'a, N: Net, A: App> {
    pub(super) id: ConnId,
    pub(super) slot: &'a mut Slot<N::Stream, A::State>,
    pub(super) kit: &'a mut Kit<N>,
    pub(super) app: &'a mut A,
    pub(super) cx: Cx<'a, A::Mail>,
    /// The shard's read buffer, until a read has used it.
    pub(super) buffer: &'a mut [u8],
}

impl<N: Net, A: App> Turn<'_, N, A> {
    // What leads to a turn.

    /// The poll reported something.
    #[inline]
    pub(super) fn report(&mut self, report: Ready) {
        let slot = &mut *self.slot;
        slot.readable |= report.readable;
        slot.hangup |= report.hangup;
        if report.writable || !slot.holds.is_empty() {
            self.writable(report);
        }
        // Whoever stands in the ready list has its turn there, once: a second entry for each report
        // would give a flood more turns the longer it lasts.
        if !self.slot.queued {
            self.read();
        }
    }

    #[inline(never)]
    fn writable(&mut self, report: Ready) {
        if self.slot.holds.has(Hold::Connecting) {
            if report.writable || report.hangup {
                self.connected();
            }
        } else if report.writable && self.slot.conn.owes() {
            self.kit.pay(self.id, self.slot);
            self.kit.after(self.id, self.slot);
            self.tell_flushed();
        }
    }

    /// Client: a connect is decided.
    fn connected(&mut self) {
        self.look_at_the_clock();
        let Self { id, slot, kit, app, cx, .. } = self;
        slot.holds.lift(Hold::Connecting);
        if let Err(fault) = kit.net.established(&mut slot.stream) {
            slot.conn.handle_fault(End::Connect(fault));
        } else {
            if let Some(mut peer) = slot.peer(*id, &mut kit.gear) {
                app.connected(cx, &mut peer);
            }
            slot.conn.ask(&mut kit.gear);
        }
        self.flush(&[]);
    }

    /// Its deadline has come.
    pub(super) fn deadline(&mut self) {
        if self.slot.conn.is_overdue(&self.kit.gear) {
            // After a stall its bytes may lie in the socket, unreported yet.
            self.slot.readable = true;
            self.read();
        }
        let Self { slot, kit, .. } = self;
        // The read may have been refused, or have led to a debt.
        if !slot.holds.is_empty() {
            slot.conn.excuse(slot.holds.has(Hold::App), &kit.gear);
        }
        if self.slot.conn.handle_deadline(&mut self.kit.gear) {
            self.kit.counters().pings_out.add(1);
        }
        self.flush(&[]);
    }

    // The turn.

    /// One read, its events, one write.
    #[inline]
    pub(super) fn read(&mut self) {
        let Self { id, slot, kit, app, cx, buffer } = self;
        slot.queued = false;
        if !slot.readable || !slot.holds.is_empty() {
            return;
        }
        if let Some(state) = &slot.state
            && !app.may_read(cx, *id, state)
        {
            slot.holds.add(Hold::App);
            return;
        }
        let direct = slot.conn.direct(&mut kit.gear).unwrap_or_default();
        let direct_len = direct.len();
        let outcome = kit.net.read(&mut slot.stream, direct, &mut buffer[FRONT..]);
        kit.flow.reads += 1;
        match outcome {
            Received::Bytes { n, drained } => {
                slot.readable = !drained || slot.hangup;
                self.interpret(n, direct_len);
            }
            other => self.nothing_came(other),
        }
    }

    #[inline(never)]
    fn nothing_came(&mut self, outcome: Received) {
        self.slot.readable = false;
        match outcome {
            Received::Bytes { .. } | Received::Blocked => return,
            Received::Eof => self.slot.conn.handle_eof(),
            Received::Failed(why) => self.slot.conn.handle_fault(End::Socket(why)),
        }
        self.kit.after(self.id, self.slot);
    }

    /// `n` bytes came, the first of them, up to `direct_len`, into the connection's own buffer.
    #[inline]
    fn interpret(&mut self, n: usize, direct_len: usize) {
        self.look_at_the_clock();
        let Self { slot, kit, buffer, .. } = self;
        let buffer = std::mem::take(buffer);
        kit.flow.bytes_in += n as u64;
        slot.conn.heard(&kit.gear);
        let from_direct = n.min(direct_len);
        if from_direct > 0 {
            slot.conn.received(from_direct, &mut kit.gear);
        }
        let kept = slot.conn.restore_tail(&mut buffer[..FRONT], &mut kit.gear);
        let (start, end) = (FRONT - kept, FRONT + n - from_direct);
        self.events(&mut Input::new(&mut buffer[start..end], start));
        self.flush(buffer);
    }

    /// Feeds every event of the input to the App. Answers gather in the gear's stage.
    #[inline]
    fn events(&mut self, input: &mut Input<'_>) {
        loop {
            while let Some(message) = self.slot.conn.next_whole(input, &mut self.kit.gear) {
                self.message(message);
            }
            if self.slot.conn.has_done(input) {
                return;
            }
            let Some(event) = self.slot.conn.next_other(input, &mut self.kit.gear) else { return };
            self.handle(event);
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "a call for each small message is a tenth of its cost"
    )]
    #[inline(always)]
    fn message(&mut self, mut message: Message<'_>) {
        let Self { id, slot, kit, app, cx, .. } = self;
        if let Some(mut peer) = slot.peer(*id, &mut kit.gear) {
            app.message(cx, &mut peer, &mut message);
        }
        message.reclaim(&mut kit.gear.pool);
    }

    /// One event of any kind.
    #[inline(never)]
    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Message(message) => self.message(message),
            Event::Control(control) => self.control(control),
            Event::Head(head) => self.upgrade(&head),
            Event::Opened => self.opened(),
        }
    }

    fn control(&mut self, control: Control<'_>) {
        let Self { id, slot, kit, app, cx, .. } = self;
        if matches!(control, Control::Ping(_)) {
            kit.counters().pings_in.add(1);
        }
        if let Some(mut peer) = slot.peer(*id, &mut kit.gear) {
            app.control(cx, &mut peer, control);
        }
    }

    /// Server: a whole request head. The App decides, the connection answers.
    fn upgrade(&mut self, head: &[u8]) {
        let Self { slot, kit, app, cx, .. } = self;
        let outcome = parse_request(head).and_then(|request| {
            app.accept(cx, &request).map(|welcome| (welcome, request.accept()))
        });
        match outcome {
            Ok((welcome, key)) => {
                slot.conn.accept(&key, welcome.protocol.as_deref(), &mut kit.gear);
                slot.state = Some(welcome.state);
                self.opened();
            }
            Err(refusal) => slot.conn.refuse(&refusal, &mut kit.gear),
        }
    }

    fn opened(&mut self) {
        let Self { id, slot, kit, app, cx, .. } = self;
        slot.opened = true;
        kit.counters().opened.add(1);
        kit.counters().open.add(1);
        if let Some(mut peer) = slot.peer(*id, &mut kit.gear) {
            app.open(cx, &mut peer);
        }
    }

    // Its end.

    #[inline]
    fn flush(&mut self, input: &[u8]) {
        self.kit.flush(self.id, self.slot, input);
        self.tell_flushed();
    }

    #[inline]
    fn tell_flushed(&mut self) {
        if A::PRECISE {
            for (id, at) in self.kit.flushed.drain(..) {
                debug_assert_eq!(id, self.id, "each phase of the loop tells of its own");
                if let Some(state) = &mut self.slot.state {
                    self.app.flushed(state, at);
                }
            }
        }
    }

    /// The time of an event for an App that measures, of the loop's turn for one that does not.
    #[inline]
    fn look_at_the_clock(&mut self) {
        if A::PRECISE {
            self.cx.now = self.kit.net.now();
        }
    }
}
