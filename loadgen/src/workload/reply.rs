//! What comes back: each reply is paired with its message, timed and judged.

use plimsoll::conn::{Kind, Sender};

use super::Workload;
use super::link::{Link, Status};
use super::task::Step;
use crate::cli::plan::HeartbeatKind;
use crate::inflight::{Answer, Entry, NIL};
use crate::measure::{Kind as Latency, Tally};
use crate::payload::{Stamp, read_beat, read_ping};
use crate::schedule::Nanos;

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
        if self.rooms.is_some() {
            return self.delivered(local, kind, payload, now);
        }
        if self.manner.beat == HeartbeatKind::Text
            && kind == Kind::Text
            && let Some((connection, sequence)) = read_beat(payload)
        {
            return self.beat_answered(local, connection, sequence, now);
        }
        let answered = self.answered(local, kind, payload, now);
        if answered && self.manner.in_flight > 0 && now < self.times.to {
            self.queue(local, now);
            self.pump(local, tx, now);
        }
    }

    /// Pairs a reply; false if it answers nothing.
    fn answered(&mut self, local: u32, kind: Kind, payload: &[u8], now: Nanos) -> bool {
        let connection = self.task.global(self.shard, local);
        let link = &mut self.links[local as usize];
        let answer = if self.payloads.stamped() {
            match self.payloads.read(payload) {
                Some(stamp) if stamp.connection == connection => {
                    link.messages.answer(&mut self.arena, stamp.sequence, link.current)
                }
                _ => Answer::Unknown,
            }
        } else {
            link.messages.answer_oldest(&mut self.arena, link.current)
        };
        match answer {
            Answer::To { entry, late, unstamped } => {
                self.tally.reordered += u64::from(late);
                if unstamped {
                    self.record(Latency::SendLag, &entry, entry.sent - entry.intended);
                }
                self.time_reply(&entry, now);
                let stamp = Stamp { connection, sequence: entry.sequence, time: 0 };
                let intact = kind == self.manner.kind
                    && (!self.manner.verify || self.payloads.intact(stamp, payload));
                self.tally.corrupt += u64::from(!intact);
                let verified = intact && self.manner.verify && self.measured(entry.intended);
                self.tally.verified += u64::from(verified);
                true
            }
            Answer::Duplicate => {
                self.tally.duplicate += 1;
                false
            }
            Answer::Unknown => {
                self.tally.corrupt += 1;
                self.strays += 1;
                false
            }
        }
    }

    fn time_reply(&mut self, entry: &Entry, now: Nanos) {
        let response = now.saturating_sub(entry.intended);
        self.record(Latency::Response, entry, response);
        self.record(Latency::Service, entry, now.saturating_sub(entry.sent));
        if self.manner.fragments > 1 {
            self.record(Latency::Fragmented, entry, now.saturating_sub(entry.last));
        }
        self.tally.received += u64::from(self.measured(entry.intended));
        self.cell().received.add(1);
        self.cell().response.record(response);
    }

    #[inline]
    fn record(&mut self, kind: Latency, entry: &Entry, ns: Nanos) {
        let phase = self.phase(entry.intended);
        self.recorder.record(kind, phase, ns);
    }

    /// A pong arrived. One that answers no ping of ours is allowed, and ignored (RFC 6455 5.5.3).
    pub(super) fn pong(&mut self, local: u32, data: &[u8], now: Nanos) {
        if let Some((connection, sequence)) = read_ping(data)
            && self.step <= Step::Running
        {
            self.beat_answered(local, connection, sequence, now);
        }
    }

    fn beat_answered(&mut self, local: u32, connection: u32, sequence: u32, now: Nanos) {
        if connection != self.task.global(self.shard, local) {
            self.tally.corrupt += 1;
            return;
        }
        let link = &mut self.links[local as usize];
        let Answer::To { entry, unstamped, .. } = link.beats.answer(&mut self.arena, sequence, NIL)
        else {
            self.tally.duplicate += 1;
            return;
        };
        if unstamped && self.manner.beats_only {
            self.record(Latency::SendLag, &entry, entry.sent - entry.intended);
        }
        let took = now.saturating_sub(entry.intended);
        self.record(Latency::Ping, &entry, took);
        if self.manner.beats_only {
            self.tally.received += u64::from(self.measured(entry.intended));
            self.cell().received.add(1);
            self.cell().response.record(took);
        }
    }

    /// An established connection ended early: what it owed is unanswered.
    pub(super) fn leave(&mut self, local: u32, now: Nanos) {
        self.links[local as usize].status = Status::Gone;
        self.forget(local, now);
    }

    /// The drain is over: what is outstanding is unanswered, at its age.
    pub(super) fn settle(&mut self, now: Nanos) {
        for local in 0..self.links.len() as u32 {
            if self.links[local as usize].is_open() {
                self.forget(local, now);
            }
        }
        self.fragments.clear();
        self.ready.clear();
        self.give_up_schedule(now);
    }

    /// What fell due and was not even queued, because this thread was too slow, is unanswered too.
    fn give_up_schedule(&mut self, now: Nanos) {
        while let Some(due) = self.schedule.take(now, self.times.to) {
            if self.measured(due.intended) {
                self.tally.due += 1;
                self.held += 1;
                if self.rooms.is_none() {
                    self.unanswered(due.intended, now);
                }
            }
        }
        while let Some(due) = self.beats.take(now, self.times.to) {
            self.tally.pings_overdue += u64::from(self.measured(due.intended));
        }
    }

    fn unanswered(&mut self, intended: Nanos, now: Nanos) {
        self.tally.unanswered += 1;
        self.tally.unanswered_age.record(now.saturating_sub(intended));
    }

    fn forget(&mut self, local: u32, now: Nanos) {
        let (from, to) = (self.times.from, self.times.to);
        let measured = |entry: &Entry| entry.intended >= from && entry.intended < to;
        let Link { messages, beats, current, owed_beat, fragments, .. } =
            &mut self.links[local as usize];
        (*current, *owed_beat, *fragments) = (NIL, 0, 0);
        let tally = &mut self.tally;
        let unanswered = |tally: &mut Tally, entry: &Entry| {
            tally.unanswered += 1;
            tally.unanswered_age.record(now.saturating_sub(entry.intended));
        };
        let (published, held) = (self.rooms.is_some(), &mut self.held);
        messages.clear(&mut self.arena, |entry| {
            *held += u64::from(measured(entry) && entry.sent == 0);
            // A publication asks for no answer.
            if measured(entry) && !published {
                unanswered(tally, entry);
            }
        });
        let only = self.manner.beats_only;
        beats.clear(&mut self.arena, |entry| {
            if measured(entry) {
                tally.pings_unanswered += 1;
                if only {
                    unanswered(tally, entry);
                }
            }
        });
    }
}
