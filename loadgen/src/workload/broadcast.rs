//! Rooms: who should hear what, and what each member heard.

use plimsoll::conn::Kind;

use super::Workload;
use super::task::Task;
use crate::cli::plan::{self, Mode};
use crate::heard::{Delivery, Heard, Spans};
use crate::measure::{BroadcastTally, Kind as Latency};
use crate::payload::Stamp;
use crate::schedule::Nanos;

/// One shard's part in the rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    plan: plan::Rooms,
    /// Publishers of a room, at most: the width of a connection's row in `heard`.
    width: u32,
    /// What each connection of the shard heard of each publisher of its room.
    heard: Vec<Heard>,
    /// Deliveries to each connection of the shard that count; empty if nobody leaves on purpose.
    counted: Vec<u64>,
    counts: RoomCounts,
}

/// Instead of a count: the connection has left on purpose, or is slow on purpose, and counts not.
const EXCUSED: u64 = u64::MAX;

/// What the shards' parts add up to.
#[derive(Debug)]
pub(crate) struct RoomCounts {
    /// Members of each room when the run began.
    members: Vec<u64>,
    /// Messages published to each room in the measured window.
    published: Vec<u64>,
    tally: BroadcastTally,
    spans: Spans,
}

impl Rooms {
    /// `None` unless the mode is broadcast.
    pub(super) fn new(task: &Task, shard: usize) -> Option<Self> {
        let Mode::Broadcast(plan) = task.plan.mode else { return None };
        let width = plan.publishers.div_ceil(plan.rooms.max(1));
        let rows = task.connections_of(shard) as usize;
        let rooms = plan.rooms.max(1) as usize;
        let counts = RoomCounts {
            members: vec![0; rooms],
            published: vec![0; rooms],
            tally: BroadcastTally::default(),
            spans: Spans::new(plan.publishers, task.plan.messages()),
        };
        let heard = vec![Heard::default(); rows * width as usize];
        let slow = task.plan.life.slow.is_some();
        let mut counted = if slow || task.plan.life.leaves() { vec![0; rows] } else { Vec::new() };
        for (local, counted) in (0..).zip(&mut counted) {
            if task.is_slow(task.global(shard, local)) {
                *counted = EXCUSED;
            }
        }
        Some(Self { plan, width, heard, counted, counts })
    }

    fn room(&self, connection: u32) -> usize {
        (connection % self.plan.rooms.max(1)) as usize
    }

    pub(super) fn joined(&mut self, connection: u32) {
        let room = self.room(connection);
        self.counts.members[room] += 1;
    }

    /// A member left on purpose: from the begin to the end it is none of those who should hear.
    pub(super) fn excuse(&mut self, local: u32, connection: u32) {
        let room = self.room(connection);
        let Some(counted) = self.counted.get_mut(local as usize) else { return };
        if *counted != EXCUSED {
            self.counts.members[room] -= 1;
            self.counts.tally.received -= *counted;
            *counted = EXCUSED;
        }
    }

    /// A measured delivery to a member; false if it is one that counts not.
    fn received(&mut self, local: u32) -> bool {
        match self.counted.get_mut(local as usize) {
            Some(&mut EXCUSED) => return false,
            Some(counted) => *counted += 1,
            None => {}
        }
        self.counts.tally.received += 1;
        true
    }

    /// A measured message of this publisher was handed over.
    pub(super) fn published(&mut self, publisher: u32) {
        let room = self.room(publisher);
        self.counts.published[room] += 1;
    }

    /// Whether a message of `publisher` belongs to the connection's room.
    fn belongs(&self, publisher: u32, connection: u32) -> bool {
        publisher < self.plan.publishers && self.room(publisher) == self.room(connection)
    }

    fn hear(&mut self, local: u32, publisher: u32, sequence: u32) -> Delivery {
        let column = publisher / self.plan.rooms.max(1);
        let cell = local as usize * self.width as usize + column as usize;
        self.heard[cell].hear(sequence)
    }

    pub(super) fn counts(self) -> RoomCounts {
        self.counts
    }
}

impl RoomCounts {
    /// Adds another shard's part.
    pub(crate) fn merge(&mut self, other: &Self) {
        let add = |mine: &mut Vec<u64>, theirs: &Vec<u64>| {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        };
        add(&mut self.members, &other.members);
        add(&mut self.published, &other.published);
        self.tally.received += other.tally.received;
        self.tally.duplicate += other.tally.duplicate;
        self.tally.reordered += other.tally.reordered;
        self.spans.merge(&other.spans);
    }

    /// The figures of the run, once every shard's part is in.
    pub(crate) fn finish(self) -> BroadcastTally {
        let mut tally = self.tally;
        let rooms = self.members.iter().zip(&self.published);
        // The sender is a member too: a raw broadcast comes back to it as well.
        tally.expected = rooms.map(|(members, published)| members * published).sum();
        for width in self.spans.widths() {
            tally.spread.record(width);
        }
        tally
    }
}

impl Workload {
    /// A publication reached a member.
    pub(super) fn delivered(&mut self, local: u32, kind: Kind, payload: &[u8], now: Nanos) {
        let connection = self.task.global(self.shard, local);
        let Some(rooms) = &mut self.rooms else { return };
        let belongs = |stamp: &Stamp| rooms.belongs(stamp.connection, connection);
        let stamp = self.payloads.read(payload, belongs);
        let Some(stamp) = stamp else {
            self.tally.strays += 1;
            return;
        };
        let measured = self.measured(stamp.time);
        let Some(rooms) = &mut self.rooms else { return };
        let delivery = rooms.hear(local, stamp.connection, stamp.sequence);
        let rooms_tally = &mut rooms.counts.tally;
        if delivery == Delivery::Duplicate {
            rooms_tally.duplicate += u64::from(measured);
            self.tally.duplicate += u64::from(measured);
            return;
        }
        if measured && delivery == Delivery::Reordered {
            rooms_tally.reordered += 1;
            self.tally.reordered += 1;
        }
        if measured {
            if rooms.received(local) {
                rooms.counts.spans.see(stamp.connection, stamp.sequence, now);
            }
            self.tally.received += 1;
            self.count(stamp.time, |part| part.received += 1);
        }
        let phase = self.stretches.of(stamp.time);
        let intact = kind == self.manner.kind
            && (!self.manner.verify || self.payloads.intact(phase, stamp, payload));
        self.tally.corrupt += u64::from(!intact && measured);
        self.tally.verified += u64::from(intact && self.manner.verify && measured);
        let took = now.saturating_sub(stamp.time);
        self.recorder.record(Latency::Delivery, self.phase(stamp.time), took);
        self.cell().received.add(1);
        self.cell().response.record(took);
        if measured {
            self.answered_in_storm(local, took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::tests::plan;
    use super::*;

    fn two_shards() -> (Rooms, Rooms) {
        let plan = plan("--mode broadcast --rooms 2 --publishers 4 --subscribers 6 -R 10");
        let task = Task::new(plan, 2);
        (Rooms::new(&task, 0).unwrap(), Rooms::new(&task, 1).unwrap())
    }

    #[test]
    fn expected_is_published_times_members() {
        let (mut a, mut b) = two_shards();
        for connection in 0..10 {
            let shard = if connection % 2 == 0 { &mut a } else { &mut b };
            shard.joined(connection);
        }
        for _ in 0..3 {
            a.published(0);
            b.published(1);
            b.published(3);
        }
        let mut counts = a.counts();
        counts.merge(&b.counts());
        let tally = counts.finish();
        assert_eq!(tally.expected, 3 * 5 + 6 * 5, "two rooms of five members");
        assert_eq!((tally.received, tally.lost()), (0, 45));
    }

    /// Who left counts neither among those who should hear nor among those who heard.
    #[test]
    fn who_left_on_purpose_is_not_missed() {
        let plan = plan("--mode broadcast --subscribers 3 -R 10 --churn 1");
        let mut rooms = Rooms::new(&Task::new(plan, 1), 0).unwrap();
        (0..4).for_each(|connection| rooms.joined(connection));
        (0..2).for_each(|_| rooms.published(0));
        for local in [0, 1, 2, 2, 3, 3] {
            rooms.received(local);
        }
        rooms.excuse(2, 2);
        rooms.excuse(2, 2);
        rooms.received(2);
        let tally = rooms.counts().finish();
        assert_eq!((tally.expected, tally.received), (2 * 3, 4));
    }

    #[test]
    fn rooms_keep_apart() {
        let (mut a, _) = two_shards();
        assert!(a.belongs(0, 8) && a.belongs(2, 0) && a.belongs(3, 1));
        assert!(!a.belongs(1, 0), "another room");
        assert!(!a.belongs(4, 0), "no publisher");
        assert_eq!(a.hear(0, 0, 0), Delivery::Fresh);
        assert_eq!(a.hear(0, 2, 0), Delivery::Fresh, "each publisher has numbers of its own");
        assert_eq!(a.hear(4, 0, 0), Delivery::Fresh, "and each member its own ears");
        assert_eq!(a.hear(0, 0, 0), Delivery::Duplicate);
    }
}
