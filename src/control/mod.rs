//! Floor 4: the control plane. One thread with an asynchronous runtime of its own: admin HTTP
//! (a page, `/healthz`, `/readyz`, `/metrics`, `/api`), signals, and the few lines that a log
//! should have.
//!
//! It reads the shards' counters, and asks them by mail for what the API wants. What a signal means
//! is the caller's to say. The data plane runs on if this thread is slow or gone.
//!
//! It must be started after the shards: they part with the process's descriptor table, and what is
//! opened before would be copied into theirs.

mod admin;
mod alarm;
mod api;
mod desk;
mod metrics;
mod page;
mod process;
mod signals;
mod threads;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

pub use desk::Shards;
pub use signals::{Held, hold};

use crate::auth::ApiKey;
use crate::conn::Tally;
use crate::shard::Counters;

/// What the control plane may look at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The shards' threads have this name, `-` and their number.
    pub name: String,
    /// Where WebSocket connections come in.
    pub listen: SocketAddr,
    /// One for each shard.
    pub counters: Arc<[Counters]>,
    /// Bytes of blocks, all shards together.
    pub blocks: Tally,
    /// Whether the server lets nobody in any more.
    pub draining: Arc<AtomicBool>,
    /// When the server started.
    pub started: Instant,
    /// Open connections at most.
    pub max_connections: usize,
    /// Bytes held for peers at most.
    pub max_buffered: usize,
}

/// What the API of the admin address needs.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// What its callers show.
    pub key: ApiKey,
    /// Whom it asks.
    pub shards: Shards,
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The first SIGTERM or SIGINT: let everybody go and end.
    Drain,
    /// The second one: end at once.
    Stop,
}

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The admin listener.
    #[error(
        "the admin address {addr} can not be listened on ({source}): choose another with --admin, \
         or switch it off with --admin off"
    )]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The runtime, its thread or the signal handlers.
    #[error("the control thread can not start ({0}): too few threads or open files are left")]
    Start(#[from] io::Error),
}

/// The running control thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Control {
    addr: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What to do when a signal comes.
pub type OnSignal = Box<dyn FnMut(Asked) + Send>;

/// Starts the thread: the admin listener, if there is to be one, with the API, if there is a key to
/// it, and the signals, if somebody wants them.
///
/// # Errors
/// The address can not be listened on, or the system has no thread or descriptor left.
pub fn start(
    listen: Option<SocketAddr>,
    facts: Facts,
    api: Option<Keyed>,
    on_signal: Option<OnSignal>,
) -> Result<Control, ControlError> {
    let (stop, stopped) = oneshot::channel();
    let (ready, started) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return drop(ready.send(Err(e.into()))),
        };
        runtime.block_on(run((listen, api), facts, on_signal, ready, stopped));
    })?;
    let outcome = started.recv().map_err(|_| io::Error::other("its thread panicked"));
    let addr = outcome??;
    Ok(Control { addr, stop: Some(stop), thread: Some(thread) })
}

async fn run(
    (listen, api): (Option<SocketAddr>, Option<Keyed>),
    facts: Facts,
    on_signal: Option<OnSignal>,
    ready: mpsc::SyncSender<Result<Option<SocketAddr>, ControlError>>,
    stopped: oneshot::Receiver<()>,
) {
    let bound = match listen {
        Some(addr) => admin::bind(addr).await.map(Some),
        None => Ok(None),
    };
    let signals = match on_signal {
        Some(on_signal) => signals::Watch::new(on_signal).map(Some),
        None => Ok(None),
    };
    let facts = Arc::new(facts);
    let router = admin::router(&facts, api).map_err(ControlError::from);
    let (listener, signals, router) = match (bound, signals, router) {
        (Ok(listener), Ok(signals), Ok(router)) => (listener, signals, router),
        (Err(e), ..) | (_, _, Err(e)) => return drop(ready.send(Err(e))),
        (_, Err(e), _) => return drop(ready.send(Err(e.into()))),
    };
    let addr = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    if ready.send(Ok(addr)).is_err() {
        return;
    }
    tokio::select! {
        () = admin::serve(listener, router) => {}
        () = alarm::watch(&facts) => {}
        () = signals::watch(signals) => {}
        // The owner is gone or says so: connections to the admin port are cut.
        _ = stopped => {}
    }
}

impl Control {
    /// Where the admin HTTP listens.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control thread had panicked");
        }
    }
}

#[cfg(test)]
mod tests;
