//! Heartbeats: pings or small text messages, each connection's own, whatever else it does.

use plimsoll::conn::{Kind, Sender};
use plimsoll::shard::Peers;
use plimsoll::shard::net::Net;

use super::Workload;
use super::link::Local;
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

    /// A heartbeat of `local` is due.
    pub(super) fn heartbeat<N: Net>(
        &mut self,
        peers: &mut Peers<'_, N, Local>,
        local: u32,
        intended: Nanos,
        now: Nanos,
    ) {
        let link = &mut self.links[local as usize];
        if !link.is_open() {
            return;
        }
        let overdue = link.owed_beat != 0 || !link.beats.is_empty();
        if overdue && self.times.from <= intended {
            self.tally.pings_overdue += 1;
        }
        let Some(mut peer) = link.id.and_then(|id| peers.get(id)) else { return };
        if self.manner.beat == HeartbeatKind::Ping {
            self.ping(local, &mut peer.tx, intended, now);
        } else if link.current == NIL {
            self.text_beat(local, &mut peer.tx, intended, now);
        } else if link.owed_beat == 0 {
            link.owed_beat = intended;
        }
    }

    /// One ping frame.
    pub(super) fn ping(&mut self, local: u32, tx: &mut Sender<'_>, intended: Nanos, now: Nanos) {
        let connection = self.task.global(self.shard, local);
        let Some(sequence) = self.begin_beat(local, intended, now) else { return };
        tx.ping(&write_ping(connection, sequence));
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
        let Some(sequence) = self.begin_beat(local, intended, now) else { return };
        tx.send(Kind::Text, &write_beat(connection, sequence));
    }

    fn begin_beat(&mut self, local: u32, intended: Nanos, now: Nanos) -> Option<u32> {
        let link = &mut self.links[local as usize];
        link.beats.push(&mut self.arena, intended);
        let (_, sequence) = link.beats.begin(&mut self.arena, now)?;
        let measured = u64::from(self.measured(intended));
        self.tally.pings_sent += measured;
        if self.manner.beats_only {
            self.tally.sent += measured;
            self.cell().sent.add(1);
        }
        Some(sequence)
    }
}
