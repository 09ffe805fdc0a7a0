//! What comes back: each reply is paired with its message, timed and judged.

use plimsoll::conn::{Kind, Sender};

use super::Workload;
use super::link::Status;
use super::task::Step;
use crate::cli::plan::HeartbeatKind;
use crate::inflight::{Answer, Entry, NIL};
use crate::measure::{Kind as Latency, Phase};
use crate::payload::{Stamp, read_beat, read_ping};
use crate::schedule::Nanos;

/// Messages given up in one turn: some milliseconds.
const GIVEN_UP: usize = 100_000;

impl Workload {
    /// A message arrived at `now`.
    pub(super) fn received(
        &mut self,
        local: u32,
        tx: &mut Sender<'_>,
        kind: Kind,
        payload: &[u8],
        now: Nanos,
    ) {
        if self.step > Step::Running {
            return;
        }
        if self.manner.indirect && self.received_otherwise(local, tx, kind, payload, now) {
            return;
        }
        let Some(stretch) = self.answered(local, kind, payload, now) else { return };
        let mine = stretch == self.stretches.at();
        let goes_on = mine && self.stretches.now().in_flight > 0 && now < self.sends_end();
        if goes_on && self.links[local as usize].status == Status::Open {
            let wait = self.links[local as usize].wait();
            self.queue(local, now);
            self.pump(local, tx, wait, now);
        }
    }

    /// False if it is a reply, where not every message is one.
    #[inline(never)]
    fn received_otherwise(
        &mut self,
        local: u32,
        tx: &mut Sender<'_>,
        kind: Kind,
        payload: &[u8],
        now: Nanos,
    ) -> bool {
        if self.dialect.is_some() {
            self.heard(local, tx, kind, payload, now);
        } else if self.rooms.is_some() {
            self.delivered(local, kind, payload, now);
        } else {
            return self.manner.beat == HeartbeatKind::Text
                && kind == Kind::Text
                && self.text_beat_answered(local, payload, now);
        }
        true
    }

    /// Whether a message that ends at `now` counts: due in the window, or carried into it.
    #[inline]
    pub(super) fn counted(&mut self, entry: &Entry, now: Nanos) -> bool {
        self.measured(entry.intended) || self.counted_as_carried(entry, now)
    }

    #[cold]
    #[inline(never)]
    fn counted_as_carried(&mut self, entry: &Entry, now: Nanos) -> bool {
        let carried = self.carried(entry.intended, now);
        if carried {
            self.tally.carry(entry.sent != 0);
            self.count(entry.intended, |part| {
                part.due += 1;
                part.sent += u64::from(entry.sent != 0);
            });
        }
        carried
    }

    /// Pairs a reply: the phase of its message, or `None` if it answers nothing.
    fn answered(&mut self, local: u32, kind: Kind, payload: &[u8], now: Nanos) -> Option<usize> {
        let connection = self.task.global(self.shard, local);
        let link = &mut self.links[local as usize];
        let answer = if self.payloads.stamped() {
            match self.payloads.sequence(payload, connection) {
                Some(sequence) => link.messages.answer(&mut self.arena, sequence, link.current),
                None => Answer::Unknown,
            }
        } else {
            link.messages.answer_oldest(&mut self.arena, link.current)
        };
        match answer {
            Answer::To { entry, late, unstamped } => {
                let stretch = self.stretches.of(entry.intended);
                let counted = self.counted(&entry, now);
                self.tally.reordered += u64::from(late && counted);
                if unstamped {
                    self.record_lag(&entry);
                }
                self.time_reply(local, &entry, stretch, counted, now);
                let time = self.payloads.time(entry.intended);
                let stamp = Stamp { connection, sequence: entry.sequence, time };
                let intact = kind == self.manner.kind
                    && (!self.manner.verify || self.payloads.intact(stretch, stamp, payload));
                self.tally.corrupt += u64::from(!intact && counted);
                self.tally.verified += u64::from(intact && self.manner.verify && counted);
                Some(stretch)
            }
            Answer::Duplicate => {
                self.tally.duplicate += u64::from(now >= self.times.from);
                None
            }
            Answer::Unknown => {
                self.tally.strays += 1;
                None
            }
        }
    }

    #[inline]
    fn time_reply(&mut self, local: u32, entry: &Entry, stretch: usize, counted: bool, now: Nanos) {
        let phase = if counted { Phase::Measure(stretch as u16) } else { Phase::Warmup };
        let response = now.saturating_sub(entry.intended);
        self.recorder.record(Latency::Response, phase, response);
        self.recorder.record(Latency::Service, phase, now.saturating_sub(entry.sent));
        if self.stretches.get(stretch).fragments > 1 {
            self.recorder.record(Latency::Fragmented, phase, now.saturating_sub(entry.last));
        }
        if counted {
            self.tally.received += 1;
            self.count(entry.intended, |part| part.received += 1);
        }
        let cell = self.cell();
        cell.received.add(1);
        cell.response.record(response);
        if counted {
            self.answered_in_storm(local, response);
        }
    }

    /// The send lag of an entry whose answer came before the report of its send time.
    fn record_lag(&mut self, entry: &Entry) {
        let lag = entry.sent.saturating_sub(entry.intended);
        self.recorder.record(Latency::SendLag, self.phase(entry.intended), lag);
    }

    /// A pong arrived. One that answers no ping of ours is allowed, and ignored (RFC 6455 5.5.3).
    pub(super) fn pong(&mut self, local: u32, data: &[u8], now: Nanos) {
        if let Some((connection, sequence, amid)) = read_ping(data)
            && self.step <= Step::Running
        {
            self.beat_answered(local, connection, sequence, amid, now);
            self.beats_coalesced(local, sequence, now);
        }
    }

    /// A peer may answer only the most recent of several pings (RFC 6455 5.5.3): pongs keep their
    /// order, so this one answers all before it too.
    fn beats_coalesced(&mut self, local: u32, sequence: u32, now: Nanos) {
        loop {
            let beats = &mut self.links[local as usize].beats;
            let Some(entry) = beats.answer_below(&mut self.arena, sequence) else { return };
            self.tally.pings_coalesced += u64::from(self.measured(entry.intended));
            self.time_beat(local, &entry, now);
        }
    }

    /// False if the text is no heartbeat's answer.
    fn text_beat_answered(&mut self, local: u32, payload: &[u8], now: Nanos) -> bool {
        let Some(words) = &self.task.plan.heartbeat_words else {
            let Some((connection, sequence)) = read_beat(payload) else { return false };
            self.beat_answered(local, connection, sequence, false, now);
            return true;
        };
        if payload != words.reply.as_bytes() {
            return false;
        }
        let answer = self.links[local as usize].beats.answer_oldest(&mut self.arena, NIL);
        self.beat_answer(local, answer, false, now);
        true
    }

    fn beat_answered(
        &mut self,
        local: u32,
        connection: u32,
        sequence: u32,
        amid: bool,
        now: Nanos,
    ) {
        let in_window = u64::from(now >= self.times.from);
        if connection != self.task.global(self.shard, local) {
            self.tally.corrupt += in_window;
            return;
        }
        let answer = self.links[local as usize].beats.answer(&mut self.arena, sequence, NIL);
        self.beat_answer(local, answer, amid, now);
    }

    fn beat_answer(&mut self, local: u32, answer: Answer, amid: bool, now: Nanos) {
        let Answer::To { entry, unstamped, .. } = answer else {
            self.tally.duplicate += u64::from(now >= self.times.from);
            return;
        };
        if unstamped && self.manner.beats_only {
            self.record_lag(&entry);
        }
        self.time_beat(local, &entry, now);
        if amid {
            let took = now.saturating_sub(entry.intended);
            self.recorder.record(Latency::InterleavedPing, self.phase(entry.intended), took);
        }
    }

    fn time_beat(&mut self, local: u32, entry: &Entry, now: Nanos) {
        let took = now.saturating_sub(entry.intended);
        self.recorder.record(Latency::Ping, self.phase(entry.intended), took);
        if self.manner.beats_only {
            if self.measured(entry.intended) {
                self.tally.received += 1;
                self.count(entry.intended, |part| part.received += 1);
            }
            self.cell().received.add(1);
            self.cell().response.record(took);
            if self.measured(entry.intended) {
                self.answered_in_storm(local, took);
            }
        }
    }

    /// The drain is over: what is outstanding is unanswered, at its age.
    pub(super) fn settle(&mut self, now: Nanos) {
        // Of a closed loop's last phase: each begins anew.
        let in_flight = self.stretches.now().in_flight;
        let middle = self.stretches.now().from.max(self.times.from).midpoint(self.times.to);
        for local in 0..self.links.len() as u32 {
            let aside = self.step_aside(local);
            if self.links[local as usize].is_open() {
                let (owed, youngest) = self.forget(local, now);
                let frozen = (1..=owed).contains(&in_flight) && youngest <= middle;
                self.tally.frozen += u64::from(frozen);
            } else {
                // Who was lost and is not back yet.
                self.forget(local, now);
            }
            self.step_back(aside);
        }
        self.fragments.clear();
        self.waiting_beats.clear();
        self.ready.clear();
    }

    /// What fell due and was not even queued, because this thread was too slow, is unanswered too.
    /// Of such messages there may be millions: false if some are left, for the next turn.
    pub(super) fn give_up_schedule(&mut self, now: Nanos) -> bool {
        for _ in 0..GIVEN_UP {
            let Some(due) = self.schedule.take(now, self.sends_end()) else {
                self.give_up_beats(now);
                if self.next_phase(now) {
                    continue;
                }
                break;
            };
            let measured = self.measured(due.intended);
            let aside = self.step_aside(due.local);
            if measured && self.is_excused(due.local) {
                self.tally.life.skipped += 1;
            } else if measured {
                self.tally.due += 1;
                self.count(due.intended, |part| part.due += 1);
                if self.rooms.is_none() {
                    self.unanswered(due.intended, now);
                }
            }
            self.step_back(aside);
        }
        self.give_up_beats(now);
        let next = self.schedule.next();
        next > now || next >= self.sends_end()
    }

    fn give_up_beats(&mut self, now: Nanos) {
        while let Some(due) = self.beats.take(now, self.sends_end()) {
            let aside = self.step_aside(due.local);
            self.count_due_beat(due.intended);
            self.beat_unsent(due.intended, now);
            self.step_back(aside);
        }
    }

    pub(super) fn unanswered(&mut self, intended: Nanos, now: Nanos) {
        self.tally.unanswered += 1;
        self.count(intended, |part| part.unanswered += 1);
        self.tally.unanswered_age.record(now.saturating_sub(intended));
    }

    /// Gives back what a connection owes: what was due in the window is unanswered. How many
    /// messages it owed, of whatever time, and when the youngest was due.
    pub(super) fn forget(&mut self, local: u32, now: Nanos) -> (u32, Nanos) {
        let link = &mut self.links[local as usize];
        let (mut messages, mut beats) = (link.messages, link.beats);
        let owed_beat = std::mem::take(&mut link.owed_beat);
        if link.is_open() {
            if link.fragments > 0 {
                // Its next fragment would be one of another message, should it come back.
                self.fragments.retain(|due| due.1 != local);
            }
            (link.current, link.fragments) = (NIL, 0);
        }
        let (mut owed, mut youngest) = (0, 0);
        while let Some(entry) = messages.pop(&mut self.arena) {
            owed += 1;
            youngest = entry.intended;
            // A publication asks for no answer.
            if self.counted(&entry, now) && self.rooms.is_none() {
                self.unanswered(entry.intended, now);
            }
        }
        while let Some(entry) = beats.pop(&mut self.arena) {
            if self.measured(entry.intended) {
                self.tally.pings_unanswered += 1;
                if self.manner.beats_only {
                    self.unanswered(entry.intended, now);
                }
            }
        }
        if owed_beat != 0 {
            self.beat_unsent(owed_beat, now);
        }
        let link = &mut self.links[local as usize];
        (link.messages, link.beats) = (messages, beats);
        (owed, youngest)
    }
}
