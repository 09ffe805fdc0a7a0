//! Where a server's figures come from: its threads under `/proc`, or the page on which it tells
//! them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::proc::{self, KernelMemory};
use super::{SERVER_THREADS, Subject, scrape};
use crate::cli::plan::Endpoint;
use crate::human::reason;
use crate::target;

/// What `stat` rounds away: two ticks of 10 ms.
const TICKS_ROUNDED: Duration = Duration::from_millis(20);

/// CPU of a server since it began.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct CpuSample {
    /// Of the threads that live, to the nanosecond.
    pub(super) living: Duration,
    /// Of all threads that ever lived, in ticks. Zero when embedded: its threads outlive the run.
    pub(super) ever: Duration,
}

impl CpuSample {
    pub(super) fn until(self, later: Self) -> Duration {
        let living = later.living.saturating_sub(self.living);
        let ever = later.ever.saturating_sub(self.ever);
        // Threads that ended in between are missing from the finer figure.
        if ever > living + TICKS_ROUNDED { ever } else { living }
    }
}

/// CPU and resident bytes at one instant.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Level {
    pub(super) cpu: CpuSample,
    /// 0 where the server does not tell.
    pub(super) resident: u64,
}

/// A cheap look: what it costs must not show in the run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Glance {
    pub(super) cpu: Duration,
    pub(super) resident: Option<u64>,
    /// Of this machine; nothing when the server may be on another.
    pub(super) kernel: Option<KernelMemory>,
}

/// A source of figures that was found to be there.
#[derive(Clone, Debug)]
pub(super) enum Gauge {
    /// Another process.
    Process(PathBuf),
    /// The server's threads inside this one.
    Embedded(PathBuf),
    /// A page of metrics.
    Page(SocketAddr, Endpoint),
}

impl Gauge {
    /// Of a subject; a page's name is resolved once.
    pub(super) fn of(subject: &Subject) -> Result<Self, String> {
        Ok(match subject {
            Subject::Process(pid) => Self::Process(PathBuf::from(format!("/proc/{pid}"))),
            Subject::Embedded => Self::Embedded(PathBuf::from("/proc/self")),
            Subject::Page(page) => {
                let to = target::resolve(page).map_err(|error| error.to_string())?;
                Self::Page(to, page.clone())
            }
        })
    }

    /// An exact look, between two phases.
    pub(super) fn level(&self) -> Result<Level, String> {
        self.cpu_and(proc::resident_bytes)
    }

    /// CPU alone of a process, as exact; of a page it is all there is.
    pub(super) fn cpu(&self) -> Option<CpuSample> {
        self.cpu_and(|_| Ok(0)).ok().map(|level| level.cpu)
    }

    fn cpu_and(
        &self,
        resident: impl Fn(&std::path::Path) -> std::io::Result<u64>,
    ) -> Result<Level, String> {
        let process = |process: &PathBuf, prefix, ever| {
            let threads = proc::threads(process, prefix)?;
            let living = threads.iter().map(|thread| thread.cpu).sum();
            Ok(Level { cpu: CpuSample { living, ever }, resident: resident(process)? })
        };
        let level = match self {
            Self::Process(path) => {
                proc::cpu_in_ticks(path).and_then(|ever| process(path, "", ever))
            }
            Self::Embedded(path) => process(path, SERVER_THREADS, Duration::ZERO),
            Self::Page(to, page) => return Self::page(*to, page),
        };
        level.map_err(|error: std::io::Error| reason(&error))
    }

    fn page(to: SocketAddr, page: &Endpoint) -> Result<Level, String> {
        let told = scrape::look(to, page)?;
        let cpu = CpuSample { living: told.cpu, ever: told.cpu };
        Ok(Level { cpu, resident: told.resident.unwrap_or(0) })
    }

    /// A cheap look, amid a phase: ticks and the estimate of `status` do.
    pub(super) fn glance(&self) -> Result<Glance, String> {
        let (cpu, resident) = match self {
            Self::Process(path) => (proc::cpu_in_ticks(path), proc::resident_estimate(path)),
            Self::Embedded(path) => {
                (proc::cpu_of_threads(path, SERVER_THREADS), proc::resident_estimate(path))
            }
            Self::Page(to, page) => {
                let told = scrape::look(*to, page)?;
                return Ok(Glance { cpu: told.cpu, resident: told.resident, kernel: None });
            }
        };
        let cpu = cpu.map_err(|error| reason(&error))?;
        Ok(Glance { cpu, resident: resident.ok(), kernel: Some(KernelMemory::now()) })
    }
}
