//! What goes out: messages at their intended times, fragments at their gaps.
//!
//! A send that finds its connection unable to take more bytes, or amid a fragmented message, waits
//! in its lane and keeps its intended time.

use plimsoll::conn::Sender;
use plimsoll::shard::Peers;
use plimsoll::shard::net::Net;
use plimsoll::wire::frame::Opcode;

use super::Workload;
use super::link::{Local, Status, Wait};
use super::phases::Stretch;
use super::task::{Step, Times};
use crate::inflight::{Entry, NIL};
use crate::measure::{Kind as Latency, Phase};
use crate::payload::Stamp;
use crate::schedule::Nanos;

/// Sends of one call; the reactor reads in between.
const BATCH: usize = 128;

/// Bytes of one connection that wait for the kernel before further messages wait in their lane.
const HELD_ABOVE: usize = 256 * 1024;

impl Workload {
    /// The run's times are fixed: from here on only the clock decides.
    pub(super) fn start(&mut self, times: &Times) {
        self.times = times.clone();
        self.seconds.begin(times.from);
        self.lay_out(times);
        self.enter(0);
        self.keep_waiting_beats();
        self.begin_life(times);
        self.reach(Step::Running);
    }

    /// When something is to be sent or the run's next step is due.
    pub(super) fn next_send(&self) -> Nanos {
        let loop_begins = self.stretches.now().in_flight > 0 && self.begun < self.members.len();
        if !self.ready.is_empty() || loop_begins {
            return self.times.start;
        }
        let fragment = self.fragments.front().map_or(Nanos::MAX, |&(at, _)| at);
        // After the last send comes the drain, which ends early when nothing is outstanding.
        let due = self.schedule.next().min(self.beats.next());
        let sends_end = self.sends_end();
        let end = if due < sends_end {
            due
        } else if sends_end < self.times.to {
            sends_end
        } else if self.is_answered() {
            self.times.to
        } else {
            self.times.until
        };
        end.min(fragment).min(self.next_waiting_beat())
    }

    /// Sends what is due.
    pub(super) fn send_due<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        let mut sends_end = self.sends_end();
        // Once the drain is over nothing more is sent.
        for _ in 0..if now < self.times.until { BATCH } else { 0 } {
            let (local, wait) = if let Some(local) = self.ready.pop() {
                (local, Wait::Server)
            } else if let Some((due, local)) = self.fragments.pop_front_if(|due| due.0 <= now) {
                let aside = self.step_aside(local);
                self.continue_message(peers, local, due, now);
                self.step_back(aside);
                continue;
            } else if self.last_waiting_beat(peers, now) {
                continue;
            } else if let Some(due) = self.beats.take(now, sends_end) {
                self.heartbeat(peers, due.local, due.intended, now);
                continue;
            } else if let Some(due) = self.schedule.take(now, sends_end) {
                let wait = self.links[due.local as usize].wait();
                let aside = self.step_aside(due.local);
                self.queue(due.local, due.intended);
                self.step_back(aside);
                (due.local, wait)
            } else if let Some(local) = self.begin_loop(now) {
                (local, Wait::Nobody)
            } else if self.next_phase(now) {
                sends_end = self.sends_end();
                continue;
            } else {
                break;
            };
            let link = &self.links[local as usize];
            let id = link.id.filter(|_| link.is_open());
            if let Some(mut peer) = id.and_then(|id| peers.get(id)) {
                let aside = self.step_aside(local);
                self.pump(local, &mut peer.tx, wait, now);
                self.step_back(aside);
            }
        }
        let over = now >= self.times.until || (now >= self.times.to && self.is_answered());
        if over && self.give_up_schedule(now) {
            self.settle(now);
            self.reach(Step::Drained);
        }
    }

    /// Nothing is outstanding. Deliveries of a broadcast may always be.
    fn is_answered(&self) -> bool {
        // Who left on purpose is waited for too.
        self.rooms.is_none()
            && self.arena.is_empty()
            && self.ready.is_empty()
            && self.life.as_ref().is_none_or(|life| life.is_complete())
    }

    /// A message of `local` is meant to be sent at `intended`.
    #[inline]
    pub(super) fn queue(&mut self, local: u32, intended: Nanos) {
        let measured = self.measured(intended);
        let link = &mut self.links[local as usize];
        if link.status == Status::Open {
            link.messages.push(&mut self.arena, intended);
            if measured {
                self.tally.due += 1;
                self.count(intended, |part| part.due += 1);
            }
        } else {
            self.queue_absent(local, intended);
        }
    }

    /// The next member of a closed loop, its messages queued.
    fn begin_loop(&mut self, now: Nanos) -> Option<u32> {
        let in_flight = self.stretches.now().in_flight;
        if in_flight == 0 || now < self.times.start {
            return None;
        }
        let local = *self.members.get(self.begun)?;
        self.begun += 1;
        // A closed loop has no schedule: who is gone owes nothing, and who was gone has begun.
        let here = self.links[local as usize].status == Status::Open;
        if here && self.begins_anew(local) {
            let aside = self.step_aside(local);
            for _ in 0..in_flight {
                self.queue(local, now);
            }
            self.step_back(aside);
        }
        Some(local)
    }

    /// Hands over what waits, as far as the connection takes it; `wait` is what it waited for.
    pub(super) fn pump(&mut self, local: u32, tx: &mut Sender<'_>, wait: Wait, now: Nanos) {
        let wait = match (&self.manner.shape, wait) {
            (None, _) if tx.pending() > 0 => Wait::Server,
            // What waits, waits for the segments before it: gaps that were asked for.
            (Some(_), Wait::Nobody) if tx.pending() > 0 => Wait::Fragments,
            (Some(_), Wait::Server) => Wait::Fragments,
            _ => wait,
        };
        let mut room = HELD_ABOVE.saturating_sub(tx.pending());
        while room > 0 {
            let link = &mut self.links[local as usize];
            if !link.is_waiting() {
                return;
            }
            if link.owed_beat != 0 {
                let owed = std::mem::take(&mut link.owed_beat);
                self.text_beat(local, tx, owed, now);
                continue;
            }
            let Some(index) = link.messages.waiting() else { return };
            let &Entry { sequence, intended, .. } = self.arena.get(index);
            let stretch = self.stretches.of(intended);
            self.compose(local, stretch, sequence, intended);
            let plain = self.stretches.get(stretch).plain;
            let taken = if plain || self.stretches.get(stretch).fragments == 1 {
                tx.send(self.manner.kind, &self.scratch)
            } else {
                self.links[local as usize].current = index;
                self.fragment(local, tx, stretch, now, now)
            };
            let link = &mut self.links[local as usize];
            if !taken {
                // Closing, so nothing more is sent (RFC 6455 5.5.1): what waits stays unsent.
                link.current = NIL;
                return;
            }
            link.messages.begin(&mut self.arena, now);
            self.handed_over(local, intended, wait, now);
            if !plain && self.stretches.get(stretch).ping_behind {
                self.ping_behind(local, tx, now);
            }
            room = room.saturating_sub(self.scratch.len() + 1);
        }
    }

    /// Counts a message that the connection took at `now`.
    #[inline]
    fn handed_over(&mut self, local: u32, intended: Nanos, wait: Wait, now: Nanos) {
        self.cell().sent.add(1);
        if !self.measured(intended) {
            return;
        }
        self.tally.sent += 1;
        self.count(intended, |part| part.sent += 1);
        match wait {
            Wait::Nobody => self.own_lag.record(now.saturating_sub(intended)),
            Wait::Fragments => {}
            Wait::Server => self.tally.held_back += 1,
        }
        if let Some(rooms) = &mut self.rooms {
            rooms.published(self.task.global(self.shard, local));
        }
    }

    /// Writes a message's payload into the scratch buffer, as its phase has it.
    #[inline]
    fn compose(&mut self, local: u32, stretch: usize, sequence: u32, intended: Nanos) {
        let time = self.payloads.time(intended);
        let connection = self.task.global(self.shard, local);
        let stamp = Stamp { connection, sequence, time };
        self.payloads.write(stretch, stamp, &mut self.scratch);
        if let Some(dialect) = &mut self.dialect {
            dialect.wrap(connection, sequence, &mut self.scratch);
        }
    }

    /// Sends fragments of the current message, whose payload is in the scratch buffer, as its phase
    /// has them: the next one, which was due at `due`, or all that are left if no gap is wanted.
    /// False if the connection is closing.
    fn fragment(
        &mut self,
        local: u32,
        tx: &mut Sender<'_>,
        stretch: usize,
        due: Nanos,
        now: Nanos,
    ) -> bool {
        let &Stretch { fragments, gap, interleave_ping, .. } = self.stretches.get(stretch);
        let (of, len) = (fragments as usize, self.scratch.len());
        loop {
            let link = &mut self.links[local as usize];
            let part = link.fragments as usize;
            let opcode = if part == 0 { self.manner.kind.opcode() } else { Opcode::Continuation };
            let last = part + 1 == of;
            let bytes = &self.scratch[len * part / of..len * (part + 1) / of];
            if !tx.send_fragment(opcode, last, bytes) {
                return false;
            }
            if last {
                (link.fragments, link.current) = (0, NIL);
                return true;
            }
            link.fragments += 1;
            if interleave_ping {
                self.ping(local, tx, now, now);
            }
            if gap > 0 {
                // From when this one was due: a late fragment does not make the next one late. So
                // one that is late itself may fall due before those of others that were in time.
                let next = due + gap;
                let place = self.fragments.partition_point(|&(at, _)| at <= next);
                self.fragments.insert(place, (next, local));
                return true;
            }
        }
    }

    fn continue_message<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        due: Nanos,
        now: Nanos,
    ) {
        let link = &self.links[local as usize];
        if !link.is_open() || link.current == NIL {
            return;
        }
        let Some(mut peer) = link.id.and_then(|id| peers.get(id)) else { return };
        let entry = self.arena.get(link.current);
        let (sequence, intended) = (entry.sequence, entry.intended);
        let stretch = self.stretches.of(intended);
        self.compose(local, stretch, sequence, intended);
        if self.measured(intended) && peer.tx.pending() == 0 {
            self.own_lag.record(now.saturating_sub(due));
        }
        if self.fragment(local, &mut peer.tx, stretch, due, now) {
            self.pump(local, &mut peer.tx, Wait::Fragments, now);
        }
    }

    /// Everything handed over so far is with the kernel since `at`.
    #[inline]
    pub(super) fn stamp(&mut self, local: u32, at: Nanos) {
        let link = &mut self.links[local as usize];
        if !link.is_open() {
            return;
        }
        let (from, to) = (self.times.from, self.times.to);
        let (recorder, cell) = (&mut self.recorder, &self.live[self.shard]);
        let stretches = &self.stretches;
        link.messages.stamp(&mut self.arena, at, link.current, |entry: &Entry| {
            let measured = entry.intended >= from && entry.intended < to;
            let phase = if measured {
                Phase::Measure(stretches.of(entry.intended) as u16)
            } else {
                Phase::Warmup
            };
            let lag = at.saturating_sub(entry.intended);
            recorder.record(Latency::SendLag, phase, lag);
            cell.lag.record(lag);
        });
        if link.beats.is_unstamped() {
            self.stamp_beats(local, at);
        }
        let link = &mut self.links[local as usize];
        if self.rooms.is_some() {
            link.messages.forget_stamped(&mut self.arena);
        }
        if link.is_waiting() {
            self.ready.push(local);
        }
    }

    /// The same of heartbeats, of which there are few.
    #[inline(never)]
    fn stamp_beats(&mut self, local: u32, at: Nanos) {
        let mut beats = self.links[local as usize].beats;
        beats.stamp(&mut self.arena, at, NIL, |beat| {
            // Beside messages a heartbeat's lag is not theirs: it shows in the ping's own latency.
            if self.manner.beats_only {
                let lag = at.saturating_sub(beat.intended);
                let measured = beat.intended >= self.times.from && beat.intended < self.times.to;
                let phase = if measured {
                    Phase::Measure(self.stretches.of(beat.intended) as u16)
                } else {
                    Phase::Warmup
                };
                self.recorder.record(Latency::SendLag, phase, lag);
                self.live[self.shard].lag.record(lag);
            }
        });
        self.links[local as usize].beats = beats;
    }
}
