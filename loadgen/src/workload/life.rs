//! Connections that leave and come back while the run lasts: churn, storms, and those that the
//! server or the network ended.
//!
//! Who is away by the generator's own doing owes nothing: what falls due on it meanwhile is skipped
//! and counted as that. Who was thrown out still has its schedule: what falls due waits, with its
//! own time, until it is back.

use std::collections::VecDeque;
use std::sync::Arc;

use plimsoll::shard::Peers;
use plimsoll::shard::net::Net;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::Workload;
use super::link::{Local, Status};
use super::retry::{Attempts, wait};
use super::route::Route;
use super::storm::Storms;
use super::task::{Task, Times};
use crate::cli::plan::{Plan, Retry};
use crate::inflight::NIL;
use crate::schedule::{Gap, Line, Nanos, Rotor, Schedule};

/// Openings in flight on one shard, of those who come back. More than in the ramp: in a storm a
/// server has to do with all of them at once.
const OPENINGS: u32 = 512;
/// Of each kind of event, those of one call; the reactor reads in between.
const BATCH: usize = 64;

/// Why a connection is away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// It was its turn to leave and come back.
    Churn,
    /// The server or the network ended it.
    Lost,
    /// This storm took it.
    Storm(usize),
}

/// What a connection's absences were.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Absence {
    /// Why it is away now, if it is.
    pub(super) why: Option<Why>,
    pub(super) since: Nanos,
    /// Waits before attempts to come back so far.
    attempts: u32,
    /// The last storm that took it.
    pub(super) storm: Option<usize>,
}

/// One shard's comings and goings.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) reconnect: Option<Retry>,
    pub(super) ramp: Option<Gap>,
    random: StdRng,
    /// By connection.
    pub(super) absences: Vec<Absence>,
    /// Connections away by the generator's own doing.
    pub(super) missed: u32,
    pub(super) attempts: Attempts,
    pub(super) openings: u32,
    churn: Schedule,
    /// Churned connections that wait for their last answers, and until when.
    leaving: VecDeque<(Nanos, u32)>,
    /// As long as at the end of the run.
    patience: Nanos,
    /// Connections that may leave on purpose.
    pub(super) leavers: Vec<u32>,
    pub(super) storms: Storms,
    pub(super) route: Option<Arc<Route>>,
}

impl Life {
    /// `None` if no connection of the plan is opened twice.
    pub(super) fn new(task: &Task, shard: usize) -> Option<Box<Self>> {
        let Plan { life, ramp, seed, drain, .. } = &task.plan;
        life.reopens().then(|| {
            Box::new(Self {
                reconnect: life.reconnect,
                ramp: ramp.map(Gap::per_second),
                random: StdRng::seed_from_u64(seed ^ (shard as u64 + 1).rotate_left(16)),
                absences: vec![Absence::default(); task.connections_of(shard) as usize],
                missed: 0,
                attempts: Attempts::default(),
                openings: 0,
                churn: Schedule::Never,
                leaving: VecDeque::new(),
                patience: drain.as_nanos() as Nanos,
                leavers: Vec::new(),
                storms: Storms::new(&task.plan, shard, Arc::clone(&task.settled)),
                route: None,
            })
        })
    }

    /// When something is due before `to`, or an opening at any time.
    fn next(&self, to: Nanos) -> Nanos {
        let attempt = if self.openings < OPENINGS { self.attempts.next() } else { Nanos::MAX };
        let patience = self.leaving.front().map_or(Nanos::MAX, |&(at, _)| at);
        let planned = self.churn.next().min(self.storms.next());
        let planned = if planned < to { planned } else { Nanos::MAX };
        planned.min(attempt).min(patience)
    }

    /// Nobody is away by the generator's own doing.
    pub(super) fn is_complete(&self) -> bool {
        self.missed == 0
    }

    /// It waits for its last answers, up to a bound.
    pub(super) fn await_answers(&mut self, local: u32, now: Nanos) {
        self.leaving.push_back((now + self.patience, local));
    }

    /// The next that has waited long enough, if it still does.
    fn take_impatient(&mut self, now: Nanos) -> Option<u32> {
        while let Some((late, local)) = self.leaving.pop_front_if(|late| late.0 <= now) {
            // It may have come and gone and be leaving anew.
            if late == self.absences[local as usize].since + self.patience {
                return Some(local);
            }
        }
        None
    }

    /// Connections that are away.
    pub(super) fn away(&self) -> u64 {
        self.absences.iter().filter(|absence| absence.why.is_some()).count() as u64
    }

    /// The last storm that took a connection.
    pub(super) fn dropped(&self, local: u32) -> Option<usize> {
        self.absences[local as usize].storm
    }

    /// It is away from now on, for one more reason.
    pub(super) fn absent(&mut self, local: u32, why: Why, now: Nanos) {
        let absence = &mut self.absences[local as usize];
        self.missed += u32::from(why != Why::Lost && absence.why.is_none());
        (absence.why, absence.since, absence.attempts) = (Some(why), now, 0);
    }

    /// The next attempt, after a wait by the policy.
    pub(super) fn again(&mut self, local: u32, now: Nanos) {
        let absence = &mut self.absences[local as usize];
        // Who left on purpose comes back at once, and what fails then still wants a wait.
        let retry = self.reconnect.unwrap_or(Retry::USUAL);
        let at = now + wait(retry, absence.attempts, &mut self.random);
        absence.attempts += 1;
        self.attempts.push(at, local);
    }
}

impl Workload {
    /// The run begins: who leaves when is fixed.
    pub(super) fn begin_life(&mut self, times: &Times) {
        let (task, shard) = (&self.task, self.shard);
        let Some(life) = &mut self.life else { return };
        let leaves = |local: &u32| task.may_leave(task.global(shard, *local));
        life.leavers = self.members.iter().copied().filter(leaves).collect();
        life.storms.begin(times);
        if let Some(rate) = task.plan.life.churn {
            let mut order = life.leavers.clone();
            order.shuffle(&mut life.random);
            let even = Line::Even(Gap::per_second(rate));
            let rotor = Rotor::new(times.start, even, &times.leavers, shard, &order);
            life.churn = Schedule::Uniform(rotor);
        }
        // Who was lost while others still connected.
        for local in 0..self.links.len() as u32 {
            if self.links[local as usize].status == Status::Away {
                life.again(local, times.start);
            }
        }
    }

    /// Why a connection is away, if it is one that comes back.
    pub(super) fn absence(&self, local: u32) -> Option<Why> {
        self.life.as_ref().and_then(|life| life.absences[local as usize].why)
    }

    /// Whether it is away by the generator's own doing: then it owes nothing.
    pub(super) fn is_excused(&self, local: u32) -> bool {
        !matches!(self.absence(local), None | Some(Why::Lost))
    }

    /// When the next of them is due.
    #[inline(never)]
    pub(super) fn next_life(&self) -> Nanos {
        self.life.as_ref().map_or(Nanos::MAX, |life| life.next(self.times.to))
    }

    /// Leavings and comings that are due.
    #[inline(never)]
    pub(super) fn live_on<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        let to = self.times.to;
        let Some(life) = &mut self.life else { return };
        if let Some(drops) = life.storms.take(now, to) {
            self.drop_share(peers, &drops, now);
        }
        for _ in 0..BATCH {
            let due = self.life.as_mut().and_then(|life| life.churn.take(now, to));
            let Some(due) = due else { break };
            self.churn(peers, due.local, due.intended, now);
        }
        for _ in 0..BATCH {
            let late = self.life.as_mut().and_then(|life| life.take_impatient(now));
            let Some(local) = late else { break };
            self.lose_patience(peers, local, now);
        }
        for _ in 0..BATCH {
            let Some(life) = &mut self.life else { return };
            if life.openings >= OPENINGS {
                return;
            }
            let Some(local) = life.attempts.take(now) else { return };
            if let Some(route) = life.route.clone() {
                life.openings += 1;
                self.dial_one(peers, local, &route, now);
            }
        }
    }

    /// The run is over: openings that are still under way are left, closes are waited for.
    pub(super) fn end_life<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>) {
        let Some(life) = &mut self.life else { return };
        for (link, absence) in self.links.iter_mut().zip(&life.absences) {
            match (link.status, absence.why) {
                (Status::Opening, _) => {
                    if let Some(id) = link.id.take() {
                        peers.leave(id, false);
                    }
                    self.arena.remove(link.current);
                    (link.current, link.status) = (NIL, Status::Away);
                }
                (Status::Closing, Some(Why::Churn)) => self.closing += 1,
                _ => {}
            }
        }
    }
}
