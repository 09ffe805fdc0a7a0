//! What the process as a whole uses, for the metrics.

use std::sync::atomic::Ordering::Relaxed;

use rustix::time::{ClockId, clock_gettime};

use super::Facts;
use super::threads::{self, Usage};
use crate::config::kib_line;

/// Numbers that no shard owns.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Process {
    /// Seconds on a core, user and system, all threads together.
    pub cpu_s: f64,
    /// What each shard's thread got, where the system tells.
    pub threads: Vec<Option<Usage>>,
    /// Bytes of memory in RAM (`VmRSS`), where the system tells.
    pub resident_bytes: Option<u64>,
    /// Seconds since the server started.
    pub uptime_s: f64,
    /// Open connections at most.
    pub max_connections: usize,
    /// Bytes held for peers at most.
    pub max_buffered: usize,
    /// Bytes of blocks that all shards hold.
    pub blocks: usize,
    /// Whether nobody is let in any more.
    pub draining: bool,
}

pub(super) fn look(facts: &Facts) -> Process {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Process {
        cpu_s: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        threads: threads::look(&facts.name, facts.counters.len()),
        resident_bytes: std::fs::read_to_string("/proc/self/status")
            .ok()
            .and_then(|s| resident(&s)),
        uptime_s: facts.started.elapsed().as_secs_f64(),
        max_connections: facts.max_connections,
        max_buffered: facts.max_buffered,
        blocks: facts.blocks.get(),
        draining: facts.draining.load(Relaxed),
    }
}

/// The line `VmRSS:   1234 kB` of a process's status, in bytes.
fn resident(status: &str) -> Option<u64> {
    kib_line(status, "VmRSS:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    1234 kB\nThreads: 1\n"), Some(1_263_616));
        for bad in ["", "VmRSS:", "VmRSS: kB", "VmRSS: 1 MB", "VmRSS: 99999999999999999999 kB"] {
            assert_eq!(resident(bad), None, "{bad}");
        }
    }
}
