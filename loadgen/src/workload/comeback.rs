//! Connections that come back, and what falls due on them until they do.

use plimsoll::conn::Sender;

use super::Workload;
use super::life::Why;
use super::link::Status;
use super::task::Step;
use crate::inflight::NIL;
use crate::measure::{Kind, Phase};
use crate::schedule::Nanos;

impl Workload {
    /// A connection that has left may come back.
    pub(super) fn return_at(&mut self, local: u32, at: Nanos) {
        let link = &mut self.links[local as usize];
        (link.status, link.id) = (Status::Away, None);
        if let Some(life) = &mut self.life {
            life.attempts.push(at, local);
        }
    }

    /// TCP is there again.
    pub(super) fn reconnected(&mut self, local: u32, took: Nanos) {
        match self.absence(local) {
            Some(Why::Storm(storm)) => self.tally.life.storms[storm].connect.record(took),
            _ => self.recorder.record(Kind::Connect, Phase::Warmup, took),
        }
    }

    /// The 101 of a connection that was away. `handshake` is what it took.
    pub(super) fn came_back(&mut self, local: u32, handshake: Nanos, now: Nanos) {
        let Some(life) = &mut self.life else { return };
        life.openings -= 1;
        let absence = &mut life.absences[local as usize];
        let Some(why) = absence.why.take() else { return };
        let away = now.saturating_sub(absence.since);
        life.missed -= u32::from(why != Why::Lost);
        let tally = &mut self.tally.life;
        match why {
            Why::Churn => tally.replaced += 1,
            Why::Lost => {
                tally.reconnected += 1;
                tally.away.record(away);
            }
            Why::Storm(storm) => {
                life.storms.settle(storm, 1);
                let storm = &mut tally.storms[storm];
                storm.returned += 1;
                storm.back.record(away);
                storm.handshake.record(handshake);
            }
        }
        if !matches!(why, Why::Storm(_)) {
            self.recorder.record(Kind::Handshake, Phase::Warmup, handshake);
        }
    }

    /// An attempt to come back failed.
    pub(super) fn not_back(&mut self, local: u32, text: &str, now: Nanos) {
        let link = &mut self.links[local as usize];
        self.arena.remove(link.current);
        (link.current, link.status, link.id) = (NIL, Status::Away, None);
        let text = self.at_server(local, text);
        let Some(life) = &mut self.life else { return };
        life.openings -= 1;
        let storm = match life.absences[local as usize].why {
            Some(Why::Storm(storm)) => Some(storm),
            _ => None,
        };
        self.tally.life.error(storm, &text);
        if self.step <= Step::Running {
            life.again(local, now);
        }
    }

    /// Who is back sends what has waited for it, and a closed loop begins anew.
    pub(super) fn resume(&mut self, local: u32, tx: &mut Sender<'_>, now: Nanos) {
        let link = &self.links[local as usize];
        if self.step != Step::Running || link.status != Status::Open {
            return;
        }
        let wait = link.wait();
        let in_flight = self.stretches.now().in_flight;
        let looping = in_flight > 0 && self.begins_anew(local);
        if looping && now >= self.times.start && now < self.sends_end() {
            for _ in 0..in_flight {
                self.queue(local, now);
            }
        }
        self.pump(local, tx, wait, now);
    }

    /// A message fell due on a connection that is not there.
    #[cold]
    pub(super) fn queue_absent(&mut self, local: u32, intended: Nanos) {
        let measured = self.measured(intended);
        match self.absence(local) {
            Some(why @ (Why::Churn | Why::Storm(_))) => {
                self.tally.life.skipped += u64::from(measured);
                self.tally.life.skipped_in_turn += u64::from(measured && why == Why::Churn);
                return;
            }
            Some(Why::Lost) => {
                let link = &mut self.links[local as usize];
                link.messages.push(&mut self.arena, intended);
            }
            // It waits to the end of the window at least.
            None if measured && self.rooms.is_none() => self.unanswered(intended, self.times.to),
            None => {}
        }
        if measured {
            self.tally.due += 1;
            self.count(intended, |part| part.due += 1);
        }
    }

    /// An answer came: how those who stay fare in a storm.
    #[inline]
    pub(super) fn answered_in_storm(&mut self, local: u32, took: Nanos) {
        if self.life.is_some() {
            self.see_storm(local, took);
        }
    }

    #[inline(never)]
    fn see_storm(&mut self, local: u32, took: Nanos) {
        let slow = self.is_slow(local);
        if let Some(life) = self.life.as_mut().filter(|_| !slow) {
            let dropped = life.dropped(local);
            life.storms.answered(dropped, took);
        }
    }
}
