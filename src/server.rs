//! Floor 5: assembly and ordered shutdown, nothing else.
//!
//! Starting: limits and plan, shards, then the admin plane (after the descriptor tables have
//! parted). Ending: readiness says no, listeners close, everybody is told 1001, and when the last
//! one is gone or the drain timeout has passed the shards end, then the admin plane.

mod keys;
mod machine;
mod rooms;
mod spec;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

pub use keys::read_text;
pub use machine::this_machine;

use crate::config::{Config, ConfigError, Plan};
#[cfg(feature = "server")]
use crate::control::{self, Control, ControlError};
use crate::hub::{Common, Hub, Mail};
use crate::shard::{Command, Counters, Group, Launch, Post};

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit this machine.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The listener.
    #[error("can not listen on {addr}: {rule}; {remedy} ({source})")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What stands in the way.
        rule: &'static str,
        /// What to do.
        remedy: &'static str,
        /// In the words of the system.
        source: io::Error,
    },
    /// The congestion control.
    #[error(
        "--congestion '{name}': not to be had here ({source}); leave it out, or take one of \
         sysctl net.ipv4.tcp_allowed_congestion_control"
    )]
    Congestion {
        /// The name asked for.
        name: String,
        /// In the words of the system.
        source: io::Error,
    },
    /// Threads, polls, tables.
    #[error("the shards can not start ({0}): too few threads, open files or bytes are left")]
    Shards(#[source] io::Error),
    /// The admin plane.
    #[cfg(feature = "server")]
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Why a server ended otherwise than it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A shard's loop failed.
    #[error("a shard failed and took the server down: {0}")]
    Shard(#[from] io::Error),
}

/// What a server is told, by signals or by whoever holds its handle.
#[derive(Clone, Copy, Debug)]
enum Event {
    Drain,
    ShardEnded { panicked: bool },
}

/// Drains and stops a server from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    post: Post<Mail>,
    draining: Arc<AtomicBool>,
    events: Sender<Event>,
}

impl Handle {
    /// Takes no more connections and asks everybody to leave with 1001. [`Server::wait`] returns
    /// when they are gone, at the latest after the drain timeout.
    pub fn drain(&self) {
        if !self.draining.swap(true, Relaxed) {
            self.post.command(Command::Drain);
            // Without a server to wait there is no timeout to be kept either.
            let _ = self.events.send(Event::Drain);
        }
    }

    /// Ends at once: connections are cut.
    pub fn stop(&self) {
        self.draining.store(true, Relaxed);
        self.post.command(Command::Stop);
    }
}

/// A server whose threads are spawned, but which waits for the other shards of its launch.
#[derive(Debug)]
pub struct Starting {
    config: Config,
    plan: Plan,
    group: Group<Hub>,
    handle: Handle,
    happened: Receiver<Event>,
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    group: Option<Group<Hub>>,
    handle: Handle,
    happened: Receiver<Event>,
    drain_timeout: Duration,
    #[cfg(feature = "server")]
    control: Option<Control>,
}

impl Server {
    /// Starts a server of its own.
    ///
    /// # Errors
    /// [`StartError`]: nothing of it is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let plan = config.plan(&this_machine())?;
        let launch = Launch::new(plan.shards);
        Starting::spawn(config, plan, &launch)?.ready()
    }

    /// As [`Server::start`], and SIGTERM and SIGINT drain it; the second one stops it.
    ///
    /// # Errors
    /// As [`Server::start`].
    #[cfg(feature = "server")]
    pub fn start_with_signals(config: Config) -> Result<Self, StartError> {
        // Until the shards run: they inherit the mask, see control/signals.
        let held = control::hold().map_err(StartError::Shards)?;
        let plan = config.plan(&this_machine())?;
        let launch = Launch::new(plan.shards);
        let starting = Starting::spawn(config, plan, &launch)?;
        let handle = starting.handle.clone();
        let server = starting.ready_with(Some(Box::new(move |asked| match asked {
            control::Asked::Drain => {
                tracing::info!("signal: draining; a second one stops at once");
                handle.drain();
            }
            control::Asked::Stop => {
                tracing::info!("second signal: stopping");
                handle.stop();
            }
        })));
        drop(held);
        server
    }
}

impl Starting {
    /// Spawns the shards into a launch that may wait for shards of others. `plan` comes from
    /// [`Config::plan`] with [`this_machine`]; its number of shards counts in the launch.
    ///
    /// # Errors
    /// The system has no threads or descriptors left.
    pub fn spawn(config: Config, plan: Plan, launch: &Launch) -> Result<Self, StartError> {
        if let Some(note) = &plan.note {
            tracing::info!("{note}");
        }
        if let Some(warning) = &plan.warning {
            tracing::warn!("{warning}");
        }
        let spec = spec::shards(&config, &plan);
        let (origins, protocols) = (config.allow_origin.clone(), config.subprotocols.clone());
        let common =
            Arc::new(Common::new(plan.shards, origins, protocols, rooms::settings(&config)?));
        let (events, happened) = mpsc::channel();
        let (shards, tell) = (plan.shards, events.clone());
        let make = move |index| {
            let tell = tell.clone();
            let on_end = move |panicked| {
                // Nobody listens any more when the server is gone: then nobody needs to know.
                let _ = tell.send(Event::ShardEnded { panicked });
            };
            Hub::new(index, shards, Arc::clone(&common), Instant::now(), Box::new(on_end))
        };
        let group = Group::spawn(&spec, launch, make).map_err(StartError::Shards)?;
        let draining = Arc::new(AtomicBool::new(false));
        let handle = Handle { post: group.post().clone(), draining, events };
        Ok(Self { config, plan, group, handle, happened })
    }

    /// Waits until every shard of the launch runs; then starts the admin plane, if there is one.
    ///
    /// # Errors
    /// The address can not be listened on, or a shard did not start.
    pub fn ready(self) -> Result<Server, StartError> {
        self.ready_with(
            #[cfg(feature = "server")]
            None,
        )
    }

    fn ready_with(
        self,
        #[cfg(feature = "server")] on_signal: Option<control::OnSignal>,
    ) -> Result<Server, StartError> {
        let Self { config, plan, group, handle, happened } = self;
        let addr = match group.ready() {
            Ok(addr) => addr.unwrap_or(config.listen),
            Err(e) => {
                // Told to stop by then; what each of them says repeats the error.
                let _ = group.join();
                return Err(start_error(&config, e));
            }
        };
        #[cfg(feature = "server")]
        let facts = control::Facts {
            name: spec::SHARDS.to_owned(),
            listen: addr,
            counters: Arc::clone(group.counters()),
            blocks: group.blocks().clone(),
            draining: Arc::clone(&handle.draining),
            started: Instant::now(),
            max_connections: plan.max_connections,
            max_buffered: plan.max_buffered,
        };
        #[cfg(not(feature = "server"))]
        drop(plan);
        #[cfg_attr(not(feature = "server"), expect(unused_mut, reason = "no control to add"))]
        let mut server = Server {
            addr,
            group: Some(group),
            handle,
            happened,
            drain_timeout: config.drain_timeout,
            #[cfg(feature = "server")]
            control: None,
        };
        #[cfg(feature = "server")]
        if config.admin.is_some() || on_signal.is_some() {
            let api = keyed(&config, &server.handle.post);
            server.control = Some(control::start(config.admin, facts, api, on_signal)?);
        }
        Ok(server)
    }
}

/// The API's key, if there is one, and the way from it to the hubs.
#[cfg(feature = "server")]
fn keyed(config: &Config, post: &Post<Mail>) -> Option<control::Keyed> {
    let key = crate::auth::ApiKey::new(config.api_key.as_ref()?.expose());
    if let Some(admin) = config.admin.filter(|addr| !addr.ip().is_loopback()) {
        tracing::warn!(%admin, "the API's key crosses the network in plain: put TLS before it");
    }
    let (count, post) = (post.shards(), post.clone());
    let send = move |shard, call| {
        post.send(shard, Mail::from(call)).or_else(|mail| mail.into_call().map_or(Ok(()), Err))
    };
    Some(control::Keyed { key, shards: control::Shards { count, send: Arc::new(send) } })
}

impl Server {
    /// Where it listens, with the port that the system chose if it was 0.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its admin HTTP listens.
    #[cfg(feature = "server")]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().and_then(Control::addr)
    }

    /// How many shards it has.
    pub fn shards(&self) -> usize {
        self.counters().len()
    }

    /// Every shard's counters; they stay readable when the server is gone.
    pub fn counters(&self) -> Arc<[Counters]> {
        self.group.as_ref().map_or_else(Arc::default, |group| Arc::clone(group.counters()))
    }

    /// Drains and stops it from elsewhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// See [`Handle::drain`].
    pub fn drain(&self) {
        self.handle.drain();
    }

    /// Returns when the server has been drained or stopped.
    ///
    /// # Errors
    /// A shard ended by itself: the server is stopped, because its share of connections has nobody.
    pub fn wait(mut self) -> Result<(), RunError> {
        let mut running = self.shards();
        let mut deadline = None;
        while running > 0 {
            match self.next_event(deadline) {
                Some(Event::Drain) => deadline = Some(Instant::now() + self.drain_timeout),
                Some(Event::ShardEnded { panicked }) => {
                    running -= 1;
                    if panicked || !self.handle.draining.load(Relaxed) {
                        tracing::error!(panicked, "a shard ended by itself: stopping the server");
                        self.handle.stop();
                    }
                }
                None => {
                    let left: u64 = self.counters().iter().map(|c| c.connections.get()).sum();
                    tracing::warn!(connections = left, "drain timeout: cutting who is left");
                    self.handle.stop();
                    deadline = None;
                }
            }
        }
        let ended = self.group.take().map(Group::join).transpose();
        ended.map(drop).map_err(RunError::from)
    }

    fn next_event(&self, deadline: Option<Instant>) -> Option<Event> {
        let Some(at) = deadline else {
            // The handle in `self` holds a sender: it can not be disconnected.
            return self.happened.recv().ok();
        };
        self.happened.recv_timeout(at.saturating_duration_since(Instant::now())).ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.handle.stop();
            if let Err(e) = group.join() {
                tracing::error!(error = %e, "a shard had failed");
            }
        }
    }
}

/// The cause of a failed start by what the system said of it.
fn start_error(config: &Config, source: io::Error) -> StartError {
    let (rule, remedy) = match source.kind() {
        io::ErrorKind::AddrInUse => {
            ("another program listens there", "stop it, or choose another address with --listen")
        }
        io::ErrorKind::AddrNotAvailable => {
            ("this machine has no such address", "use one of its own, 127.0.0.1 or 0.0.0.0")
        }
        io::ErrorKind::PermissionDenied => {
            ("the system forbids it", "take a port of 1024 or above, or grant CAP_NET_BIND_SERVICE")
        }
        io::ErrorKind::Unsupported => {
            return match config.congestion.clone() {
                Some(name) => StartError::Congestion { name, source },
                None => StartError::Shards(source),
            };
        }
        _ => return StartError::Shards(source),
    };
    StartError::Listen { addr: config.listen, rule, remedy, source }
}

#[cfg(test)]
mod tests;
