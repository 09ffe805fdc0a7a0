//! CPU and memory of both sides, read from the kernel between the phases of a run.
//!
//! The server is another process (by its id) or the embedded server's threads (by name). Nothing is
//! read while a phase is under way, and nothing here touches a reactor thread.

mod proc;

use std::time::Duration;

/// What the generator itself used in the measured window.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct GeneratorHealth {
    /// Its threads, in the order of their names.
    pub threads: Vec<ThreadUse>,
    /// Length of the window.
    pub wall: Duration,
}

/// One thread in the measured window.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ThreadUse {
    /// Its name, such as `loadgen-0`.
    pub name: String,
    /// Cores that it may run on; empty if unknown.
    pub cores: Vec<usize>,
    /// Time it ran.
    pub cpu: Duration,
    /// Time it waited for a core while it could have run.
    pub waited: Duration,
}

/// What the server used.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// CPU time in the measured window, all its threads together.
    pub cpu: Duration,
    /// Resident bytes before the first connection. Embedded: of the whole process.
    pub rss_idle: u64,
    /// Resident bytes with all connections established and before the first message.
    pub rss_connected: u64,
    /// Resident bytes at the end of the measured window.
    pub rss_after: u64,
    /// Whether the resident bytes are those of generator and server together.
    pub shared_process: bool,
    /// Kernel memory of the whole machine, from idle to connected.
    pub kernel: KernelGrowth,
}

/// Growth of kernel memory from idle to connected, of the whole machine and so of both ends when both
/// are on it. Negative when something else gave memory back.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KernelGrowth {
    /// TCP sockets in use.
    pub sockets: i64,
    /// Bytes of socket buffers (`mem` of `/proc/net/sockstat`).
    pub socket_bytes: i64,
    /// Bytes of slab (`/proc/meminfo`): sockets, descriptors, epoll entries.
    pub slab_bytes: i64,
}
