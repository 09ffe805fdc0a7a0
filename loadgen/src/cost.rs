//! CPU and memory of both sides, read between the phases of a run, and of the server each second.
//!
//! The server is another process (by its id), the embedded server's threads (by name), or one that
//! tells its figures on a page of metrics. What is read amid a phase is cheap and read by a thread
//! of its own: nothing here touches a reactor thread.

mod gauge;
mod health;
mod proc;
mod sampler;
mod scrape;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cli::plan::Endpoint;
use crate::nanos;
use gauge::{CpuSample, Gauge, Level};
pub use health::{GeneratorHealth, ThreadUse};
use proc::{KernelMemory, ThreadSample};
pub use sampler::Sample;
use sampler::Sampler;

/// Names of the generator's threads begin so; a number follows.
pub const GENERATOR_THREADS: &str = "loadgen-";

/// Names of the embedded server's threads begin so; a number follows.
pub const SERVER_THREADS: &str = "plimsoll-";

/// One side from before the first connection until all are established.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Setup {
    /// CPU time, all threads together.
    #[serde(with = "nanos")]
    pub cpu: Duration,
    /// Resident bytes of its process before.
    pub rss_idle: u64,
    /// Resident bytes of its process with all connections established and no message sent.
    pub rss_connected: u64,
}

/// What the server used.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerCost {
    /// Its process; `None` if it tells its figures by itself.
    pub pid: Option<u32>,
    /// The page on which it tells them, such as `http://127.0.0.1:9002/metrics`.
    pub page: Option<String>,
    /// CPU time in the measured window, all its threads together.
    #[serde(with = "nanos")]
    pub cpu: Duration,
    /// What it cost to be connected to. Embedded: the bytes are those of the whole process.
    pub setup: Setup,
    /// Resident bytes at the end of the measured window.
    pub rss_after: u64,
    /// Whether the resident bytes are those of generator and server together.
    pub shared_process: bool,
    /// Kernel memory of this whole machine, from idle to connected.
    pub kernel: KernelGrowth,
    /// A look each second, from the first connect to the last close.
    pub samples: Vec<Sample>,
}

/// Growth of kernel memory from idle to connected, of the whole machine and so of both ends when
/// both are on it. Negative when something else gave memory back.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelGrowth {
    /// TCP sockets in use.
    pub sockets: i64,
    /// Bytes of socket buffers (`mem` of `/proc/net/sockstat`).
    pub socket_bytes: i64,
    /// Bytes of slab (`/proc/meminfo`): sockets, descriptors, epoll entries, and all else.
    pub slab_bytes: i64,
    /// Bytes of the slabs that bear the names of sockets and descriptors (`/proc/slabinfo`); `None`
    /// for those who may not read it.
    pub socket_slab_bytes: Option<i64>,
}

/// The server whose cost is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Another process of this machine.
    Process(u32),
    /// The server's threads inside this process.
    Embedded,
    /// A server that tells its figures on a page of metrics.
    Page(Endpoint),
}

impl Subject {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(pid) => Some(*pid),
            Self::Embedded => Some(std::process::id()),
            Self::Page(_) => None,
        }
    }

    fn page(&self) -> Option<String> {
        match self {
            Self::Page(page) => Some(format!("http://{}{}", page.host_header(), page.path)),
            Self::Process(_) | Self::Embedded => None,
        }
    }
}

/// The server cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum CostError {
    /// By its process.
    #[error(
        "--server-pid {pid}: its figures under /proc cannot be read ({cause}); give the id of a \
         process that runs on this machine, or drop --server-pid"
    )]
    Process {
        /// The process.
        pid: u32,
        /// What the kernel said.
        cause: String,
    },
    /// By its page.
    #[error(
        "--server-metrics {page}: {cause}; give the address of a page in Prometheus' text format, \
         or drop --server-metrics"
    )]
    Page {
        /// Its address.
        page: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// Watches both sides through the phases of a run. Its methods are called in the order in which
/// they stand.
#[derive(Debug)]
pub struct Watch {
    server: Option<Server>,
    /// Of the generator; its CPU until it is connected is what it was before.
    setup: Setup,
    window: Option<Window>,
}

#[derive(Debug)]
struct Server {
    subject: Subject,
    gauge: Gauge,
    sampler: Option<Sampler>,
    cpu_idle: CpuSample,
    setup: Setup,
    kernel_idle: KernelMemory,
    kernel: KernelGrowth,
}

/// The measured window's first instant, and its last once it is over.
#[derive(Debug)]
struct Window {
    begin: Instant,
    generator: Vec<ThreadSample>,
    server: Option<CpuSample>,
    end: Option<WindowEnd>,
}

#[derive(Debug)]
struct WindowEnd {
    wall: Duration,
    generator: Vec<ThreadSample>,
    server: Option<Level>,
}

impl Server {
    fn idle(subject: Subject) -> Result<Self, CostError> {
        let found = Gauge::of(&subject).and_then(|gauge| Ok((gauge.level()?, gauge)));
        let (level, gauge) = found.map_err(|cause| match subject.page() {
            Some(page) => CostError::Page { page, cause },
            None => CostError::Process { pid: subject.pid().unwrap_or(0), cause },
        })?;
        Ok(Self {
            // Without a thread there are no samples, and that is all.
            sampler: Sampler::start(gauge.clone()).ok(),
            gauge,
            subject,
            cpu_idle: level.cpu,
            setup: Setup { rss_idle: level.resident, ..Setup::default() },
            kernel_idle: KernelMemory::by_slab(),
            kernel: KernelGrowth::default(),
        })
    }

    /// What it cost between the two ends of the window that began at `window`, if both are known,
    /// and what must be known besides.
    fn cost(
        self,
        ends: Option<(CpuSample, Level)>,
        window: Instant,
    ) -> (Option<ServerCost>, Vec<String>) {
        let looks = self.sampler.map(Sampler::stop).unwrap_or_default();
        let mut notes = looks.doubts();
        let Some((begin, after)) = ends else {
            notes.push(
                "the server's cost is not known: it could not be read when the measured \
                        window began or ended"
                    .to_owned(),
            );
            return (None, notes);
        };
        let cost = ServerCost {
            pid: self.subject.pid(),
            page: self.subject.page(),
            cpu: begin.until(after.cpu),
            setup: self.setup,
            rss_after: after.resident,
            shared_process: self.subject == Subject::Embedded,
            kernel: self.kernel,
            samples: looks.samples(window),
        };
        (Some(cost), notes)
    }
}

impl Watch {
    /// Before the first connection, with the server up. Fails if its figures can't be read.
    pub fn idle(server: Option<Subject>) -> Result<Self, CostError> {
        let server = server.map(Server::idle).transpose()?;
        let setup = Setup { cpu: generator_cpu(), rss_idle: own_bytes(), rss_connected: 0 };
        Ok(Self { server, setup, window: None })
    }

    /// Every connection is established, no message is sent yet.
    pub fn connected(&mut self) {
        self.setup.cpu = generator_cpu().saturating_sub(self.setup.cpu);
        self.setup.rss_connected = own_bytes();
        if let Some(server) = &mut self.server {
            let level = server.gauge.level().ok();
            let cpu = level.map_or(Duration::ZERO, |now| server.cpu_idle.until(now.cpu));
            let rss_connected = level.map_or(0, |level| level.resident);
            server.setup = Setup { cpu, rss_connected, ..server.setup };
            server.kernel = server.kernel_idle.growth_to(KernelMemory::by_slab());
        }
    }

    /// The measured window begins.
    pub fn window_begins(&mut self) {
        self.window = Some(Window {
            generator: own_threads(),
            server: self.server.as_ref().and_then(|server| server.gauge.cpu()),
            begin: Instant::now(),
            end: None,
        });
    }

    /// The measured window ends.
    pub fn window_ends(&mut self) {
        let Some(window) = &mut self.window else { return };
        window.end = Some(WindowEnd {
            wall: window.begin.elapsed(),
            generator: own_threads(),
            server: self.server.as_ref().and_then(|server| server.gauge.level().ok()),
        });
    }

    /// What both sides used, and what must be known of it, a sentence each. The server's part is
    /// absent if it was not asked for, or could not be read at both ends of the window.
    pub fn finish(self) -> (GeneratorHealth, Option<ServerCost>, Vec<String>) {
        let Some(Window { generator, server: cpu, begin, end: Some(end) }) = self.window else {
            return (GeneratorHealth::default(), None, Vec::new());
        };
        let threads = end.generator.into_iter().map(|thread| {
            let before = generator.iter().find(|before| before.tid == thread.tid);
            let (cpu, waited) = before.map_or_else(Default::default, |b| (b.cpu, b.waited));
            ThreadUse {
                name: thread.name,
                machine: 0,
                cores: thread.cores,
                cpu: thread.cpu.saturating_sub(cpu),
                waited: thread.waited.saturating_sub(waited),
            }
        });
        let health =
            GeneratorHealth { threads: threads.collect(), wall: end.wall, setup: self.setup };
        let ends = cpu.zip(end.server);
        let cost = self.server.map(|server| server.cost(ends, begin));
        let (cost, notes) = cost.unwrap_or_default();
        (health, cost, notes)
    }
}

fn own_threads() -> Vec<ThreadSample> {
    proc::threads(Path::new("/proc/self"), GENERATOR_THREADS).unwrap_or_default()
}

/// CPU time of the generator's threads so far.
pub(crate) fn generator_cpu() -> Duration {
    own_threads().iter().map(|thread| thread.cpu).sum()
}

fn own_bytes() -> u64 {
    proc::resident_bytes(Path::new("/proc/self")).unwrap_or(0)
}

impl Setup {
    /// Growth of resident memory for each of `established`, in bytes. `None` without connections,
    /// or if memory could not be read.
    pub fn bytes_per_connection(&self, established: u64) -> Option<f64> {
        let growth = self.rss_connected.saturating_sub(self.rss_idle);
        (established > 0 && self.rss_connected > 0).then(|| growth as f64 / established as f64)
    }
}

impl ServerCost {
    /// Growth of resident memory from idle to connected for each of `established`, in bytes. `None`
    /// without connections, or if memory could not be read.
    pub fn bytes_per_connection(&self, established: u64) -> Option<f64> {
        self.setup.bytes_per_connection(established)
    }

    /// The same of kernel memory: of the sockets' slabs where they may be read, else of all slab,
    /// and of socket buffers. Of both ends of a connection where both are on this machine.
    pub fn kernel_bytes_per_connection(&self, established: u64) -> Option<f64> {
        let slab = self.kernel.socket_slab_bytes.unwrap_or(self.kernel.slab_bytes);
        let growth = slab + self.kernel.socket_bytes;
        (established > 0 && growth > 0).then(|| growth as f64 / established as f64)
    }
}

/// CPU time for each message in microseconds; `None` without messages.
pub fn us_per_message(cpu: Duration, messages: u64) -> Option<f64> {
    (messages > 0).then(|| cpu.as_secs_f64() * 1e6 / messages as f64)
}

#[cfg(test)]
mod tests;
