//! Phases follow each other over the same connections: each has a schedule of its own from its
//! first instant on, and what was due in one belongs to it, whenever it is sent or answered.
//!
//! A closed loop begins anew in each phase, and a reply to a message of an earlier phase begins
//! nothing: so a connection that froze in one is asked again in the next.

use super::Workload;
use super::task::Times;
use crate::cli::plan::{Arrival, HeartbeatPhase, Pace, PhasePlan};
use crate::measure::{Phase, PhaseCounts};
use crate::schedule::{Gap, Line, Nanos, Poisson, Rotor, Schedule, Slope, Volley};

/// One phase as a shard keeps to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// The first one's is 0: the warm-up has its load.
    pub(super) from: Nanos,
    /// The last one's is never.
    pub(super) to: Nanos,
    /// Messages that a closed loop keeps in flight; 0 in an open loop and in idle mode.
    pub(super) in_flight: u32,
    pub(super) fragments: u32,
    pub(super) gap: Nanos,
    pub(super) interleave_ping: bool,
    /// A ping behind each message of one frame: what those between fragments are compared with.
    pub(super) ping_behind: bool,
    /// Messages of one frame and nothing behind them.
    pub(super) plain: bool,
}

impl Stretch {
    pub(super) fn new(phase: &PhasePlan) -> Self {
        let in_flight = match phase.pace {
            Pace::Closed { in_flight } => in_flight,
            Pace::Open { .. } | Pace::Silent => 0,
        };
        Self {
            from: 0,
            to: Nanos::MAX,
            in_flight,
            fragments: phase.fragmentation.fragments,
            gap: phase.fragmentation.gap.as_nanos() as u64,
            interleave_ping: phase.fragmentation.interleave_ping,
            ping_behind: phase.fragmentation.interleave_ping && phase.fragmentation.fragments == 1,
            plain: phase.fragmentation.fragments == 1 && !phase.fragmentation.interleave_ping,
        }
    }
}

/// The phases of a run, and the one that is sent by.
#[derive(Debug)]
pub(super) struct Stretches {
    all: Box<[Stretch]>,
    at: usize,
    /// `all[at]`: most of what is asked is asked of it.
    now: Stretch,
    /// There is but one, as in most runs: nothing has to be looked up.
    single: bool,
}

impl Stretches {
    pub(super) fn new(phases: &[PhasePlan]) -> Self {
        let all: Box<[Stretch]> = phases.iter().map(Stretch::new).collect();
        Self { now: all[0], single: all.len() == 1, all, at: 0 }
    }

    /// Which of them has what was due at `intended`.
    #[inline]
    pub(super) fn of(&self, intended: Nanos) -> usize {
        if self.single { 0 } else { self.find(intended) }
    }

    #[inline(never)]
    fn find(&self, intended: Nanos) -> usize {
        if intended >= self.now.from && intended < self.now.to {
            return self.at;
        }
        self.all.iter().rposition(|stretch| stretch.from <= intended).unwrap_or(0)
    }

    /// The one with this number.
    #[inline]
    pub(super) fn get(&self, at: usize) -> &Stretch {
        if self.single || at == self.at { &self.now } else { &self.all[at] }
    }

    /// The one that is sent by.
    #[inline]
    pub(super) fn now(&self) -> &Stretch {
        &self.now
    }

    /// Its number.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn enter(&mut self, at: usize) {
        (self.now, self.at) = (self.all[at], at);
    }
}

impl Workload {
    /// When the sends of the phase end that is sent by.
    pub(super) fn sends_end(&self) -> Nanos {
        self.stretches.now().to.min(self.times.to)
    }

    /// The part of the run that has what was meant to be sent at `intended`.
    #[inline]
    pub(super) fn phase(&self, intended: Nanos) -> Phase {
        self.phase_if(self.measured(intended), intended)
    }

    /// The same, of what `counted` or did not.
    #[inline]
    pub(super) fn phase_if(&self, counted: bool, intended: Nanos) -> Phase {
        if counted { Phase::Measure(self.stretches.of(intended) as u16) } else { Phase::Warmup }
    }

    /// Counts what was due at `intended` in its phase, if there are several.
    #[inline]
    pub(super) fn count(&mut self, intended: Nanos, what: impl FnOnce(&mut PhaseCounts)) {
        if !self.tally.phases.is_empty() {
            self.part(intended).map(what);
        }
    }

    #[cold]
    #[inline(never)]
    fn part(&mut self, intended: Nanos) -> Option<&mut PhaseCounts> {
        self.tally.phases.get_mut(self.stretches.of(intended))
    }

    /// The run's times are known: so are those of its phases.
    pub(super) fn lay_out(&mut self, times: &Times) {
        let mut from = times.from;
        let all = &mut self.stretches.all;
        let last = all.len() - 1;
        for (at, phase) in self.task.phases.iter().enumerate() {
            let to = from.saturating_add(phase.duration.as_nanos() as Nanos);
            let stretch = &mut all[at];
            stretch.from = if at == 0 { 0 } else { from };
            stretch.to = if at == last { Nanos::MAX } else { to };
            from = to;
        }
    }

    /// Whether a closed loop has not begun yet in this phase on that connection.
    pub(super) fn begins_anew(&self, local: u32) -> bool {
        let newest = self.links[local as usize].messages.newest(&self.arena);
        newest.is_none_or(|due| due < self.stretches.now().from)
    }

    /// Sends by the schedule of this phase from now on.
    pub(super) fn enter(&mut self, at: usize) {
        let start = if at == 0 { self.times.start } else { self.stretches.all[at].from };
        let phases = &self.task.phases;
        let schedule = self.schedule_of(at, start);
        let before = at.checked_sub(1).and_then(|before| phases.get(before));
        if before.is_none_or(|before| before.heartbeat != phases[at].heartbeat) {
            self.beats = self.beats_of(at, start);
        }
        (self.schedule, self.begun) = (schedule, 0);
        self.stretches.enter(at);
    }

    /// The next phase begins, if this one's time is over; false if not, or if there is none.
    pub(super) fn next_phase(&mut self, now: Nanos) -> bool {
        let next = self.stretches.at + 1;
        let begins = self
            .stretches
            .all
            .get(next)
            .is_some_and(|next| next.from <= now && next.from < self.times.to);
        if begins {
            self.enter(next);
        }
        begins
    }

    fn schedule_of(&self, at: usize, start: Nanos) -> Schedule {
        let (times, plan) = (&self.times, &self.task.plan);
        let phase = &self.task.phases[at];
        let Pace::Open { rate, arrival } = phase.pace else { return Schedule::Never };
        let line = match phase.ramp_to {
            None => Line::Even(Gap::per_second(rate)),
            Some(to) => {
                let lead = if at == 0 { times.from - times.start } else { 0 };
                Line::Slope(Slope::new(rate, to, phase.duration, lead))
            }
        };
        let senders = self.members.iter().copied();
        let sends = |local: &u32| self.task.sends(self.task.global(self.shard, *local));
        let senders: Vec<u32> = senders.filter(sends).collect();
        match arrival {
            Arrival::Uniform => {
                let counts = &times.senders;
                Schedule::Uniform(Rotor::new(start, line, counts, self.shard, &senders))
            }
            Arrival::Poisson => {
                let everybody = times.senders.iter().map(|&n| u64::from(n)).sum();
                // Each shard and phase draws from a stream of its own.
                let stream = (self.shard as u64 + 1) | (at as u64) << 24;
                let seed = plan.seed ^ stream.rotate_left(32);
                Schedule::poisson(Poisson::new(start, line, everybody, &senders, seed))
            }
        }
    }

    fn beats_of(&self, at: usize, start: Nanos) -> Schedule {
        let (times, phase) = (&self.times, &self.task.phases[at]);
        let Some(heartbeat) = phase.heartbeat else { return Schedule::Never };
        match heartbeat.phase {
            HeartbeatPhase::Sync => {
                let first = if at == 0 { times.from } else { start };
                Schedule::Volley(Volley::new(first, heartbeat.interval, &self.members))
            }
            HeartbeatPhase::Spread => {
                let line =
                    Line::Even(Gap::of_round(heartbeat.interval, times.members.iter().sum()));
                let counts = &times.members;
                Schedule::Uniform(Rotor::new(start, line, counts, self.shard, &self.members))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::task::tests::plan;
    use super::*;

    #[test]
    fn whatever_is_guessed_the_phase_is_that_of_the_time() {
        let phase = plan("-R 5").all_phases()[0].clone();
        let mut stretches = Stretches::new(&[phase.clone(), phase.clone(), phase]);
        for (at, (from, to)) in [(0, 10), (10, 15), (15, Nanos::MAX)].into_iter().enumerate() {
            (stretches.all[at].from, stretches.all[at].to) = (from, to);
        }
        for now in 0..3 {
            stretches.enter(now);
            for (intended, at) in [(0, 0), (9, 0), (10, 1), (14, 1), (15, 2), (Nanos::MAX, 2)] {
                assert_eq!(stretches.of(intended), at, "{intended} {now}");
                assert_eq!(stretches.get(at).from, stretches.all[at].from);
            }
        }
    }
}
