//! How many generator shards a number of connections needs under the limit of open files.
//!
//! Each shard thread has a descriptor table of its own, so the limit holds per shard.

use plimsoll::config::reserved_descriptors;
use plimsoll::limits;

/// Why the connections do not fit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ShardsError {
    /// The threads asked for cannot hold the connections.
    #[error(
        "open-file limit {limit}: {threads} generator threads hold {room} connections, not \
         {connections}: {}",
        self.remedy()
    )]
    TooFew {
        /// Open files per thread, hard limit.
        limit: u64,
        /// Threads asked for.
        threads: usize,
        /// Connections these threads can hold.
        room: u64,
        /// Connections asked for.
        connections: u32,
        /// Threads that would do.
        need: usize,
    },
    /// The kernel or a container's filter refuses a table of open files for each thread.
    #[error(
        "open-file limit {limit}: it holds for all threads together, as private descriptor tables \
         are refused here (unshare, by a container's seccomp filter?), and {connections} \
         connections need {need}: {}",
        self.remedy()
    )]
    OneTable {
        /// Open files of the process.
        limit: u64,
        /// Connections asked for.
        connections: u32,
        /// Descriptors that they and the threads need.
        need: u64,
    },
    /// The limit leaves nothing for connections.
    #[error(
        "open-file limit {limit}: a thread needs {reserved} for itself: {}",
        self.remedy()
    )]
    NoRoom {
        /// Open files per thread, hard limit.
        limit: u64,
        /// Descriptors that connections leave free.
        reserved: usize,
    },
}

impl ShardsError {
    /// What to do, in the run's words and the doctor's.
    pub(crate) fn remedy(&self) -> String {
        let raise = |need: u64| format!("ulimit -Hn {need}; ulimit -n {need}");
        match self {
            Self::TooFew { need, .. } => {
                format!("use --threads {need}, or leave their number to auto")
            }
            Self::OneTable { need, .. } => {
                format!("allow unshare, or run as root: {}", raise(*need))
            }
            Self::NoRoom { reserved, .. } => {
                format!("run as root: {}", raise(*reserved as u64 + ROOM))
            }
        }
    }
}

/// Descriptors that leave a thread room for more than itself.
const ROOM: u64 = 1024;

/// The generator's shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shards {
    /// How many.
    pub(crate) count: usize,
    /// Whether the open-file limit made them more than the cores.
    pub(crate) forced: bool,
    /// Connections that one shard's table can hold.
    pub(crate) capacity: usize,
}

/// Whether one table of open files for the whole process has room for the run: both ends of each
/// connection if the server is `embedded`.
pub(crate) fn fit_one_table(
    connections: u32,
    embedded: bool,
    limit: u64,
) -> Result<(), ShardsError> {
    let ends = u64::from(connections) * if embedded { 2 } else { 1 };
    let need = ends + limits::RESERVED_DESCRIPTORS as u64;
    if need > limit { Err(ShardsError::OneTable { limit, connections, need }) } else { Ok(()) }
}

/// Shards for `connections`, given the threads asked for, the cores and the limit of open files.
pub(crate) fn plan(
    threads: Option<usize>,
    cores: usize,
    connections: u32,
    limit: u64,
) -> Result<Shards, ShardsError> {
    let mut reserved = limits::RESERVED_DESCRIPTORS;
    loop {
        let shards = plan_with(threads, cores, connections, limit, reserved)?;
        // Each table holds the wakers of all shards; a server inside has about as many.
        let needed = reserved_descriptors(shards.count);
        if needed <= reserved {
            return Ok(shards);
        }
        reserved = needed;
    }
}

fn plan_with(
    threads: Option<usize>,
    cores: usize,
    connections: u32,
    limit: u64,
    reserved: usize,
) -> Result<Shards, ShardsError> {
    let capacity = limit.saturating_sub(reserved as u64);
    // The same share as the server's, whose connections spread unevenly: one number to remember.
    let planned = ((limit as f64 * limits::PLANNED_SHARE) as u64).min(capacity);
    if planned == 0 {
        return Err(ShardsError::NoRoom { limit, reserved });
    }
    let room = usize::try_from(capacity).unwrap_or(usize::MAX);
    let need = u64::from(connections).div_ceil(planned) as usize;
    if let Some(threads) = threads {
        if need > threads {
            let room = planned * threads as u64;
            return Err(ShardsError::TooFew { limit, threads, room, connections, need });
        }
        return Ok(Shards { count: threads, forced: false, capacity: room });
    }
    // A shard without a connection would only wait.
    let cores = cores.clamp(1, connections.max(1) as usize);
    Ok(Shards { count: need.max(cores), forced: need > cores, capacity: room })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_by_cores_and_by_descriptors() {
        for (cores, connections, limit, count, forced) in [
            (2, 1_000, 20_000, 2, false),
            (2, 36_000, 20_000, 2, false),
            (2, 36_001, 20_000, 3, true),
            (2, 100_000, 20_000, 6, true),
            (8, 100_000, 20_000, 8, false),
            (8, 100_000, 1 << 20, 8, false),
            (8, 100_000, u64::MAX, 8, false),
            (8, 3, 20_000, 3, false),
            (2, 100, 1_024, 2, false),
            (2, 10_000, 1_024, 11, true),
            (2, 1_000_000, 20_000, 56, true),
            // 109 by the limit alone; but each table holds the wakers of all.
            (2, 100_000, 1_024, 136, true),
        ] {
            let shards = plan(None, cores, connections, limit).unwrap();
            assert_eq!((shards.count, shards.forced), (count, forced), "{connections} of {limit}");
        }
    }

    #[test]
    fn one_table_for_all() {
        assert_eq!(fit_one_table(900, false, 1_000), Ok(()));
        let error = fit_one_table(901, false, 1_000).unwrap_err().to_string();
        assert!(
            error.contains("901 connections need 1001") && error.contains("unshare"),
            "{error}"
        );
        assert_eq!(fit_one_table(450, true, 1_000), Ok(()));
        assert!(fit_one_table(451, true, 1_000).is_err());
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        let error = plan(Some(2), 2, 100_000, 20_000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "open-file limit 20000: 2 generator threads hold 36000 connections, not 100000: use \
             --threads 6, or leave their number to auto"
        );
        assert_eq!(plan(Some(6), 2, 100_000, 20_000).unwrap().count, 6);
        let error = plan(None, 2, 1, 90).unwrap_err();
        assert_eq!(error, ShardsError::NoRoom { limit: 90, reserved: 100 });
    }
}
