//! How many shards and connections this machine carries under a configuration.
//!
//! Each shard has a descriptor table of its own, so the limit of open files holds per shard: more
//! connections than one table for each core can hold need more shards.

use super::error::ConfigError;
use super::{Config, Threads};
use crate::limits;

/// What the machine gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Cores in the process's affinity mask; at least 1.
    pub cores: usize,
    /// Open files of one table: the hard limit, to which the soft one is raised.
    pub open_files: u64,
    /// Bytes of memory, if known.
    pub memory: Option<u64>,
}

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
    /// What the log should say: shards that were added for their tables.
    pub note: Option<String>,
}

/// A table larger than a million entries is never filled by one core; `RLIM_INFINITY` ends here.
const MAX_TABLE: u64 = 1 << 20;
/// Sockets beyond the connections: handshakes under way and refusals being read.
const HANDSHAKE_SLACK: usize = 1_024;

impl Config {
    /// Works out shards, connections and memory.
    ///
    /// # Errors
    /// The open-file limit leaves no room, or the shards asked for can not hold the connections.
    pub fn plan(&self, machine: &Machine) -> Result<Plan, ConfigError> {
        let files = machine.open_files.min(MAX_TABLE) as usize;
        let table = files.saturating_sub(limits::RESERVED_DESCRIPTORS);
        let planned = (table as f64 * limits::PLANNED_SHARE) as usize;
        if planned == 0 {
            return Err(ConfigError::new(
                "open-file limit",
                &machine.open_files.to_string(),
                format!("a shard keeps {} files for itself", limits::RESERVED_DESCRIPTORS),
                "raise the hard limit (ulimit -Hn, LimitNOFILE=) to 1024 or more",
            ));
        }
        let cores = machine.cores.max(1);
        let asked = self.max_connections;
        let needed = asked.map_or(1, |asked| asked.div_ceil(planned));
        let shards = match self.threads {
            Threads::Auto => cores.max(needed),
            Threads::Count(count) if asked.is_some_and(|asked| asked > count * table) => {
                return Err(ConfigError::new(
                    "--max-connections",
                    &asked.unwrap_or_default().to_string(),
                    format!(
                        "{count} shards hold {} at the open-file limit of {files}",
                        count * table
                    ),
                    format!("use --threads auto or --threads {needed}, or raise the hard limit"),
                ));
            }
            Threads::Count(count) => count,
        };
        let max_connections = asked.unwrap_or(shards * planned);
        let note = (self.threads == Threads::Auto && needed > cores)
            .then(|| format!("open-file limit {files}: using {shards} shards"));
        Ok(Plan {
            shards,
            max_connections,
            per_shard: table.min(max_connections.saturating_add(HANDSHAKE_SLACK)),
            max_buffered: self.max_buffered.unwrap_or_else(|| buffered(machine.memory)),
            note,
        })
    }
}

/// The default bound of buffered bytes: a gibibyte or a quarter of the machine, the smaller.
fn buffered(memory: Option<u64>) -> usize {
    let quarter = memory.map_or(usize::MAX, |bytes| (bytes / 4) as usize);
    limits::MAX_BUFFERED.min(quarter)
}
