//! What the generator itself used: by thread, and by the cores that its threads share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Setup;
use crate::nanos;

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
