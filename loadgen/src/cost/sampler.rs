//! A look at the server each second, on a thread of its own, and what is kept of them.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::gauge::{Gauge, Glance};

/// From one look to the next, until they are too many.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that are kept: ten minutes of them. Then every other one goes, and from there on the time
/// between two is twice as long.
const MOST: usize = 600;

/// One look at the server.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// Seconds from the beginning of the measured window; negative before it.
    pub t_s: f64,
    /// CPU since the first look.
    pub cpu_seconds: f64,
    /// Resident bytes of its process, by the kernel's estimate.
    pub rss_bytes: Option<u64>,
    /// Bytes of socket buffers of this whole machine, where the server is on it.
    pub kernel_socket_bytes: Option<i64>,
    /// Bytes of slab, likewise.
    pub kernel_slab_bytes: Option<i64>,
}

/// A look, and when.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) glance: Glance,
}

/// All looks of a run, in their order.
#[derive(Clone, Default, Debug)]
pub(super) struct Looks {
    pub(super) kept: Vec<Look>,
    /// Those that failed, and what the last of them was told.
    pub(super) failed: u64,
    pub(super) failure: String,
}

impl Looks {
    fn add(&mut self, at: Instant, seen: Result<Glance, String>) {
        match seen {
            Ok(glance) => self.kept.push(Look { at, glance }),
            Err(failure) => {
                self.failed += 1;
                self.failure = failure;
            }
        }
    }

    /// Leaves out every other one if they are too many; whether they were.
    fn thin(&mut self, most: usize) -> bool {
        let full = self.kept.len() >= most;
        if full {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
        }
        full
    }

    /// Looks as they are reported, by the measured window's first instant.
    pub(super) fn samples(&self, window: Instant) -> Vec<Sample> {
        let Some(first) = self.kept.first() else { return Vec::new() };
        let sample = |look: &Look| Sample {
            t_s: look.at.saturating_duration_since(window).as_secs_f64()
                - window.saturating_duration_since(look.at).as_secs_f64(),
            cpu_seconds: look.glance.cpu.saturating_sub(first.glance.cpu).as_secs_f64(),
            rss_bytes: look.glance.resident,
            kernel_socket_bytes: look.glance.kernel.map(|kernel| kernel.socket_bytes),
            kernel_slab_bytes: look.glance.kernel.map(|kernel| kernel.slab_bytes),
        };
        self.kept.iter().map(sample).collect()
    }

    /// What must be known of the looks before they are believed, one sentence each.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.failed > 0 {
            let all = self.failed + self.kept.len() as u64;
            let why = &self.failure;
            doubts.push(format!("{} of {all} looks at the server failed: {why}", self.failed));
        }
        if self.kept.windows(2).any(|pair| pair[1].glance.cpu < pair[0].glance.cpu) {
            doubts
                .push("the server's CPU time went back: it was restarted amid the run".to_owned());
        }
        doubts
    }
}

/// The thread that looks. Dropping it lets it end by itself.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Looks>,
}

impl Sampler {
    /// Begins with a look at once.
    pub(super) fn start(gauge: Gauge) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let body = move || {
            let (mut looks, mut every, mut next) = (Looks::default(), EVERY, Instant::now());
            loop {
                let at = Instant::now();
                looks.add(at, gauge.glance());
                if looks.thin(MOST) {
                    every *= 2;
                }
                // On a grid; what a slow look missed is left out.
                let now = Instant::now();
                while next <= now {
                    next += every;
                }
                match stopped.recv_timeout(next - now) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return looks,
                }
            }
        };
        let thread = Builder::new().name("watcher".to_owned()).spawn(body)?;
        Ok(Self { stop, thread })
    }

    /// All that was seen.
    pub(super) fn stop(self) -> Looks {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_thinned_evenly() {
        let begin = Instant::now();
        let mut looks = Looks::default();
        for second in 0..8 {
            looks.add(begin + Duration::from_secs(second), Ok(Glance::default()));
        }
        assert!(!looks.thin(9) && looks.thin(8));
        let seconds: Vec<u64> = looks.kept.iter().map(|look| (look.at - begin).as_secs()).collect();
        assert_eq!(seconds, [0, 2, 4, 6]);
        looks.add(begin, Err("gone".to_owned()));
        assert_eq!((looks.kept.len(), looks.failed, looks.failure.as_str()), (4, 1, "gone"));
    }

    #[test]
    fn looks_become_samples() {
        let begin = Instant::now();
        let mut looks = Looks::default();
        for (ms, cpu) in [(0, 500), (1000, 700), (2000, 1200)] {
            let cpu = Duration::from_millis(cpu);
            let glance = Glance { cpu, resident: Some(ms), ..Glance::default() };
            looks.add(begin + Duration::from_millis(ms), Ok(glance));
        }
        let samples = looks.samples(begin + Duration::from_millis(1500));
        let found: Vec<_> = samples.iter().map(|s| (s.t_s, s.cpu_seconds, s.rss_bytes)).collect();
        assert_eq!(found, [(-1.5, 0.0, Some(0)), (-0.5, 0.2, Some(1000)), (0.5, 0.7, Some(2000))]);
        assert!(looks.doubts().is_empty());
        looks.add(begin, Ok(Glance::default()));
        looks.add(begin, Err("connection refused".to_owned()));
        let doubts = looks.doubts();
        assert_eq!(doubts[0], "1 of 5 looks at the server failed: connection refused");
        assert!(doubts[1].contains("restarted"), "{doubts:?}");
    }
}
