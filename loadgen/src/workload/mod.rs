//! The client's App: what one shard of the generator does with its connections.
//!
//! It connects at the ramp's pace, sends by a schedule that no reply can move, pairs what comes
//! back, counts and times it, and closes. The main thread leads it from step to step by mails;
//! within a step a shard needs nobody. It never blocks and, per message, never allocates.

mod broadcast;
mod cause;
mod centrifugo;
mod comeback;
mod departure;
mod dial;
mod heartbeat;
mod join;
mod life;
mod link;
mod phases;
mod reply;
mod retry;
mod route;
mod send;
mod slow;
mod storm;
mod task;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use plimsoll::conn::{Control, End, Kind, Message, Upgrade};
use plimsoll::shard::net::Net;
use plimsoll::shard::{App, ConnId, Cx, Peer, Peers, Segments, Shape, Welcome};
use plimsoll::wire::handshake::{Refusal, Request};

use crate::cli::Plan;
use crate::cli::plan::{HeartbeatKind, Mode, PayloadKind};
use crate::inflight::Arena;
use crate::measure::{Counts, Recorder, Seconds, StormTally, Tally};
use crate::payload::Payloads;
use crate::progress::LiveCell;
use crate::schedule::{Nanos, Schedule};
pub(crate) use broadcast::RoomCounts;
use broadcast::Rooms;
use dial::Dialing;
use join::Dialect;
use life::Life;
use link::Link;
pub(crate) use link::Local;
use phases::Stretches;
pub(crate) use route::{Destination, Route, upgrade};
use slow::Slow;
use task::Leaving;
#[cfg(test)]
pub(crate) use task::tests;
pub(crate) use task::{Mail, Notice, Step, Task, Times};

/// What a plan means for each send of any phase, worked out once.
#[derive(Debug)]
struct Manner {
    kind: Kind,
    beat: HeartbeatKind,
    /// Not every message that arrives is a reply to one: it has to be looked at first.
    indirect: bool,
    /// Idle mode: the pings are the messages.
    beats_only: bool,
    verify: bool,
    /// How connections are awkward on purpose.
    shape: Option<Shape>,
}

impl Manner {
    /// `indirect` if what comes back is no echo.
    fn of(plan: &Plan, indirect: bool) -> Self {
        let beat = plan.heartbeat.map_or(HeartbeatKind::Ping, |heartbeat| heartbeat.kind);
        Self {
            kind: match plan.payload {
                PayloadKind::Text => Kind::Text,
                PayloadKind::Binary => Kind::Binary,
            },
            beat,
            indirect: indirect || beat == HeartbeatKind::Text,
            beats_only: plan.mode == Mode::Idle,
            verify: plan.verify,
            shape: plan.life.dribble.map(|dribble| Shape {
                segments: Some(Segments { most: dribble.most, gap: dribble.gap }),
                ..Shape::default()
            }),
        }
    }
}

/// One shard's connections and what they measured.
pub(crate) struct Workload {
    task: Arc<Task>,
    shard: usize,
    manner: Manner,
    /// The phases of the window.
    stretches: Stretches,
    step: Step,
    links: Vec<Link>,
    /// Connections by number within the shard that were established when the run began.
    members: Vec<u32>,
    arena: Arena,
    payloads: Payloads,
    scratch: Vec<u8>,
    schedule: Schedule,
    beats: Schedule,
    /// Heartbeats until the run begins, in the order of their times.
    waiting_beats: VecDeque<(Nanos, u32)>,
    /// Next fragments in the order of their times: the gap is the same for all.
    fragments: VecDeque<(Nanos, u32)>,
    /// Connections that took all their bytes while messages waited.
    ready: Vec<u32>,
    /// Members of a closed loop that have begun.
    begun: usize,
    times: Times,
    dialing: Option<Dialing>,
    upgrades: Vec<Option<Rc<Upgrade>>>,
    /// Each connection has a request of its own.
    personal: bool,
    /// Close frames that were sent and not answered.
    closing: u32,
    /// Connections below this one have been asked to close.
    close_next: usize,
    rooms: Option<Rooms>,
    /// What rooms are spoken to in, if it is no plain messages.
    dialect: Option<Dialect>,
    /// Who leaves and comes back; `None` if nobody does.
    life: Option<Box<Life>>,
    /// Who reads at a trickle; `None` if nobody does.
    slow: Option<Box<Slow>>,
    live: Arc<[LiveCell]>,
    recorder: Recorder,
    seconds: Seconds,
    tally: Tally,
    /// What becomes the tally's in the end.
    own_lag: Counts,
    /// Dropped with the rest, also when the thread panics.
    _leaving: Leaving,
}

/// What a shard brings home.
pub(crate) struct Harvest {
    pub(crate) recorder: Recorder,
    pub(crate) seconds: Seconds,
    pub(crate) tally: Tally,
    pub(crate) rooms: Option<RoomCounts>,
}

impl Workload {
    /// The part of one shard, `live` has a cell for each.
    pub(crate) fn new(task: Arc<Task>, shard: usize, live: Arc<[LiveCell]>) -> Self {
        let plan = &task.plan;
        let broadcast = matches!(plan.mode, Mode::Broadcast(_));
        let dialect = Dialect::new(&task);
        let manner = Manner::of(plan, broadcast || dialect.is_some());
        let connections = task.connections_of(shard);
        let mut links = Vec::new();
        links.resize_with(connections as usize, Link::new);
        let mut tally = Tally { requested: u64::from(connections), ..Tally::default() };
        tally.life.storms.resize_with(plan.life.storms.len(), StormTally::default);
        if task.phases.len() > 1 {
            tally.phases.resize_with(task.phases.len(), Default::default);
        }
        let stretches = Stretches::new(&task.phases);
        let sizes: Vec<_> = task.phases.iter().map(|phase| &phase.size).collect();
        let mut payloads = Payloads::new(plan.payload, &sizes, plan.seed, broadcast);
        if let Some(template) = &plan.template {
            payloads = payloads.saying(template, task.epoch_ms);
        }
        let rooms = Rooms::new(&task, shard);
        let personal = plan.is_personal();
        let (comings, slow) = (Life::new(&task, shard), Slow::new(&task, shard, &manner));
        let leaving = Leaving::new(Arc::clone(&task), shard);
        Self {
            task,
            shard,
            manner,
            stretches,
            step: Step::Waiting,
            links,
            members: Vec::new(),
            arena: Arena::new(),
            payloads,
            scratch: Vec::new(),
            schedule: Schedule::Never,
            beats: Schedule::Never,
            waiting_beats: VecDeque::new(),
            fragments: VecDeque::new(),
            ready: Vec::new(),
            begun: 0,
            times: Times::never(),
            dialing: None,
            upgrades: Vec::new(),
            personal,
            closing: 0,
            close_next: 0,
            rooms,
            dialect,
            life: comings,
            slow,
            live,
            recorder: Recorder::new(),
            seconds: Seconds::default(),
            tally,
            own_lag: Counts::default(),
            _leaving: leaving,
        }
    }

    fn cell(&self) -> &LiveCell {
        &self.live[self.shard]
    }

    fn notice(&self) -> &Notice {
        &self.task.board[self.shard]
    }

    fn reach(&mut self, step: Step) {
        self.step = step;
        self.notice().reach(step);
    }

    #[inline]
    fn measured(&self, intended: Nanos) -> bool {
        intended >= self.times.from && intended < self.times.to
    }

    /// A message of a closed loop that was sent before the window and is outstanding in it at
    /// `now`. Without it a connection that froze in the warm-up would have measured nothing.
    #[inline]
    fn carried(&self, intended: Nanos, now: Nanos) -> bool {
        intended < self.times.from && now >= self.times.from && self.stretches.get(0).in_flight > 0
    }
}

impl App for Workload {
    type State = Local;
    type Mail = Mail;
    type Outcome = Harvest;
    const PRECISE: bool = true;

    fn accept(
        &mut self,
        _cx: &mut Cx<'_, Mail>,
        _request: &Request<'_>,
    ) -> Result<Welcome<Local>, Refusal> {
        unreachable!("a generator's shard has no listener")
    }

    fn connected(&mut self, cx: &mut Cx<'_, Mail>, peer: &mut Peer<'_, Local>) {
        let now = self.task.nanos(cx.now());
        self.tcp_is_there(peer.state.0, now);
    }

    fn open(&mut self, cx: &mut Cx<'_, Mail>, peer: &mut Peer<'_, Local>) {
        let now = self.task.nanos(cx.now());
        if self.join(peer.state.0, peer.id, &mut peer.tx, now) {
            return;
        }
        if self.opened(peer.state.0, now) {
            self.resume(peer.state.0, &mut peer.tx, now);
        }
    }

    fn message(
        &mut self,
        cx: &mut Cx<'_, Mail>,
        peer: &mut Peer<'_, Local>,
        message: &mut Message<'_>,
    ) {
        let now = self.task.nanos(cx.now());
        let aside = self.step_aside(peer.state.0);
        self.received(peer.state.0, &mut peer.tx, message.kind(), message.payload(), now);
        self.step_back(aside);
        self.leave_when_answered(peer.state.0, &mut peer.tx);
    }

    fn control(&mut self, cx: &mut Cx<'_, Mail>, peer: &mut Peer<'_, Local>, control: Control<'_>) {
        if let Control::Pong(data) = control {
            let now = self.task.nanos(cx.now());
            let aside = self.step_aside(peer.state.0);
            self.pong(peer.state.0, data, now);
            self.step_back(aside);
            self.leave_when_answered(peer.state.0, &mut peer.tx);
        }
    }

    #[inline]
    fn flushed(&mut self, state: &mut Local, at: Instant) {
        let at = self.task.nanos(at);
        let aside = self.step_aside(state.0);
        self.stamp(state.0, at);
        self.step_back(aside);
    }

    fn closed(&mut self, cx: &mut Cx<'_, Mail>, id: ConnId, state: Local, end: End) {
        // One that was left at once may be opened again by now.
        if self.links[state.0 as usize].id == Some(id) {
            let now = self.task.nanos(cx.now());
            self.ended(state.0, &end, now);
        }
    }

    fn mail<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, Local>, mail: Mail) {
        let now = self.task.nanos(cx.now());
        match mail {
            Mail::Dial(route) => self.dial(route),
            Mail::GiveUp => self.give_up(),
            Mail::Start(times) => self.start(&times),
            Mail::Cut { to, until } => (self.times.to, self.times.until) = (to, until),
            Mail::Close => self.close(peers, now),
        }
        self.advance(peers, now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let at = self.next_due();
        (at != Nanos::MAX).then(|| self.task.instant(at))
    }

    fn timer<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, Local>) {
        let now = self.task.nanos(cx.now());
        self.advance(peers, now);
    }

    fn finish(mut self) -> Harvest {
        self.tally.own_lag.add_counts(&self.own_lag);
        self.seconds.end(&mut self.recorder);
        if let Some(life) = &self.life {
            self.tally.life.still_away = life.away();
            life.storms.finish(&mut self.tally.life.storms);
        }
        if let Some(slow) = self.slow.take() {
            self.tally.slow = Some(slow.finish());
        }
        let Self { recorder, seconds, tally, rooms, .. } = self;
        Harvest { recorder, seconds, tally, rooms: rooms.map(Rooms::counts) }
    }
}

impl Workload {
    /// Does what is due, a bounded amount of it.
    fn advance<N: Net>(&mut self, peers: &mut Peers<'_, N, Local>, now: Nanos) {
        self.seconds.cut(&mut self.recorder, now);
        if self.dialect.is_some() {
            self.give_up_joining(peers, now);
        }
        match self.step {
            Step::Dialing => {
                self.dial_due(peers, now);
                self.beat_while_waiting(peers, now);
            }
            Step::Ready => self.beat_while_waiting(peers, now),
            Step::Running => {
                if self.life.is_some() {
                    self.live_on(peers, now);
                }
                self.send_due(peers, now);
            }
            Step::Closing => self.close_some(peers, now),
            Step::Waiting | Step::Drained | Step::Closed => {}
        }
    }

    /// When [`Workload::advance`] has something to do; [`Nanos::MAX`] is never.
    fn next_due(&self) -> Nanos {
        let joined = self.dialect.as_ref().map_or(Nanos::MAX, Dialect::next);
        let due = match self.step {
            Step::Dialing => self.next_dial().min(self.next_waiting_beat()),
            Step::Ready => self.next_waiting_beat(),
            Step::Running => {
                let due = self.next_send().min(self.seconds.next());
                if self.life.is_some() { due.min(self.next_life()) } else { due }
            }
            Step::Closing => self.next_close(),
            Step::Waiting | Step::Drained | Step::Closed => Nanos::MAX,
        };
        due.min(joined)
    }
}
