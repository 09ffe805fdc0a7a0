//! The loop. One turn runs, in this order:
//!
//! 1. **poll**: sleep until readiness, mail or the nearest deadline; not at all while work is left over;
//! 2. **reports**: each ready connection has one read turn: one read, its events to the App, one write.
//!    A short read means drained, unless FIN or an error was reported with it; what is not drained goes
//!    to the ready list instead of being read again at once, so nobody starves;
//! 3. **accepts**: a bounded batch; a full descriptor table pauses them for a tick, and no report is lost
//!    because the loop remembers that the listener was ready;
//! 4. **ready list**: one read turn for each that stood there when the phase began;
//! 5. **mail**, then the main thread's command (drain, stop);
//! 6. **deadlines**: the wheel's due connections, then the App's own timer;
//! 7. **the App's turn**: what it gathered from this batch goes out; it may ask to be called again;
//! 8. **burials**: connections that ended are closed here and nowhere else, so that an id stays good for
//!    the whole batch.
//!
//! Nothing here blocks, locks, or logs; a connection's error ends that connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::app::App;
use super::context::Cx;
use super::core::{Core, Slot};
use super::counters::Counters;
use super::mailbox::{Command, Post};
use super::net::{Accepted, Net, Ready, Received, Source};
use super::peers::Peers;
use super::slab::ConnId;
use super::turn;
use crate::conn::{Conn, End, Gear, Input, MAX_TAIL, Settings, Tick};
use crate::wire::handshake::Refusal;

/// Room in front of what is read, for the incomplete bytes of the read before.
const FRONT: usize = MAX_TAIL.next_multiple_of(64);

/// One tick of the coarse clock.
const TICK: Duration = Duration::from_millis(Tick::MILLIS as u64);

/// Bounds of one shard's loop.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of the whole group; one more is refused with 503.
    pub group_connections: usize,
    /// Connections of this shard: near it the shard leaves the listening group to the others.
    pub shard_connections: usize,
    /// Bytes held by the whole group for slow peers and half-received messages.
    pub buffered: usize,
    /// Accepts in one turn.
    pub accepts_per_turn: usize,
    /// Mails in one turn.
    pub mails_per_turn: usize,
    /// Bytes of the read buffer.
    pub read_buffer: usize,
}

/// Where a shard stands in its group.
#[derive(Debug)]
pub struct Place<M> {
    /// Its number.
    pub index: usize,
    /// Everybody's mailboxes.
    pub post: Post<M>,
    /// Everybody's counters.
    pub counters: Arc<[Counters]>,
}

/// One shard.
pub struct Reactor<N: Net, A: App> {
    core: Core<N, A::State>,
    app: A,
    place: Place<A::Mail>,
    limits: Limits,
    buffer: Box<[u8]>,
    reports: Vec<Ready>,
    fired: Vec<u32>,
    started: Instant,
    now: Instant,
    listener_ready: bool,
    listening: bool,
    accept_after: Option<Instant>,
    app_has_more: bool,
    draining: Option<usize>,
}

impl<N: Net, A: App> Reactor<N, A> {
    /// `seed` makes masks repeatable in tests.
    pub fn new(
        net: N,
        app: A,
        settings: Settings,
        limits: Limits,
        place: Place<A::Mail>,
        seed: Option<u64>,
    ) -> Self {
        let now = net.now();
        let gear = Gear::new(settings, seed);
        let core = Core::new(net, gear, A::PRECISE, Arc::clone(&place.counters), place.index);
        Self {
            core,
            app,
            place,
            buffer: vec![0; FRONT + limits.read_buffer].into_boxed_slice(),
            limits,
            reports: Vec::new(),
            fired: Vec::new(),
            started: now,
            now,
            listener_ready: false,
            listening: false,
            accept_after: None,
            app_has_more: false,
            draining: None,
        }
    }

    /// Joins the listening group.
    pub fn listen(&mut self) -> io::Result<()> {
        self.core.net.listen()?;
        self.listening = true;
        Ok(())
    }

    /// The network, for what only its maker knows.
    pub fn net(&self) -> &N {
        &self.core.net
    }

    /// Runs until told to stop, or until the last connection is gone after a drain.
    pub fn run(mut self) -> io::Result<A::Outcome> {
        self.tick();
        while self.turn()? {}
        Ok(self.finish())
    }

    /// One turn of the loop; false when it was the last.
    pub fn turn(&mut self) -> io::Result<bool> {
        let until = self.sleep_until();
        let mut reports = std::mem::take(&mut self.reports);
        self.core.net.poll(&mut reports, until)?;
        self.tick();
        for report in reports.drain(..) {
            self.report(report);
        }
        self.reports = reports;
        self.accept_batch();
        for _ in 0..self.core.ready.len() {
            if let Some(id) = self.core.ready.pop_front() {
                self.read_turn(id);
            }
        }
        self.mails();
        self.deadlines();
        self.drain_slice();
        self.app_turn();
        self.publish();
        self.bury();
        Ok(match self.place.post.mailbox(self.place.index).commanded() {
            Command::Run => true,
            Command::Drain => {
                self.begin_drain();
                !self.core.slab.is_empty()
            }
            Command::Stop => false,
        })
    }

    /// The App's result, every connection closed.
    pub fn finish(mut self) -> A::Outcome {
        for index in 0..self.core.slab.places() {
            if let Some(id) = self.core.slab.id_at(index) {
                self.core.doomed.push(id);
            }
        }
        self.bury();
        self.app.finish()
    }

    fn tick(&mut self) {
        self.now = self.core.net.now();
        let millis = self.now.saturating_duration_since(self.started).as_millis();
        // From 1 on: 0 means 'never' in a connection.
        self.core.gear.now = Tick((millis / Tick::MILLIS) as u32 + 1);
        self.place.counters[self.place.index].turns.add(1);
    }

    fn sleep_until(&self) -> Option<Instant> {
        let accepts_wait = self.listener_ready && self.accept_after.is_none();
        if accepts_wait || self.app_has_more || !self.core.ready.is_empty() || self.drain_goes_on()
        {
            return Some(self.now);
        }
        let wheel = &self.core.wheel;
        let wheel = wheel.is_armed().then(|| self.started + TICK * (wheel.next().0 - 1));
        [wheel, self.accept_after, self.app.next_deadline()].into_iter().flatten().min()
    }

    fn report(&mut self, report: Ready) {
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
                self.read_turn(id);
            }
        }
    }

    /// Client: a connect is decided.
    fn connected(&mut self, id: ConnId) {
        let now = self.event_time();
        let Self { core, app, place, .. } = self;
        let Some(slot) = core.slab.get_mut(id) else { return };
        slot.connecting = false;
        match core.net.established(&mut slot.stream) {
            Err(fault) => slot.conn.handle_fault(End::Connect(fault)),
            Ok(()) => {
                let mut cx = cx(place, now);
                if let Some(mut peer) = slot.peer(id, &mut core.gear) {
                    app.connected(&mut cx, &mut peer);
                }
                slot.conn.ask(&mut core.gear);
            }
        }
        core.flush(id, None);
        self.tell_flushed();
    }

    /// The time of an event for an App that measures, of the turn for one that does not.
    #[inline]
    fn event_time(&self) -> Instant {
        if A::PRECISE { self.core.net.now() } else { self.now }
    }

    /// One read, its events, one write.
    #[inline]
    fn read_turn(&mut self, id: ConnId) {
        let core = &mut self.core;
        let Some(slot) = core.slab.get_mut(id) else { return };
        slot.queued = false;
        if !slot.readable || slot.paused() || slot.doomed {
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
    fn interpret(&mut self, id: ConnId, n: usize, direct_len: usize) {
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
    fn tell_flushed(&mut self) {
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

    fn accept_batch(&mut self) {
        if self.accept_after.is_some_and(|at| self.now < at) {
            return;
        }
        self.accept_after = None;
        if !self.listening {
            self.rejoin();
        }
        for _ in 0..self.limits.accepts_per_turn {
            if !self.listener_ready {
                return;
            }
            match self.core.net.accept() {
                Accepted::One(stream) => self.admit(stream),
                Accepted::Empty => {
                    self.listener_ready = false;
                    self.leave_when_full();
                }
                Accepted::Full => {
                    self.counters().accept_errors.add(1);
                    self.accept_after = Some(self.now + TICK);
                    return;
                }
                Accepted::Failed => self.counters().accept_errors.add(1),
            }
        }
    }

    fn counters(&self) -> &Counters {
        &self.place.counters[self.place.index]
    }

    /// Takes a connection in, or tells it why not.
    fn admit(&mut self, mut stream: N::Stream) {
        let id = self.core.slab.next_id();
        if self.core.net.register(&mut stream, id, false).is_err() {
            return self.counters().accept_errors.add(1);
        }
        let conn = Conn::server(&self.core.gear);
        self.core.admit(Slot::new(stream, conn, None));
        if let Some(refusal) = self.refusal() {
            self.counters().refused.add(1);
            if let Some(slot) = self.core.slab.get_mut(id) {
                slot.conn.refuse(&refusal, &mut self.core.gear);
            }
            self.core.flush(id, None);
        }
    }

    fn refusal(&self) -> Option<Refusal> {
        let sum =
            |of: fn(&Counters) -> u64| self.place.counters.iter().map(of).sum::<u64>() as usize;
        let limit = self.limits.group_connections;
        if sum(|c| c.connections.get()) > limit {
            return Some(Refusal::Full { limit });
        }
        let buffered = sum(|c| c.buffered_bytes.get());
        (buffered > self.limits.buffered / 100 * 85).then_some(Refusal::Overloaded)
    }

    /// A shard that is full would strand its share of new connections: it leaves the group.
    fn leave_when_full(&mut self) {
        if self.listening && self.core.slab.len() >= self.limits.shard_connections {
            self.core.net.unlisten();
            self.listening = false;
            self.accept_after = Some(self.now + TICK);
        }
    }

    fn rejoin(&mut self) {
        let room = self.core.slab.len() < self.limits.shard_connections / 100 * 97;
        let wanted = self.limits.shard_connections > 0 && self.draining.is_none();
        if room && wanted && self.core.net.listen().is_ok() {
            self.listening = true;
        } else if wanted {
            self.accept_after = Some(self.now + TICK);
        }
    }

    fn mails(&mut self) {
        let Self { core, app, place, now, limits, .. } = self;
        let mailbox = place.post.mailbox(place.index);
        mailbox.begin();
        let mut cx = cx(place, *now);
        let mut left = limits.mails_per_turn;
        while left > 0
            && let Some(mail) = mailbox.next()
        {
            app.mail(&mut cx, &mut Peers { core }, mail);
            core.turn_to(ConnId::NONE);
            left -= 1;
        }
        if left == 0 {
            self.app_has_more = true;
        }
        self.tell_flushed();
    }

    fn deadlines(&mut self) {
        let mut fired = std::mem::take(&mut self.fired);
        self.core.wheel.expire(self.core.gear.now, &mut fired);
        for index in fired.drain(..) {
            let Some(id) = self.core.slab.id_at(index as usize) else { continue };
            let Some(slot) = self.core.slab.get_mut(id) else { continue };
            if slot.conn.handle_deadline(&mut self.core.gear) {
                self.place.counters[self.place.index].pings_out.add(1);
            }
            self.core.flush(id, None);
        }
        self.fired = fired;
        if let Some(at) = self.app.next_deadline() {
            let now = self.event_time();
            if at <= now {
                let mut cx = cx(&self.place, now);
                self.app.timer(&mut cx, &mut Peers { core: &mut self.core });
                self.core.turn_to(ConnId::NONE);
            }
        }
        self.tell_flushed();
    }

    fn app_turn(&mut self) {
        let mut cx = cx(&self.place, self.now);
        let more = self.app.turn(&mut cx, &mut Peers { core: &mut self.core });
        self.core.turn_to(ConnId::NONE);
        self.app_has_more = more;
        self.tell_flushed();
    }

    fn begin_drain(&mut self) {
        if self.draining.is_none() {
            self.core.net.unlisten();
            self.listening = false;
            self.listener_ready = false;
            self.draining = Some(0);
        }
    }

    fn drain_goes_on(&self) -> bool {
        self.draining.is_some_and(|next| next < self.core.slab.places())
    }

    /// Asks a slice of the connections to leave.
    fn drain_slice(&mut self) {
        let Some(next) = self.draining else { return };
        let end = (next + 1024).min(self.core.slab.places());
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
    fn publish(&mut self) {
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
    fn shed(&mut self) {
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

    /// Closes what ended.
    fn bury(&mut self) {
        while let Some(id) = self.core.doomed.pop() {
            let Some(slot) = self.core.slab.remove(id) else { continue };
            self.core.wheel.arm(id.index, Tick(u32::MAX));
            let Slot { stream, conn, state, opened, .. } = slot;
            drop(stream);
            let end = conn.end(&mut self.core.gear);
            let counters = &self.place.counters[self.place.index];
            counters.connections.sub(1);
            counters.open.sub(opened.into());
            counters.ends[end.index()].add(1);
            if let Some(state) = state {
                self.app.closed(&mut cx(&self.place, self.now), id, state, end);
            }
        }
    }
}

#[inline]
fn cx<M>(place: &Place<M>, now: Instant) -> Cx<'_, M> {
    Cx { now, shard: place.index, post: &place.post, counters: &place.counters }
}
