//! The loop. One turn runs, in this order:
//!
//! 1. **poll**: sleep until readiness, mail or the nearest deadline; not at all while work is left
//!    over;
//! 2. **reports**: each ready connection has one read turn: one read, its events to the App, one
//!    write. A short read means drained, unless FIN or an error was reported with it; what is not
//!    drained goes to the ready list instead of being read again at once, so nobody starves;
//! 3. **accepts**: a bounded batch; a full descriptor table pauses them for a tick, and no report
//!    is lost because the loop remembers that the listener was ready;
//! 4. **ready list**: one read turn for each that stood there when the phase began;
//! 5. **mail**, then the main thread's command (drain, stop);
//! 6. **deadlines**: the wheel's due connections, then the App's own timer;
//! 7. **the App's turn**: what it gathered from this batch goes out; it may ask to be called again;
//! 8. **burials**: connections that ended are closed here and nowhere else, so that an id stays
//!    good for the whole batch.
//!
//! Nothing here blocks, locks, or logs; a connection's error ends that connection.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::addresses::Addresses;
use super::app::App;
use super::context::Cx;
use super::core::{Core, Kit};
use super::counters::Counters;
use super::mailbox::{Command, Post};
use super::net::{Net, Ready, Source};
use super::peers::Peers;
use super::slab::ConnId;
use super::slot::Slot;
use super::turn::{FRONT, Turn};
use crate::conn::{Gear, Settings, Tally, Tick};

/// One tick of the coarse clock.
pub(super) const TICK: Duration = Duration::from_millis(Tick::MILLIS as u64);

/// Connections whose end is dealt with in one turn; the rest waits for the next.
const BURIALS: usize = 1024;

/// What is due in one tick is spread over it in so many slices: a crowd that came at once would be
/// pinged at once, and everybody's echo would wait for its thousands of writes and answers.
const SLICES_PER_TICK: u32 = 25;

/// So few are dealt with at once.
const LEAST_SLICE: usize = 16;

/// Bounds of one shard's loop.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of the whole group; one more is refused with 503.
    pub group_connections: usize,
    /// Connections of this shard: near it the shard leaves the listening group to the others.
    pub shard_connections: usize,
    /// Bytes held by the whole group for slow peers and half-received messages.
    pub buffered: usize,
    /// Connections by address, one count for the group; `None`: any number.
    pub addresses: Option<Arc<Addresses>>,
    /// Pings that this shard begins in a second in the mean at most, however many connections are
    /// silent: their interval grows. `None` keeps to the interval of the settings.
    pub pings: Option<u32>,
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
    /// Everybody's blocks.
    pub blocks: Tally,
}

/// One shard.
pub struct Reactor<N: Net, A: App> {
    pub(super) core: Core<N, A::State>,
    pub(super) app: A,
    pub(super) place: Place<A::Mail>,
    pub(super) limits: Limits,
    pub(super) buffer: Box<[u8]>,
    pub(super) reports: Vec<Ready>,
    /// Connections whose deadline has come, how many of them are a slice, and when the next is.
    pub(super) fired: Vec<u32>,
    slice: usize,
    slice_at: Instant,
    pub(super) started: Instant,
    pub(super) now: Instant,
    pub(super) listener_ready: bool,
    pub(super) listening: bool,
    pub(super) accept_after: Option<Instant>,
    pub(super) app_has_more: bool,
    pub(super) draining: Option<usize>,
    /// Connections at which it leaves the listening group.
    pub(super) room: usize,
    pub(super) shed_after: Tick,
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
        let room = limits.shard_connections;
        let gear = Gear::new(settings, seed).with_tally(place.blocks.clone());
        let core = Core::new(net, gear, A::PRECISE, Arc::clone(&place.counters), place.index);
        Self {
            core,
            app,
            place,
            buffer: vec![0; FRONT + limits.read_buffer].into_boxed_slice(),
            limits,
            reports: Vec::new(),
            fired: Vec::new(),
            slice: 0,
            slice_at: now,
            started: now,
            now,
            listener_ready: false,
            listening: false,
            accept_after: None,
            app_has_more: false,
            draining: None,
            room,
            shed_after: Tick(0),
        }
    }

    /// Joins the listening group.
    pub fn listen(&mut self) -> io::Result<()> {
        self.core.kit.net.listen()?;
        self.listening = true;
        Ok(())
    }

    /// The network, for what only its maker knows.
    pub fn net(&self) -> &N {
        &self.core.kit.net
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
        self.core.kit.net.poll(&mut reports, until)?;
        self.tick();
        let waiting = self.core.kit.ready.len();
        for report in reports.drain(..) {
            self.report(report);
        }
        self.reports = reports;
        self.accept_batch();
        self.tell_flushed();
        for _ in 0..waiting {
            if let Some(id) = self.core.kit.ready.pop_front()
                && let Some(mut turn) = self.turn_of(id)
            {
                turn.read();
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
                self.tell_flushed();
                !self.core.slab.is_empty()
            }
            Command::Stop => false,
        })
    }

    #[inline]
    fn report(&mut self, report: Ready) {
        match report.source {
            Source::Conn(id) => {
                if let Some(mut turn) = self.turn_of(id) {
                    turn.report(report);
                }
            }
            Source::Listener => self.listener_ready = true,
            // Drained each turn anyway; the report has done its work by ending the sleep.
            Source::Mail => {}
        }
    }

    /// The turn of a connection, if it is still here.
    #[inline]
    fn turn_of(&mut self, id: ConnId) -> Option<Turn<'_, N, A>> {
        let Self { core: Core { slab, kit, .. }, app, place, now, buffer, .. } = self;
        Some(Turn { id, slot: slab.get_mut(id)?, kit, app, cx: cx(place, *now), buffer })
    }

    /// The App's result, every connection closed.
    pub fn finish(mut self) -> A::Outcome {
        for index in 0..self.core.slab.places() {
            if let Some(id) = self.core.slab.id_at(index) {
                self.core.kit.doomed.push(id);
            }
        }
        while !self.core.kit.doomed.is_empty() {
            self.bury();
        }
        let outcome = self.app.finish();
        self.place.post.mailbox(self.place.index).end();
        outcome
    }

    fn tick(&mut self) {
        self.now = self.core.kit.net.now();
        let ran = self.now.saturating_duration_since(self.started);
        // From 1 on: 0 means 'never' in a connection.
        self.core.kit.gear.now = Tick::default().after(Tick::whole(ran));
        self.place.counters[self.place.index].turns.add(1);
    }

    fn sleep_until(&self) -> Option<Instant> {
        let accepts_wait = self.listener_ready && self.accept_after.is_none();
        let Kit { ready, doomed, wheel, .. } = &self.core.kit;
        let left_over = !(ready.is_empty() && doomed.is_empty());
        if accepts_wait || left_over || self.app_has_more || self.drain_goes_on() {
            return Some(self.now);
        }
        let wheel = wheel.is_armed().then(|| self.started + TICK * (wheel.next().0 - 1));
        let slice = (!self.fired.is_empty()).then_some(self.slice_at);
        [wheel, slice, self.accept_after, self.app.next_deadline()].into_iter().flatten().min()
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
        // What is left in the box has raised its flag already: no report will come for it.
        self.app_has_more = left == 0;
        self.tell_flushed();
    }

    fn deadlines(&mut self) {
        let before = self.fired.len();
        self.core.kit.wheel.expire(self.core.kit.gear.now, &mut self.fired);
        let due = self.fired.len();
        if due > before {
            self.pace_pings();
            self.slice = due.div_ceil(SLICES_PER_TICK as usize).max(LEAST_SLICE);
        }
        if due > 0 && self.now >= self.slice_at {
            self.slice_at = self.now + TICK / SLICES_PER_TICK;
            for index in self.fired.split_off(due.saturating_sub(self.slice)) {
                if let Some(id) = self.core.slab.id_at(index as usize)
                    && let Some(mut turn) = self.turn_of(id)
                {
                    turn.deadline();
                }
            }
        }
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
        self.app_has_more |= more;
        self.tell_flushed();
    }

    /// Tells an App that measures which connections' bytes are with the kernel.
    fn tell_flushed(&mut self) {
        if A::PRECISE {
            for (id, at) in self.core.kit.flushed.drain(..) {
                if let Some(state) = self.core.slab.get_mut(id).and_then(|s| s.state.as_mut()) {
                    self.app.flushed(state, at);
                }
            }
        }
    }

    /// The time of an event for an App that measures, of the turn for one that does not.
    fn event_time(&self) -> Instant {
        if A::PRECISE { self.core.kit.net.now() } else { self.now }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.place.counters[self.place.index]
    }

    /// Closes what ended.
    fn bury(&mut self) {
        if self.core.kit.doomed.is_empty() {
            return;
        }
        let first = self.core.kit.doomed.len().saturating_sub(BURIALS);
        for id in self.core.kit.doomed.split_off(first) {
            let Some(slot) = self.core.slab.remove(id) else { continue };
            self.core.kit.wheel.arm(id.index, Tick(u32::MAX));
            let Slot { stream, conn, state, opened, turned_away, counted, .. } = slot;
            drop(stream);
            self.uncount(counted);
            let end = conn.end(&mut self.core.kit.gear);
            let counters = &self.place.counters[self.place.index];
            counters.connections.sub(1);
            counters.open.sub(opened.into());
            counters.turned_away.sub(turned_away.into());
            counters.ends[end.index()].add(1);
            if let Some(state) = state {
                self.app.closed(&mut cx(&self.place, self.now), id, state, end);
            }
        }
        // They gave memory back, and a shard with nothing to do publishes no further turn.
        self.publish_buffered();
    }
}

#[inline]
pub(super) fn cx<M>(place: &Place<M>, now: Instant) -> Cx<'_, M> {
    Cx { now, shard: place.index, post: &place.post, counters: &place.counters }
}
