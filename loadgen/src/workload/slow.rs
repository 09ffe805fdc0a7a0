//! Slow consumers: connections that read at a trickle. Their figures stand apart, so that they
//! spoil nobody else's: while one of them has its turn, the shard's books are theirs.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll::conn::End;
use plimsoll::shard::{Shape, Trickle};

use super::task::Task;
use super::{Manner, Workload};
use crate::measure::{Counts, Kind, Latencies, Recorder, SlowTally, Tally};
use crate::schedule::Nanos;

/// From the moment at which they read all there is to their close frames: a server that has closed
/// one of them long ago is heard first.
const CATCH_UP: Nanos = 1_000_000_000;

/// One shard's slow consumers.
pub(super) struct Slow {
    /// By connection of the shard.
    members: Box<[bool]>,
    /// How their streams are.
    pub(super) shape: Shape,
    trickle: Rc<Trickle>,
    /// Bytes read before they were let read all.
    taken: u64,
    /// Whose turn it is not: theirs, but while one of them has its turn, the others'.
    books: Books,
    /// Those that are closed last, and from when on.
    pub(super) last: Vec<u32>,
    pub(super) close_from: Nanos,
}

#[derive(Default)]
struct Books {
    recorder: Recorder,
    tally: Tally,
    own_lag: Counts,
}

impl Slow {
    /// `None` if nobody is slow. They have the shape of all connections besides.
    pub(super) fn new(task: &Task, shard: usize, manner: &Manner) -> Option<Box<Self>> {
        let slow = task.plan.life.slow?;
        let locals = 0..task.connections_of(shard);
        let members = locals.map(|local| task.is_slow(task.global(shard, local))).collect();
        let (per_second, taken) = (Cell::new(slow.per_second), Cell::new(0));
        let trickle = Rc::new(Trickle { per_second, taken });
        let shape = Shape {
            trickle: Some(Rc::clone(&trickle)),
            ..manner.shape.clone().unwrap_or_default()
        };
        let (books, last) = (Books::default(), Vec::new());
        Some(Box::new(Self {
            members,
            shape,
            trickle,
            taken: 0,
            books,
            last,
            close_from: Nanos::MAX,
        }))
    }

    /// When the next of them is to be closed.
    pub(super) fn next_close(&self) -> Nanos {
        if self.last.is_empty() { Nanos::MAX } else { self.close_from }
    }

    /// The next of them to close, if it is time.
    pub(super) fn take_last(&mut self, now: Nanos) -> Option<usize> {
        (now >= self.close_from).then(|| self.last.pop())?.map(|local| local as usize)
    }

    /// What they measured.
    pub(super) fn finish(self) -> SlowTally {
        let Books { recorder, tally, .. } = self.books;
        let mut latencies = Latencies::default();
        latencies.add(&recorder);
        let mut kinds = [Kind::Response, Kind::Delivery].into_iter();
        let answers = kinds.find_map(|kind| latencies.get(kind).cloned());
        SlowTally {
            connections: tally.established,
            bytes_read: self.taken,
            closed_early: tally.closed_early,
            errors: tally.errors,
            due: tally.due,
            sent: tally.sent,
            received: tally.received,
            unanswered: tally.unanswered,
            answers: answers.unwrap_or_default(),
        }
    }
}

impl Workload {
    /// Whether a connection reads at a trickle.
    #[inline]
    pub(super) fn is_slow(&self, local: u32) -> bool {
        self.slow.as_ref().is_some_and(|slow| slow.members[local as usize])
    }

    /// Opens the books of a slow consumer, whose turn it is; true if they are to be closed again by
    /// [`Workload::step_back`].
    #[inline]
    pub(super) fn step_aside(&mut self, local: u32) -> bool {
        let aside = self.slow.is_some() && self.is_slow(local);
        self.step_back(aside);
        aside
    }

    /// The turn of a slow consumer is over, if it was one.
    #[inline]
    pub(super) fn step_back(&mut self, aside: bool) {
        if aside {
            self.swap_books();
        }
    }

    #[inline(never)]
    fn swap_books(&mut self) {
        if let Some(slow) = &mut self.slow {
            std::mem::swap(&mut self.recorder, &mut slow.books.recorder);
            std::mem::swap(&mut self.tally, &mut slow.books.tally);
            std::mem::swap(&mut self.own_lag, &mut slow.books.own_lag);
        }
    }

    /// Whether an end that comes once all was measured is that of a slow consumer, by the server.
    pub(super) fn heard_at_last(&self, local: u32, end: &End) -> bool {
        self.is_slow(local) && !matches!(end, End::Shutdown)
    }

    /// All is measured: they read what there is, and close after the others.
    pub(super) fn let_read(&mut self, now: Nanos) {
        if let Some(slow) = &mut self.slow {
            slow.taken = slow.trickle.taken.get();
            slow.trickle.per_second.set(0);
            slow.close_from = now + CATCH_UP;
        }
    }
}
