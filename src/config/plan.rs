//! How many shards and connections this machine carries under a configuration.
//!
//! Each shard has a descriptor table of its own, so the limit of open files holds per shard: more
//! connections than one table for each core can hold need more shards.

use std::time::Duration;

use super::error::ConfigError;
use super::machine::{Machine, reserved_descriptors};
use super::{Config, Threads};
use crate::limits::{self, MAX_SHARDS};

/// What a server will do on a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Shards, at least 1.
    pub shards: usize,
    /// Open connections of the whole server at most.
    pub max_connections: usize,
    /// Sockets of one shard at most.
    pub per_shard: usize,
    /// Bytes held for peers by the whole server at most.
    pub max_buffered: usize,
    /// Pings that one shard begins in a second in the mean at most; `None`: any number.
    pub pings_per_shard: Option<u32>,
    /// What the log should say: shards that were added for their tables.
    pub note: Option<String>,
    /// What the log should warn of: shards that share one table.
    pub warning: Option<String>,
}

/// A table larger than a million entries is never filled by one core; `RLIM_INFINITY` ends here.
const MAX_TABLE: u64 = 1 << 20;
/// Sockets beyond the connections: handshakes under way and refusals being read.
const HANDSHAKE_SLACK: usize = 1_024;

impl Config {
    /// Works out shards, connections and memory.
    ///
    /// # Errors
    /// The open-file limit leaves no room, the connections asked for need more shards than there
    /// may be, or a single peer may hold more than all of them together.
    pub fn plan(&self, machine: &Machine) -> Result<Plan, ConfigError> {
        if let Some(asked) = self.max_connections {
            // A ceiling is no claim on what is free this moment: what is open now decides nothing.
            let system = machine.system.with_nothing_taken();
            Machine { system, ..*machine }.hold("--max-connections", asked, asked as u64)?;
        }
        let files = machine.open_files.min(MAX_TABLE) as usize;
        let (shards, table, planned) = self.tables(machine, files)?;
        let tables = if machine.private_tables { shards } else { 1 };
        let max_connections = self.max_connections.unwrap_or(tables * planned);
        let added = machine.private_tables && self.threads == Threads::Auto;
        let more = added && shards > machine.cores.max(1);
        let pings_per_shard = self.pings_per_shard(machine, shards);
        let notes = [
            more.then(|| format!("open-file limit {files}: using {shards} shards")),
            self.stretched(pings_per_shard, shards),
        ];
        let notes: Vec<String> = notes.into_iter().flatten().collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        let warning = (!machine.private_tables && shards > 1).then(|| {
            format!(
                "this system gives shards no descriptor tables of their own (unshare is denied): \
                 the open-file limit of {files} holds for all together, and connections are \
                 limited to {max_connections}"
            )
        });
        Ok(Plan {
            shards,
            max_connections,
            per_shard: table.min(max_connections.saturating_add(HANDSHAKE_SLACK)),
            max_buffered: self.buffered(machine)?,
            pings_per_shard,
            note,
            warning,
        })
    }

    /// Shards, connections that one table can hold, and those that are planned for it. A table
    /// holds the wakers of all shards: more of them leave it less room.
    fn tables(
        &self,
        machine: &Machine,
        files: usize,
    ) -> Result<(usize, usize, usize), ConfigError> {
        let mut reserved = limits::RESERVED_DESCRIPTORS;
        loop {
            let table = files.saturating_sub(reserved);
            let planned = (table as f64 * limits::PLANNED_SHARE) as usize;
            if planned == 0 {
                return Err(ConfigError::new(
                    "open-file limit",
                    &machine.open_files.to_string(),
                    format!("a shard keeps {reserved} files for itself"),
                    "raise the hard limit (ulimit -Hn, LimitNOFILE=) to 1024 or more",
                ));
            }
            let shards = self.shards(machine, files, table, planned)?;
            let needed = reserved_descriptors(shards);
            if needed <= reserved {
                return Ok((shards, table, planned));
            }
            reserved = needed;
        }
    }

    /// One shard's part of the pings that its core may begin.
    fn pings_per_shard(&self, machine: &Machine, shards: usize) -> Option<u32> {
        let cores = machine.cores.clamp(1, shards) as u32;
        self.ping_rate.map(|rate| (rate.saturating_mul(cores) / shards as u32).max(1))
    }

    /// What to say when the connections that were asked for make the pings fewer.
    fn stretched(&self, pings_per_shard: Option<u32>, shards: usize) -> Option<String> {
        let (interval, asked) = (self.ping_interval?, self.max_connections?);
        let rate = u64::from(pings_per_shard?) * shards as u64;
        let full = Duration::from_secs((asked as u64).div_ceil(rate));
        (full > interval).then(|| {
            format!(
                "with all {asked} connections a ping follows {} s of silence instead of {} \
                 (--ping-interval)",
                full.as_secs(),
                interval.as_secs()
            )
        })
    }

    /// How many shards, if these can hold the connections: of the open `files` of each, `table` are
    /// for them at most, `planned` in the mean.
    fn shards(
        &self,
        machine: &Machine,
        files: usize,
        table: usize,
        planned: usize,
    ) -> Result<usize, ConfigError> {
        let cores = machine.cores.clamp(1, MAX_SHARDS);
        let asked = self.max_connections.unwrap_or(1);
        let needed = asked.div_ceil(planned);
        let refuse = |rule, remedy| {
            Err(ConfigError::new("--max-connections", &asked.to_string(), rule, remedy))
        };
        let shards = match self.threads {
            Threads::Auto if machine.private_tables => cores.max(needed),
            Threads::Auto => cores,
            Threads::Count(count) => count,
        };
        if shards > MAX_SHARDS {
            return refuse(
                format!("needs {needed} shards of {planned}, and there may be {MAX_SHARDS}"),
                format!("ask for {} at most, or raise the hard limit", MAX_SHARDS * planned),
            );
        }
        let tables = if machine.private_tables { shards } else { 1 };
        if asked <= tables * table {
            return Ok(shards);
        }
        if !machine.private_tables {
            return refuse(
                format!("all shards share one table here, which holds {table}"),
                "raise the open-file hard limit, or let the process call unshare".to_owned(),
            );
        }
        let rule =
            format!("{shards} shards hold {} at the open-file limit of {files}", tables * table);
        let enough = if needed > MAX_SHARDS {
            "raise the hard limit".to_owned()
        } else {
            format!("use --threads auto or --threads {needed}, or raise the hard limit")
        };
        refuse(rule, enough)
    }

    /// Bytes held for all peers: what was asked for, or what suits the machine, if a single peer
    /// may not hold more.
    fn buffered(&self, machine: &Machine) -> Result<usize, ConfigError> {
        let one = self.max_pending.max(self.max_message);
        let all = self.max_buffered.unwrap_or_else(|| buffered(machine.memory));
        if one <= all {
            return Ok(all);
        }
        let rule = format!("less than the {one} bytes that one peer may hold");
        let remedy = if self.max_buffered.is_some() {
            "give at least --max-message and --max-pending, such as 1GiB"
        } else {
            "lower --max-message and --max-pending, or give more than this default, a quarter of \
             the memory and 1GiB at most"
        };
        Err(ConfigError::new("--max-buffered", &all.to_string(), rule, remedy))
    }
}

/// The default bound of buffered bytes: a gibibyte or a quarter of the machine, the smaller.
fn buffered(memory: Option<u64>) -> usize {
    let quarter = memory.map_or(usize::MAX, |bytes| (bytes / 4) as usize);
    limits::MAX_BUFFERED.min(quarter)
}
