//! The main thread's way through the phases: connect, warm up, measure, drain, close.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use super::fleet::Fleet;
use super::{RunError, add_up};
use crate::cli::plan::{Endpoint, Mode, Pace, Plan, Target};
use crate::cost::{Subject, Watch};
use crate::human::decimal;
use crate::measure::{Outcome, PhaseResult, Phases, ServerTally, Tally};
use crate::payload;
use crate::progress::{Board, LiveCell, Progress, Shown, Stage};
use crate::prometheus::{Exporter, Port};
use crate::schedule::Nanos;
use crate::sources;
use crate::target;
use crate::workload::{self, Destination, Harvest, Mail, Notice, Route, Step, Task, Times};

/// How often the main thread looks at the shards.
const LOOK: Duration = Duration::from_millis(2);
/// From the mail to the first connect or send, so that every shard has it in time.
const HEAD_START: Duration = Duration::from_millis(20);
/// How soon a stop is noticed.
const NAP: Duration = Duration::from_millis(50);
/// From the mail that ends the window early to its end.
const NOTICE: Duration = Duration::from_millis(100);
/// Failures without one success that end a run at once.
const HOPELESS: u32 = 32;
/// A failure without any success for so long ends it too.
const HOPELESS_AFTER: Duration = Duration::from_secs(1);
/// Beyond the drain's end, for a shard that is late.
const GRACE: Duration = Duration::from_secs(2);
/// Closes a second that any machine should do, and the close handshake's own timeout.
const CLOSES_PER_SECOND: f64 = 5_000.0;

/// Everything that a run stands on.
pub(super) struct Lead<'a> {
    pub(super) plan: &'a Plan,
    pub(super) task: Arc<Task>,
    /// The servers' addresses in the plan's order, at least one.
    pub(super) to: Vec<SocketAddr>,
    pub(super) notes: Vec<String>,
    pub(super) fleet: Fleet,
    /// When the measured window began.
    pub(super) began: Option<SystemTime>,
    /// The user wants no more.
    pub(super) stop: &'a AtomicBool,
}

impl Lead<'_> {
    /// All phases in their order.
    pub(super) fn through(
        mut self,
        cells: Arc<[LiveCell]>,
        prometheus: Option<Port>,
    ) -> Result<Outcome, RunError> {
        let sources = sources::for_servers(self.plan, &self.to)?;
        self.note_sources(&sources);
        self.note_cost();
        let subject = match self.plan.target {
            Target::Embedded { .. } => Some(Subject::Embedded),
            Target::Url(_) | Target::Urls(_) => {
                let page = self.plan.server_metrics.clone().map(Subject::Page);
                page.or(self.plan.server_pid.map(Subject::Process))
            }
        };
        let mut watch = Watch::idle(subject)?;
        let board = Board::new(cells, Shown::of(self.plan, self.name()));
        let exporter = prometheus.map(|port| Exporter::start(port, &board)).transpose()?;
        let progress = Progress::start(&board, self.plan.live);

        let connecting = Instant::now();
        self.connect(sources)?;
        let mut phases = Phases { connect: connecting.elapsed(), ..Phases::default() };
        watch.connected();

        let mut times = self.times();
        self.tell_all(&Mail::Start(Arc::new(times.clone())));
        board.enter(Stage::WarmingUp);
        self.sleep_until(times.from)?;
        if self.stopped() {
            return Err(RunError::Interrupted);
        }
        watch.window_begins();
        self.began = Some(SystemTime::now());
        board.enter(Stage::Measuring);
        self.sleep_until(times.to)?;
        self.cut(&mut times);
        watch.window_ends();
        phases.warmup = Duration::from_nanos(times.from - times.start);
        phases.measure = Duration::from_nanos(times.to - times.from);

        board.enter(Stage::Draining);
        self.await_all(Step::Drained, self.task.instant(times.until) + GRACE)?;
        board.enter(Stage::Closing);
        self.tell_all(&Mail::Close);
        let patience =
            Duration::from_secs_f64(f64::from(self.plan.connections) / CLOSES_PER_SECOND);
        let limit = plimsoll::limits::CLOSE_TIMEOUT + GRACE + patience;
        self.await_all(Step::Closed, Instant::now() + limit)?;
        drop(progress);
        drop(exporter);
        let harvests = self.fleet.stop()?;
        Ok(self.outcome(harvests, watch, phases))
    }

    fn note_sources(&mut self, sources: &[Vec<Option<IpAddr>>]) {
        let Some(most) = sources.iter().max_by_key(|sources| sources.len()) else { return };
        if let [Some(first), .., Some(last)] = most[..] {
            let note = format!("connecting from {} addresses, {first} to {last}", most.len());
            self.notes.push(note);
        }
        let ports = sources::local_ports().len() as u32;
        let each = sources::crowd(self.plan, &self.to, sources);
        if each > ports / 4 * 3 {
            self.notes.push(format!(
                "{each} connections from each source address, which has {ports} ports: connecting \
                 is slow when ports are scarce; more --source-ip help"
            ));
        }
    }

    /// One process or page tells of one server only.
    fn note_cost(&mut self) {
        let (all, plan) = (self.to.len(), self.plan);
        if all > 1 && (plan.server_pid.is_some() || plan.server_metrics.is_some()) {
            self.notes.push(format!(
                "the server's cost is that of one process, of {all} servers: its CPU per message \
                 counts the messages of all"
            ));
        }
    }

    fn tell_all(&mut self, mail: &Mail) {
        for shard in 0..self.task.shards {
            self.fleet.tell(shard, mail.clone());
        }
    }

    fn board(&self) -> &[Notice] {
        &self.task.board
    }

    fn sum(&self, what: impl Fn(&Notice) -> u32) -> u32 {
        self.board().iter().map(what).sum()
    }

    /// Until every connection is established or given up.
    fn connect(&mut self, sources: Vec<Vec<Option<IpAddr>>>) -> Result<(), RunError> {
        let start = self.task.nanos(Instant::now() + HEAD_START);
        let servers = self.destinations(sources)?;
        let several = servers.len() > 1;
        let route = Arc::new(Route { servers, start });
        self.tell_all(&Mail::Dial(route));
        let all = self.plan.connections;
        let (mut established, mut changed, mut gave_up) = (0, Instant::now(), false);
        let mut first_failure = None;
        while self.board().iter().any(|notice| notice.step() < Step::Ready) {
            self.fleet.check()?;
            if self.stopped() {
                return Err(RunError::Interrupted);
            }
            std::thread::sleep(LOOK);
            let now = Instant::now();
            let failed = self.sum(|notice| notice.failed.load(Relaxed));
            let sum = self.sum(|notice| notice.established.load(Relaxed));
            if sum > established {
                (established, changed) = (sum, now);
            }
            if failed == 0 {
                continue;
            }
            let since = *first_failure.get_or_insert(now);
            // Of several servers the dead ones may be the faster to say so.
            let enough = if several { all } else { HOPELESS.min(all) };
            let hopeless = failed >= enough || now - since > HOPELESS_AFTER;
            if established == 0 && hopeless {
                return Err(self.nothing_connected());
            }
            // Failures alone, for as long as two openings may take: the rest would fail too.
            if now - changed > 2 * self.plan.connect_timeout && !gave_up {
                gave_up = true;
                self.tell_all(&Mail::GiveUp);
            }
        }
        if self.sum(|notice| notice.established.load(Relaxed)) == 0 {
            return Err(self.nothing_connected());
        }
        Ok(())
    }

    fn nothing_connected(&self) -> RunError {
        let cause = self.board().iter().find_map(|notice| notice.failure.get().cloned());
        let cause = cause.unwrap_or_else(|| "no connection was tried".to_owned());
        let address = listed(&self.to);
        RunError::NothingConnected { target: self.name(), address, cause }
    }

    fn name(&self) -> String {
        match self.plan.target.endpoints() {
            [] => format!("ws://{}{}", listed(&self.to), self.plan.path(0)),
            endpoints => listed(endpoints),
        }
    }

    fn destinations(
        &self,
        sources: Vec<Vec<Option<IpAddr>>>,
    ) -> Result<Vec<Destination>, RunError> {
        let endpoints = self.plan.target.endpoints();
        let mut servers = Vec::new();
        // The first connections go one to each server.
        for (first, (to, sources)) in (0..).zip(self.to.iter().zip(sources)) {
            let endpoint = endpoints.get(first as usize);
            let host = endpoint.map_or_else(|| to.to_string(), Endpoint::host_header);
            workload::upgrade(self.plan, &host, first).request().check()?;
            servers.push(Destination { to: *to, host, sources });
        }
        Ok(servers)
    }

    /// What became of each server's connections.
    fn servers(&self) -> Vec<ServerTally> {
        let endpoints = self.plan.target.endpoints();
        let url = |at: usize| endpoints.get(at).map_or_else(|| self.name(), ToString::to_string);
        let counts = (0..).zip(&self.task.servers);
        counts
            .map(|(at, count)| count.tally(url(at), self.plan.connections_to(at as u32)))
            .collect()
    }

    fn times(&self) -> Times {
        let start = self.task.nanos(Instant::now() + HEAD_START);
        Times::of(self.plan, start, self.board())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Sleeps, but not beyond a stop, nor beyond the end of a shard.
    fn sleep_until(&self, at: Nanos) -> Result<(), RunError> {
        let at = self.task.instant(at);
        while !self.stopped() {
            self.fleet.check()?;
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        Ok(())
    }

    /// A stop amid the measured window: it ends as soon as every shard can know.
    fn cut(&mut self, times: &mut Times) {
        let to = self.task.nanos(Instant::now() + NOTICE);
        if !self.stopped() || to >= times.to {
            return;
        }
        let wanted = Duration::from_nanos(times.to - times.from);
        (times.to, times.until) = (to, to + (times.until - times.to));
        self.tell_all(&Mail::Cut { to, until: times.until });
        std::thread::sleep(NOTICE);
        let measured = Duration::from_nanos(to - times.from).as_secs_f64();
        let wanted = wanted.as_secs_f64();
        self.notes.push(format!("interrupted: {measured:.1} s of {wanted:.1} s were measured"));
    }

    /// Waits for a step, but not beyond `limit`.
    fn await_all(&self, step: Step, limit: Instant) -> Result<(), RunError> {
        while Instant::now() < limit && self.board().iter().any(|notice| notice.step() < step) {
            self.fleet.check()?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn outcome(mut self, harvests: Vec<Harvest>, watch: Watch, phases: Phases) -> Outcome {
        let sum = add_up(harvests);
        self.note_ramp(&phases);
        self.note_findings(&sum.tally);
        let (generator, server, notes) = watch.finish();
        self.notes.extend(notes);
        Outcome {
            target: self.name(),
            servers: self.servers(),
            embedded: matches!(self.plan.target, Target::Embedded { .. }),
            loopback: self.to.iter().all(|to| target::is_this_machine(*to)),
            began: self.began,
            rate_requested: self.plan.mean_rate(),
            phase_results: PhaseResult::of(self.plan, &sum.tally, &sum.timeline, phases.measure),
            phases,
            generator,
            server,
            notes: self.notes,
            ..sum
        }
    }

    /// The ramp is a wish: openings in flight are bounded, and the server may be slow.
    fn note_ramp(&mut self, phases: &Phases) {
        let Some(ramp) = self.plan.ramp else { return };
        let (all, took) = (f64::from(self.plan.connections), phases.connect.as_secs_f64());
        if took > all / ramp * 1.25 + 0.25 {
            self.notes.push(format!(
                "connections were begun at {} a second, not at the {} of --ramp",
                decimal(all / took),
                decimal(ramp)
            ));
        }
    }

    fn note_findings(&mut self, tally: &Tally) {
        let timed = matches!(self.plan.mode, Mode::Broadcast(_));
        let stamp = payload::stamp_bytes(self.plan.payload, timed);
        let opaque = match &self.plan.template {
            Some(template) if template.is_stamped() => None,
            Some(_) => Some("messages without {stamp}".to_owned()),
            None if self.plan.shortest() < stamp => Some(format!("messages under {stamp} bytes")),
            None => None,
        };
        if let Some(opaque) = opaque.filter(|_| self.plan.mode == Mode::Echo) {
            self.notes
                .push(format!("{opaque} carry no number: replies are paired first in, first out"));
        }
        if tally.established < tally.requested {
            self.notes.push(format!(
                "{} of {} connections took part",
                tally.established, tally.requested
            ));
        }
        if self.plan.all_phases().iter().any(|phase| matches!(phase.pace, Pace::Closed { .. })) {
            self.notes.push(
                "closed loop: a slow reply also delays the messages after it, and what they would \
                 have waited is in no percentile (coordinated omission): use --rate for that"
                    .to_owned(),
            );
        }
        for (count, what) in [
            (
                tally.unsent(),
                "messages were never sent: their connections took no more bytes or were gone, or \
                 the generator was too slow",
            ),
            (
                tally.held_back,
                "messages had to wait in the generator: the server took no more bytes, or had \
                 ended their connections",
            ),
            (
                tally.frozen,
                "connections were frozen: no reply in the second half of the window, and nothing \
                 more was sent on them",
            ),
            (tally.strays, "messages answered nothing that was sent: does this path echo?"),
        ] {
            if count > 0 {
                self.notes.push(format!("{count} {what}"));
            }
        }
    }
}

/// Several of a kind in one line.
fn listed(things: &[impl ToString]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
