//! A run from first thread to last: shards, the embedded server, and the phases that the main
//! thread leads them through. Between two phases it only sleeps.

mod fleet;
mod lead;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use plimsoll::config::{Config, ConfigError, Machine, Rooms, Threads, Tokens};
use plimsoll::limits;
use plimsoll::server::{StartError, this_machine};
use plimsoll::wire::handshake::BadRequest;

use crate::cli::Protocol;
use crate::cli::plan::{Plan, Target};
use crate::cost::CostError;
use crate::floor;
use crate::measure::{Outcome, Timeline};
use crate::memory::{self, MemoryError};
use crate::progress::LiveCell;
use crate::prometheus::{Port, PrometheusError};
use crate::shards::{self, ShardsError};
use crate::sources::SourcesError;
use crate::target::{self, TargetError};
use crate::token::Token;
use crate::workload::{Harvest, RoomCounts, Task};
use fleet::Fleet;
pub(crate) use fleet::spec;
use lead::Lead;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server's address is not known.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The generator's threads cannot hold the connections.
    #[error(transparent)]
    Shards(#[from] ShardsError),
    /// The upgrade request would be wrong.
    #[error(transparent)]
    Request(#[from] BadRequest),
    /// The system cannot hold so many sockets.
    #[error(transparent)]
    System(ConfigError),
    /// The machine's memory does not suffice.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The local ports do not suffice.
    #[error(transparent)]
    Sources(#[from] SourcesError),
    /// The server's cost cannot be read.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// Nobody could scrape the run.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The embedded server cannot be as large as the run asks for.
    #[error("server inside: {0}")]
    Config(#[from] ConfigError),
    /// The embedded server did not start.
    #[error("server inside: {0}")]
    Server(#[from] StartError),
    /// Not one connection was established.
    #[error("no connection to {target} ({address}) could be established: {cause}")]
    NothingConnected {
        /// The URL.
        target: String,
        /// Its address; of several each, with commas between them.
        address: String,
        /// Why the first one failed.
        cause: String,
    },
    /// Before the measured window.
    #[error("interrupted before anything was measured")]
    Interrupted,
    /// A thread could not be started, or ended by a panic.
    #[error("generator thread: {0}")]
    Thread(String),
}

/// Runs a plan and hands back what was measured. Blocks until it is over.
pub fn run(plan: &Plan) -> Result<Outcome, RunError> {
    run_until(plan, &AtomicBool::new(false))
}

/// As [`run`], but once `stop` is true the measured window ends, and what follows it in due order.
pub fn run_until(plan: &Plan, stop: &AtomicBool) -> Result<Outcome, RunError> {
    let prometheus = plan.prometheus.map(Port::bind).transpose()?;
    let machine = this_machine();
    let limit = machine.open_files;
    let own = shards::plan(plan.threads, machine.cores, plan.connections, limit)?;
    let mut notes = Vec::new();
    if own.forced {
        notes.push(format!("open-file limit {limit}: using {} generator threads", own.count));
    }
    let (known, config) = match &plan.target {
        Target::Embedded { threads } => {
            let config = server_config(plan, *threads);
            let server = config.plan(&machine)?;
            notes.extend(server.note.as_ref().map(|note| format!("server inside: {note}")));
            (Vec::new(), Some((config, server)))
        }
        Target::Url(_) | Target::Urls(_) => (target::resolve_all(&plan.target)?, None),
    };
    check_machine(&machine, plan.connections, &known)?;
    // Behind what may still be refused, and before there is anything that it could disturb.
    let floor = floor::measured(plan.floor, plan, stop);
    if !plan.quiet {
        // At once: a run that will be long, or fail, is easier to understand so.
        for note in &notes {
            let _ = writeln!(std::io::stderr().lock(), "loadgen: {note}");
        }
    }
    let cells: Arc<[LiveCell]> = (0..own.count).map(|_| LiveCell::default()).collect();
    let task = Arc::new(Task::new(plan.clone(), own.count));
    let fleet = Fleet::launch(&task, &cells, own.capacity, config)?;
    let nowhere = || RunError::Thread("neither a URL nor a server inside".to_owned());
    let to = match fleet.server_address() {
        Some(inside) => vec![inside],
        None => known,
    };
    if to.is_empty() {
        return Err(nowhere());
    }
    let lead = Lead { plan, task, to, notes, fleet, began: None, stop };
    let outcome = lead.through(cells, prometheus)?;
    Ok(Outcome { floor, ..outcome })
}

/// What all shards brought home.
pub(crate) fn add_up(harvests: Vec<Harvest>) -> Outcome {
    let phases = harvests.first().map_or(0, |harvest| harvest.tally.phases.len());
    let mut sum = Outcome { timeline: Timeline::of(phases), ..Outcome::default() };
    let mut rooms = None;
    for harvest in harvests {
        sum.tally.merge(&harvest.tally);
        sum.latencies.add(&harvest.recorder);
        sum.timeline.add(harvest.seconds);
        match (&mut rooms, harvest.rooms) {
            (None, first) => rooms = first,
            (Some(sum), Some(part)) => sum.merge(&part),
            (Some(_), None) => {}
        }
    }
    sum.timeline.windows.iter().for_each(|window| sum.latencies.merge(window));
    sum.tally.broadcast = rooms.map(RoomCounts::finish);
    sum
}

/// Whether the machine as a whole can hold the connections, and both ends of them where the server
/// is on it too: `known` is where it is, if it is not inside. Of several one suffices.
fn check_machine(
    machine: &Machine,
    connections: u32,
    known: &[SocketAddr],
) -> Result<(), RunError> {
    let both = known.is_empty() || known.iter().any(|to| target::is_this_machine(*to));
    let sockets = u64::from(connections) * if both { 2 } else { 1 };
    machine.hold("--connections", connections as usize, sockets).map_err(RunError::System)?;
    memory::fit(connections, both, memory::available(machine.memory))?;
    Ok(())
}

/// Connections that may be back before the server has noticed that they had left.
fn returning(plan: &Plan) -> usize {
    /// What the ramp's default begins in a fifth of a second.
    const MOST: u32 = 4096;
    if plan.life.reopens() { plan.connections.min(MOST) as usize } else { 0 }
}

/// A server that holds what the run asks for.
fn server_config(plan: &Plan, threads: Option<usize>) -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        admin: None,
        threads: threads.map_or(Threads::Auto, Threads::Count),
        pin: plan.pin,
        max_connections: Some(plan.connections as usize + returning(plan)),
        max_message: fleet::message_budget(plan),
        max_pending: plan.longest().max(limits::MAX_PENDING),
        subprotocols: plan.request.subprotocols.clone(),
        rooms: rooms(plan),
        ..Config::default()
    }
}

/// Rooms for whoever comes, and for the tokens that connections are given; none for a broadcast
/// over paths.
fn rooms(plan: &Plan) -> Rooms {
    let Protocol::Centrifugo(centrifugo) = &plan.protocol else { return Rooms::default() };
    let hmac_secret = match &centrifugo.token {
        Some(Token::Signed(secret)) => Some(secret.clone()),
        Some(Token::Given(_)) | None => None,
    };
    Rooms { open: true, tokens: Tokens { hmac_secret, ..Tokens::default() }, ..Rooms::default() }
}
