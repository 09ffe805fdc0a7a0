//! Heartbeats: pings or small text messages, each connection's own, whatever else it does.

use plimsoll::conn::{Kind, Sender};
use plimsoll::shard::Peers;
use plimsoll::shard::net::Net;

use super::Workload;
use super::link::{Local, Status};
use crate::cli::plan::HeartbeatKind;
use crate::inflight::NIL;
use crate::payload::{write_beat, write_ping};
use crate::schedule::Nanos;

/// Heartbeats of one call while others still connect.
const BATCH: usize = 128;

impl Workload {
    /// A connection that waits for the others stays alive meanwhile: servers close silent ones.
    pub(super) fn await_beat(&mut self, local: u32, now: Nanos) {
        if let Some(heartbeat) = self.task.plan.heartbeat {
            let at = now + heartbeat.interval.as_nanos() as Nanos;
            self.waiting_beats.push_back((at, local));
        }
    }

    /// When the next of them is due.
    pub(super) fn next_waiting_beat(&self) -> Nanos {
        self.waiting_beats.front().map_or(Nanos::MAX, |&(at, _)| at)
    }

    /// Their heartbeats that are due.
    pub(super) fn beat_while_waiting<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        now: Nanos,
    ) {
        for _ in 0..BATCH {
            let Some((at, local)) = self.waiting_beats.pop_front_if(|due| due.0 <= now) else {
                return;
            };
            if self.links[local as usize].is_open() {
                self.heartbeat(peers, local, at, now);
                self.await_beat(local, now);
            }
        }
    }

    /// The run begins: a connection whose first turn comes later than its next waiting heartbeat
    /// still needs that one, or it would be silent for up to two intervals.
    pub(super) fn keep_waiting_beats(&mut self) {
        let mut first = vec![0; self.links.len()];
        for (local, at) in self.beats.first_turns() {
            first[local as usize] = at;
        }
        self.waiting_beats.retain(|&(at, local)| at < first[local as usize]);
        self.waiting_beats.shrink_to_fit();
    }

    /// Sends one of those, outside the measurement. False if none is due.
    pub(super) fn last_waiting_beat<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        now: Nanos,
    ) -> bool {
        let due = self.waiting_beats.pop_front_if(|due| due.0 <= now);
        let Some((at, local)) = due else { return false };
        let intended = at.min(self.times.from.saturating_sub(1));
        self.heartbeat(peers, local, intended, now);
        true
    }

    /// A heartbeat of `local` is due.
    pub(super) fn heartbeat<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        intended: Nanos,
        now: Nanos,
    ) {
        let aside = self.step_aside(local);
        self.beat(peers, local, intended, now);
        self.step_back(aside);
    }

    fn beat<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        intended: Nanos,
        now: Nanos,
    ) {
        let measured = self.measured(intended);
        if self.is_excused(local) {
            self.tally.life.skipped += u64::from(measured && self.manner.beats_only);
            return;
        }
        self.count_due_beat(intended);
        let link = &mut self.links[local as usize];
        let peer = link.id.filter(|_| link.status == Status::Open).and_then(|id| peers.get(id));
        let Some(mut peer) = peer else { return self.beat_unsent(intended, now) };
        let overdue = link.owed_beat != 0 || !link.beats.is_empty();
        self.tally.pings_overdue += u64::from(overdue && measured);
        if self.manner.beat == HeartbeatKind::Ping {
            if measured && self.manner.beats_only && peer.tx.pending() == 0 {
                self.own_lag.record(now.saturating_sub(intended));
            }
            self.ping(local, &mut peer.tx, intended, now);
        } else if link.current == NIL {
            self.text_beat(local, &mut peer.tx, intended, now);
        } else if link.owed_beat == 0 {
            link.owed_beat = intended;
        } else {
            self.beat_unsent(intended, now);
        }
    }

    /// In idle mode a heartbeat that is due is a message that is due.
    pub(super) fn count_due_beat(&mut self, intended: Nanos) {
        if self.manner.beats_only && self.measured(intended) {
            self.tally.due += 1;
            self.count(intended, |part| part.due += 1);
        }
    }

    /// A heartbeat that cannot be sent any more.
    pub(super) fn beat_unsent(&mut self, intended: Nanos, now: Nanos) {
        if self.measured(intended) {
            self.tally.pings_unsent += 1;
            if self.manner.beats_only {
                // It waits to the end of the window at least.
                self.unanswered(intended, now.max(self.times.to));
            }
        }
    }

    /// One ping frame that was due at `intended`.
    pub(super) fn ping(&mut self, local: u32, tx: &mut Sender<'_>, intended: Nanos, now: Nanos) {
        let connection = self.task.global(self.shard, local);
        let sequence = self.links[local as usize].beats.next_sequence();
        let amid = self.links[local as usize].current != NIL;
        if tx.ping(&write_ping(connection, sequence, amid)) {
            self.begin_beat(local, intended, now);
        } else {
            self.beat_unsent(intended, now);
        }
    }

    /// One ping behind a message.
    #[cold]
    pub(super) fn ping_behind(&mut self, local: u32, tx: &mut Sender<'_>, now: Nanos) {
        self.ping(local, tx, now, now);
    }

    /// One text heartbeat.
    pub(super) fn text_beat(
        &mut self,
        local: u32,
        tx: &mut Sender<'_>,
        intended: Nanos,
        now: Nanos,
    ) {
        let connection = self.task.global(self.shard, local);
        let sequence = self.links[local as usize].beats.next_sequence();
        let sent = match &self.task.plan.heartbeat_words {
            Some(words) => tx.send(Kind::Text, words.body.as_bytes()),
            None => tx.send(Kind::Text, &write_beat(connection, sequence)),
        };
        if sent {
            self.begin_beat(local, intended, now);
        } else {
            self.beat_unsent(intended, now);
        }
    }

    /// A heartbeat was handed over.
    fn begin_beat(&mut self, local: u32, intended: Nanos, now: Nanos) {
        let link = &mut self.links[local as usize];
        link.beats.push(&mut self.arena, intended);
        link.beats.begin(&mut self.arena, now);
        let measured = self.measured(intended);
        self.tally.pings_sent += u64::from(measured);
        if self.manner.beats_only {
            self.tally.sent += u64::from(measured);
            if measured {
                self.count(intended, |part| part.sent += 1);
            }
            self.cell().sent.add(1);
        }
    }
}
