//! The threads of a run: the generator's shards and, without a URL, the server's beside them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll::config::{self, Config};
use plimsoll::conn::{Settings, Side};
use plimsoll::limits;
use plimsoll::server::{Server, Starting, this_machine};
use plimsoll::shard::{
    Command, Group, Launch, Limits, Shaped, SocketOptions, Spec, default_settings,
};

use super::RunError;
use crate::cli::plan::Plan;
use crate::cost::GENERATOR_THREADS;
use crate::human::reason;
use crate::progress::LiveCell;
use crate::shards::fit_one_table;
use crate::workload::{Harvest, Mail, Task, Workload};

/// Mails that a shard may owe to its reading: the main thread sends five in all.
const MAILBOX: usize = 16;

/// Running threads. Dropping it stops them.
pub(super) struct Fleet {
    group: Option<Group<Workload>>,
    server: Option<Server>,
    task: Arc<Task>,
}

impl Fleet {
    /// Starts everything: one barrier parts the descriptor tables of both sides.
    pub(super) fn launch(
        task: &Arc<Task>,
        cells: &Arc<[LiveCell]>,
        capacity: usize,
        server: Option<(Config, config::Plan)>,
    ) -> Result<Self, RunError> {
        let beside = server.as_ref().map_or(0, |(_, plan)| plan.shards);
        let launch = Launch::new(task.shards + beside);
        let spec = spec(&task.plan, task.shards, capacity);
        let make = {
            let (task, cells) = (Arc::clone(task), Arc::clone(cells));
            move |shard| Workload::new(Arc::clone(&task), shard, Arc::clone(&cells))
        };
        let thread = |error: std::io::Error| RunError::Thread(reason(&error));
        let group = if task.plan.life.is_shaped() {
            let seed = task.plan.seed;
            Group::spawn_over(&spec, &launch, make, move |sockets| Shaped::new(sockets, seed))
        } else {
            Group::spawn(&spec, &launch, make)
        };
        let group = group.map_err(thread)?;
        let spawn = |(config, plan)| Starting::spawn(config, plan, &launch);
        let embedded = server.is_some();
        let server = server.map(spawn).transpose()?;
        let server = server.map(Starting::ready).transpose()?;
        group.ready().map_err(thread)?;
        let fleet = Self { group: Some(group), server, task: Arc::clone(task) };
        if !launch.parted() {
            fit_one_table(task.plan.connections, embedded, this_machine().open_files)?;
        }
        Ok(fleet)
    }

    /// Where the server inside listens; nowhere if there is none.
    pub(super) fn server_address(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::addr)
    }

    /// Tells a shard. It reads its mail each turn, so a full mailbox is empty soon.
    pub(super) fn tell(&self, shard: usize, mut mail: Mail) {
        let Some(group) = &self.group else { return };
        while let Err(back) = group.post().send(shard, mail) {
            if self.task.board[shard].gone.load(Ordering::Acquire) {
                return;
            }
            mail = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// An error when a shard has ended by itself.
    pub(super) fn check(&self) -> Result<(), RunError> {
        let gone = |shard: &usize| self.task.board[*shard].gone.load(Ordering::Acquire);
        match (0..self.task.shards).find(gone) {
            Some(shard) => Err(RunError::Thread(format!("{GENERATOR_THREADS}{shard} has ended"))),
            None => Ok(()),
        }
    }

    /// Ends the generator's threads and takes what they measured, then the server's.
    pub(super) fn stop(&mut self) -> Result<Vec<Harvest>, RunError> {
        let Some(group) = self.group.take() else { return Ok(Vec::new()) };
        group.post().command(Command::Stop);
        let harvests = group.join().map_err(|error| RunError::Thread(error.to_string()));
        if let Some(server) = self.server.take() {
            // Every connection is closed by now, or was not answered in time: nobody to wait for.
            drop(server);
        }
        harvests
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // The run has failed already: what a thread says now adds nothing.
        let _ = self.stop();
    }
}

/// What the longest message costs a receiver, each of its frames included.
pub(super) fn message_budget(plan: &Plan) -> usize {
    let fragments = plan.most_fragments() as usize;
    plan.longest().max(limits::FRAME_COST.saturating_mul(fragments)).max(limits::MAX_MESSAGE)
}

/// The generator's shards: clients that never ping by themselves and never stop reading.
pub(crate) fn spec(plan: &Plan, shards: usize, capacity: usize) -> Spec {
    Spec {
        name: GENERATOR_THREADS.trim_end_matches('-').to_owned(),
        shards,
        pin: plan.pin,
        settings: Settings {
            max_message: message_budget(plan),
            // The workload holds its messages back by itself.
            max_pending: usize::MAX,
            handshake_timeout: plan.connect_timeout,
            ..default_settings(Side::Client)
        },
        limits: Limits {
            group_connections: usize::MAX,
            shard_connections: capacity,
            // The generator sheds nobody: it would measure itself.
            buffered: usize::MAX,
            addresses: None,
            pings: None,
            accepts_per_turn: limits::ACCEPTS_PER_TURN,
            mails_per_turn: MAILBOX,
            read_buffer: limits::READ_BUFFER,
        },
        sockets: SocketOptions {
            listen: None,
            backlog: limits::BACKLOG,
            congestion: None,
            precise: true,
        },
        mailbox: MAILBOX,
        seed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::plan;

    #[test]
    fn each_frame_counts_in_the_budget() {
        assert_eq!(message_budget(&plan("--size 20000")), limits::MAX_MESSAGE);
        let fragments = plan("--fragments 20000 --size 20000");
        assert_eq!(message_budget(&fragments), 20_000 * limits::FRAME_COST);
        assert_eq!(message_budget(&plan("--size 4MiB --fragments 2")), 4 << 20);
    }
}
