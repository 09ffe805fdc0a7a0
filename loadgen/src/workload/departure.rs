//! Connections that leave while the run lasts: by their turn, once all they sent is answered; by a
//! storm, at once; or because the server or the network ended them.

use std::time::Instant;

use plimsoll::conn::Sender;
use plimsoll::shard::Peers;
use plimsoll::shard::net::Net;
use plimsoll::wire::close::CloseCode;

use super::Workload;
use super::life::Why;
use super::link::{Local, Status};
use super::storm::Drops;
use super::task::Step;
use crate::cli::plan::Farewell;
use crate::inflight::{Entry, NIL};
use crate::schedule::Nanos;

impl Workload {
    /// It is the turn of a connection to leave and come back.
    pub(super) fn churn<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        intended: Nanos,
        now: Nanos,
    ) {
        let measured = u64::from(self.measured(intended));
        let link = &mut self.links[local as usize];
        let there = link.status == Status::Open;
        let (true, Some(id), Some(life)) = (there, link.id, &mut self.life) else {
            self.tally.life.churn_missed += measured;
            return;
        };
        self.tally.life.churned += measured;
        link.status = Status::Leaving;
        life.absent(local, Why::Churn, now);
        life.await_answers(local, now);
        self.excuse(local);
        if let Some(mut peer) = peers.get(id) {
            self.leave_when_answered(local, &mut peer.tx);
        }
    }

    /// A churned connection closes once everything it sent is answered.
    #[inline]
    pub(super) fn leave_when_answered(&mut self, local: u32, tx: &mut Sender<'_>) {
        if self.life.is_some() {
            self.leave_if_answered(local, tx);
        }
    }

    #[inline(never)]
    fn leave_if_answered(&mut self, local: u32, tx: &mut Sender<'_>) {
        let link = &self.links[local as usize];
        if link.status == Status::Leaving && link.owes_nothing() {
            self.close_churned(local, tx);
        }
    }

    /// What was not answered for as long as at a run's end will not be: it leaves without.
    pub(super) fn lose_patience<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        now: Nanos,
    ) {
        let link = &self.links[local as usize];
        let waits = link.status == Status::Leaving;
        let Some(mut peer) = link.id.filter(|_| waits).and_then(|id| peers.get(id)) else { return };
        self.forget(local, now);
        self.close_churned(local, &mut peer.tx);
    }

    fn close_churned(&mut self, local: u32, tx: &mut Sender<'_>) {
        let link = &mut self.links[local as usize];
        link.status = Status::Closing;
        link.current = self.arena.insert(Entry::begun(self.task.nanos(Instant::now())));
        tx.close(CloseCode::NORMAL, "");
    }

    /// A storm: its share of this shard's connections is gone at once.
    pub(super) fn drop_share<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        drops: &Drops,
        now: Nanos,
    ) {
        let Some(life) = &self.life else { return };
        let (order, ramp) = (life.storms.order(drops.storm, &life.leavers), life.ramp);
        let mut dropped = 0;
        for local in order {
            if dropped as usize == drops.quota {
                break;
            }
            let link = &self.links[local as usize];
            let Some(id) = link.id.filter(|_| link.is_open()) else { continue };
            peers.leave(id, drops.farewell == Farewell::Reset);
            self.abandon(local, now);
            let link = &mut self.links[local as usize];
            (link.status, link.id) = (Status::Away, None);
            let Some(life) = &mut self.life else { return };
            life.absent(local, Why::Storm(drops.storm), drops.at);
            life.absences[local as usize].storm = Some(drops.storm);
            match life.reconnect {
                Some(_) => life.again(local, now),
                None => life.attempts.push(life.storms.turn(drops.storm, dropped, ramp), local),
            }
            self.excuse(local);
            dropped += 1;
        }
        // Who was away already can neither be dropped nor come back from this storm.
        if let Some(life) = &self.life {
            life.storms.settle(drops.storm, (drops.quota - dropped as usize) as u64);
        }
        if let Some(storm) = self.tally.life.storms.get_mut(drops.storm) {
            storm.dropped += u64::from(dropped);
        }
    }

    /// A member that leaves on purpose hears less than all: it is none of those whose deliveries
    /// are due.
    fn excuse(&mut self, local: u32) {
        let connection = self.task.global(self.shard, local);
        if let Some(rooms) = &mut self.rooms {
            rooms.excuse(local, connection);
        }
    }

    /// An established connection ended, and not by the generator's doing. Whether it comes back.
    pub(super) fn lost(&mut self, local: u32, now: Nanos) -> bool {
        // Of a slow consumer it is told that the server let it go.
        let stays_away = self.step > Step::Running || self.is_slow(local);
        let Some(life) = &mut self.life else { return false };
        if stays_away {
            return false;
        }
        // One that was about to leave by its turn comes back by that too.
        if life.absences[local as usize].why == Some(Why::Churn) {
            self.return_at(local, now);
            return true;
        }
        if life.reconnect.is_none() {
            return false;
        }
        life.absent(local, Why::Lost, now);
        if self.step == Step::Running {
            life.again(local, now);
        }
        let link = &mut self.links[local as usize];
        (link.status, link.id) = (Status::Away, None);
        true
    }

    /// What a connection that was dropped on purpose had outstanding is lost by that.
    fn abandon(&mut self, local: u32, now: Nanos) {
        let link = &self.links[local as usize];
        let (mut messages, mut beats) = (link.messages, link.beats);
        if link.fragments > 0 {
            self.fragments.retain(|due| due.1 != local);
        }
        while let Some(entry) = messages.pop(&mut self.arena) {
            if entry.sent == 0 {
                if self.measured(entry.intended) {
                    self.tally.due -= 1;
                    self.count(entry.intended, |part| part.due -= 1);
                    self.tally.life.skipped += 1;
                }
            } else if self.counted(&entry, now) {
                self.tally.life.abandoned += 1;
            }
        }
        while let Some(entry) = beats.pop(&mut self.arena) {
            let measured = u64::from(self.measured(entry.intended));
            self.tally.life.pings_abandoned += measured;
            if self.manner.beats_only {
                self.tally.life.abandoned += measured;
            }
        }
        let link = &mut self.links[local as usize];
        (link.messages, link.beats) = (messages, beats);
        (link.current, link.fragments, link.owed_beat) = (NIL, 0, 0);
    }
}
