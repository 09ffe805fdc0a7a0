//! Where connections go: the servers of a run, and what each connection asks for there.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use plimsoll::conn::{ConnectFault, Upgrade};

use super::Workload;
use crate::cli::Plan;
use crate::measure::ServerTally;
use crate::schedule::Nanos;

/// Where to connect, and from when on.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// One for each server of the plan, in its order; at least one.
    pub(crate) servers: Vec<Destination>,
    pub(crate) start: Nanos,
}

/// One server.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) to: SocketAddr,
    /// `Host` field.
    pub(crate) host: String,
    /// Its connection `i` starts from address `i % sources.len()`; at least one.
    pub(crate) sources: Vec<Option<IpAddr>>,
}

/// What became of one server's connections, counted by all shards.
#[derive(Debug, Default)]
pub(crate) struct ServerCount {
    established: AtomicU32,
    closed_early: AtomicU32,
}

impl ServerCount {
    /// The count of the server with this URL, whose connections were so many.
    pub(crate) fn tally(&self, url: String, requested: u32) -> ServerTally {
        let established = self.established.load(Relaxed).into();
        ServerTally {
            url,
            requested: requested.into(),
            established,
            failed: u64::from(requested).saturating_sub(established),
            closed_early: self.closed_early.load(Relaxed).into(),
        }
    }
}

/// What connection `global` asks for.
pub(crate) fn upgrade(plan: &Plan, host: &str, global: u32) -> Upgrade {
    let fields = plan.request.headers.iter();
    Upgrade {
        host: host.to_owned(),
        target: plan.path(global),
        origin: plan.request.origin.clone(),
        protocols: plan.request.subprotocols.clone(),
        headers: fields.map(|(name, value)| (name.clone(), value.fill(global))).collect(),
    }
}

/// A connect that failed at once, with both its ends where they matter.
pub(super) fn connect_failed(fault: ConnectFault, from: Option<IpAddr>, to: SocketAddr) -> String {
    match (fault, from) {
        (ConnectFault::NoLocalPort, Some(from)) => {
            format!("no local port left for {from} -> {to}: add --source-ip")
        }
        (ConnectFault::NoLocalPort, None) => {
            format!("no local port left for connections to {to}: add --source-ip")
        }
        _ => fault.to_string(),
    }
}

impl Workload {
    /// The request of a connection: its own, or one for each room or server, made when first used.
    pub(super) fn upgrade(&mut self, global: u32, host: &str) -> Rc<Upgrade> {
        let plan = &self.task.plan;
        if self.personal {
            return Rc::new(upgrade(plan, host, global));
        }
        let group = (global % plan.groups()) as usize;
        if self.upgrades.len() <= group {
            self.upgrades.resize(group + 1, None);
        }
        let make = || Rc::new(upgrade(plan, host, global));
        Rc::clone(self.upgrades[group].get_or_insert_with(make))
    }

    fn count_of(&self, local: u32) -> Option<&ServerCount> {
        let global = self.task.global(self.shard, local);
        self.task.servers.get(self.task.plan.place(global).0 as usize)
    }

    pub(super) fn established_at_server(&self, local: u32) {
        if let Some(count) = self.count_of(local) {
            count.established.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn closed_early_at_server(&self, local: u32) {
        if let Some(count) = self.count_of(local) {
            count.closed_early.fetch_add(1, Relaxed);
        }
    }

    /// A cause of an error, with the server in front of it where there are several.
    pub(super) fn at_server(&self, local: u32, cause: &str) -> String {
        let plan = &self.task.plan;
        let global = self.task.global(self.shard, local);
        match plan.endpoint_of(global).filter(|_| plan.servers() > 1) {
            Some(endpoint) => format!("{} {cause}", endpoint.host_header()),
            None => cause.to_owned(),
        }
    }
}
