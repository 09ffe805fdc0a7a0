//! CPU and memory of both sides, read from the kernel between the phases of a run.
//!
//! The server is another process (by its id) or the embedded server's threads (by name). Nothing is
//! read while a phase is under way, and nothing here touches a reactor thread.

mod proc;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::human::reason;
use crate::nanos;
use proc::{KernelMemory, ThreadSample};

/// Names of the generator's threads begin so; a number follows.
pub const GENERATOR_THREADS: &str = "loadgen-";

/// Names of the embedded server's threads begin so; a number follows.
pub const SERVER_THREADS: &str = "plimsoll-";

/// What `stat` rounds away: two ticks of 10 ms.
const TICKS_ROUNDED: Duration = Duration::from_millis(20);

/// What the generator itself used in the measured window.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct GeneratorHealth {
    /// Its threads, in the order of their names.
    pub threads: Vec<ThreadUse>,
    /// Length of the window.
    #[serde(with = "nanos")]
    pub wall: Duration,
    /// What it cost to connect.
    pub setup: Setup,
}

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

/// One thread in the measured window.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadUse {
    /// Its name, such as `loadgen-0`.
    pub name: String,
    /// The machine it ran on, from 0 on; others than 0 only where results were merged.
    pub machine: usize,
    /// Cores that it may run on; empty if unknown.
    pub cores: Vec<usize>,
    /// Time it ran.
    #[serde(with = "nanos")]
    pub cpu: Duration,
    /// Time it waited for a core while it could have run.
    #[serde(with = "nanos")]
    pub waited: Duration,
}

/// What the server used.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// CPU time in the measured window, all its threads together.
    #[serde(with = "nanos")]
    pub cpu: Duration,
    /// What it cost to be connected to. Embedded: the bytes are those of the whole process.
    pub setup: Setup,
    /// Resident bytes at the end of the measured window.
    pub rss_after: u64,
    /// Whether the resident bytes are those of generator and server together.
    pub shared_process: bool,
    /// Kernel memory of the whole machine, from idle to connected.
    pub kernel: KernelGrowth,
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
    /// Bytes of slab (`/proc/meminfo`): sockets, descriptors, epoll entries.
    pub slab_bytes: i64,
}

/// The server whose cost is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Another process of this machine.
    Process(u32),
    /// The server's threads inside this process.
    Embedded,
}

/// The server cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error(
    "--server-pid {pid}: its figures under /proc cannot be read ({}); give the id of a process \
     that runs on this machine, or drop --server-pid",
    reason(error)
)]
pub struct CostError {
    /// The process.
    pub pid: u32,
    /// What the kernel said.
    pub error: std::io::Error,
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
    process: PathBuf,
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
    server: Option<CpuSample>,
    rss: u64,
}

/// CPU of a server since it began.
#[derive(Clone, Copy, Debug)]
struct CpuSample {
    /// Of the threads that live, to the nanosecond.
    living: Duration,
    /// Of all threads that ever lived, in ticks. Zero when embedded: its threads outlive the run.
    ever: Duration,
}

impl CpuSample {
    fn until(self, later: Self) -> Duration {
        let living = later.living.saturating_sub(self.living);
        let ever = later.ever.saturating_sub(self.ever);
        // Threads that ended in between are missing from the finer figure.
        if ever > living + TICKS_ROUNDED { ever } else { living }
    }
}

impl Server {
    fn idle(subject: Subject, process: PathBuf) -> std::io::Result<Self> {
        let mut server = Self {
            subject,
            process,
            cpu_idle: CpuSample { living: Duration::ZERO, ever: Duration::ZERO },
            setup: Setup::default(),
            kernel_idle: KernelMemory::now(),
            kernel: KernelGrowth::default(),
        };
        server.setup.rss_idle = proc::resident_bytes(&server.process)?;
        server.cpu_idle = server.cpu()?;
        Ok(server)
    }

    fn cpu(&self) -> std::io::Result<CpuSample> {
        let (prefix, ever) = match self.subject {
            Subject::Process(_) => ("", proc::cpu_in_ticks(&self.process)?),
            Subject::Embedded => (SERVER_THREADS, Duration::ZERO),
        };
        let threads = proc::threads(&self.process, prefix)?;
        Ok(CpuSample { living: threads.iter().map(|thread| thread.cpu).sum(), ever })
    }
}

impl Watch {
    /// Before the first connection, with the server up. Fails if its figures can't be read.
    pub fn idle(server: Option<Subject>) -> Result<Self, CostError> {
        let server = server.map(|subject| {
            let pid = match subject {
                Subject::Process(pid) => pid,
                Subject::Embedded => std::process::id(),
            };
            let process = PathBuf::from(format!("/proc/{pid}"));
            Server::idle(subject, process).map_err(|error| CostError { pid, error })
        });
        let setup = Setup { cpu: own_cpu(), rss_idle: own_bytes(), rss_connected: 0 };
        Ok(Self { server: server.transpose()?, setup, window: None })
    }

    /// Every connection is established, no message is sent yet.
    pub fn connected(&mut self) {
        self.setup.cpu = own_cpu().saturating_sub(self.setup.cpu);
        self.setup.rss_connected = own_bytes();
        if let Some(server) = &mut self.server {
            let cpu = server.cpu().map_or(Duration::ZERO, |now| server.cpu_idle.until(now));
            let rss_connected = proc::resident_bytes(&server.process).unwrap_or(0);
            server.setup = Setup { cpu, rss_connected, ..server.setup };
            server.kernel = server.kernel_idle.growth_to(KernelMemory::now());
        }
    }

    /// The measured window begins.
    pub fn window_begins(&mut self) {
        self.window = Some(Window {
            generator: own_threads(),
            server: self.server.as_ref().and_then(|server| server.cpu().ok()),
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
            server: self.server.as_ref().and_then(|server| server.cpu().ok()),
            rss: self
                .server
                .as_ref()
                .map_or(0, |server| proc::resident_bytes(&server.process).unwrap_or(0)),
        });
    }

    /// What both sides used. The server's part is absent if it was not asked for, or if its process
    /// ended before the window did.
    pub fn finish(self) -> (GeneratorHealth, Option<ServerCost>) {
        let Some(Window { generator, server: begin, end: Some(end), .. }) = self.window else {
            return (GeneratorHealth::default(), None);
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
        let cost =
            self.server.zip(begin).zip(end.server).map(|((server, begin), after)| ServerCost {
                pid: match server.subject {
                    Subject::Process(pid) => pid,
                    Subject::Embedded => std::process::id(),
                },
                cpu: begin.until(after),
                setup: server.setup,
                rss_after: end.rss,
                shared_process: server.subject == Subject::Embedded,
                kernel: server.kernel,
            });
        (health, cost)
    }
}

fn own_threads() -> Vec<ThreadSample> {
    proc::threads(Path::new("/proc/self"), GENERATOR_THREADS).unwrap_or_default()
}

fn own_cpu() -> Duration {
    own_threads().iter().map(|thread| thread.cpu).sum()
}

fn own_bytes() -> u64 {
    proc::resident_bytes(Path::new("/proc/self")).unwrap_or(0)
}

impl GeneratorHealth {
    /// CPU time of all its threads.
    pub fn cpu(&self) -> Duration {
        self.threads.iter().map(|thread| thread.cpu).sum()
    }

    /// The share of a core that its busiest thread used, in percent.
    pub fn busiest_thread_percent(&self) -> f64 {
        self.threads.iter().map(|thread| self.percent(thread.cpu)).fold(0.0, f64::max)
    }

    /// A time as a share of the window, in percent.
    pub fn percent(&self, time: Duration) -> f64 {
        let wall = self.wall.as_secs_f64();
        if wall > 0.0 { 100.0 * time.as_secs_f64() / wall } else { 0.0 }
    }

    /// Adds what another machine's threads used; `machine` counts it from 1 on.
    pub fn merge(&mut self, other: &Self, machine: usize) {
        let theirs = other.threads.iter().cloned();
        self.threads.extend(theirs.map(|thread| ThreadUse { machine, ..thread }));
        self.wall = self.wall.max(other.wall);
        self.setup.cpu += other.setup.cpu;
        self.setup.rss_idle += other.setup.rss_idle;
        self.setup.rss_connected += other.setup.rss_connected;
    }

    /// The cores that threads share, each with the share that all threads bound to it used
    /// together, in percent of the cores. Threads that may run on several cores are charged to
    /// those together.
    pub fn core_percents(&self) -> Vec<(&[usize], f64)> {
        self.shares(|thread| thread.cpu)
    }

    /// As [`GeneratorHealth::core_percents`], but of the time that threads waited for their cores.
    /// Together both may make more than 100 %: threads wait for each other too.
    pub fn waited_percents(&self) -> Vec<(&[usize], f64)> {
        self.shares(|thread| thread.waited)
    }

    fn shares(&self, time: impl Fn(&ThreadUse) -> Duration) -> Vec<(&[usize], f64)> {
        let mut groups: Vec<(&ThreadUse, Duration)> = Vec::new();
        for thread in &self.threads {
            let same = |(first, _): &&mut (&ThreadUse, Duration)| {
                first.machine == thread.machine && first.cores == thread.cores
            };
            match groups.iter_mut().find(same) {
                Some((_, sum)) => *sum += time(thread),
                None => groups.push((thread, time(thread))),
            }
        }
        let share = |cores: &[usize], time| self.percent(time) / cores.len().max(1) as f64;
        let groups = groups.into_iter();
        groups.map(|(first, time)| (&*first.cores, share(&first.cores, time))).collect()
    }
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
}

/// CPU time for each message in microseconds; `None` without messages.
pub fn us_per_message(cpu: Duration, messages: u64) -> Option<f64> {
    (messages > 0).then(|| cpu.as_secs_f64() * 1e6 / messages as f64)
}

#[cfg(test)]
mod tests;
