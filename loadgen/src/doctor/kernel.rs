//! What the kernel says of the machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the machine is watched.
const WATCH: Duration = Duration::from_millis(500);
/// A timer's length while it is watched.
const NAP: Duration = Duration::from_millis(2);

/// A machine's `/proc` and `/sys`, or a copy of another's.
#[derive(Clone, Debug)]
pub struct Kernel {
    root: PathBuf,
}

/// What half a second showed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sample {
    /// Share of all cores' time that the host took.
    pub(super) steal: Option<f64>,
    /// Share of all cores' time that was used.
    pub(super) busy: Option<f64>,
    /// How late a timer woke us, 99 of 100 not later.
    pub(super) timer_p99_us: u64,
}

impl Kernel {
    /// This machine.
    pub fn this() -> Self {
        Self::at("/")
    }

    /// The tree below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A small file's text without the white space around it.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let path = self.root.join(Path::new(path.trim_start_matches('/')));
        std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }

    /// A setting's numbers.
    pub(super) fn sysctl(&self, name: &str) -> Option<Vec<u64>> {
        let text = self.text(&format!("/proc/sys/{}", name.replace('.', "/")))?;
        text.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
    }

    /// Watches the machine for half a second, with timers that it should keep.
    pub(super) fn sample(&self) -> Sample {
        let before = self.times();
        let until = Instant::now() + WATCH;
        let mut late = Vec::new();
        while Instant::now() < until {
            let due = Instant::now() + NAP;
            std::thread::sleep(NAP);
            late.push(due.elapsed().as_micros() as u64);
        }
        late.sort_unstable();
        let shares = before.zip(self.times()).and_then(|(before, after)| after.since(before));
        Sample {
            steal: shares.map(|(steal, _)| steal),
            busy: shares.map(|(_, busy)| busy),
            timer_p99_us: late[(late.len() - 1) * 99 / 100],
        }
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
    fn times(&self) -> Option<Times> {
        let text = self.text("/proc/stat")?;
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> =
            line.split_ascii_whitespace().map_while(|word| word.parse().ok()).take(8).collect();
        let all = ticks.iter().sum();
        Some(Times { all, idle: ticks.get(3)? + ticks.get(4)?, steal: *ticks.get(7)? })
    }
}

#[derive(Clone, Copy)]
struct Times {
    all: u64,
    idle: u64,
    steal: u64,
}

impl Times {
    /// Shares of steal and of work; `None` if no tick has passed.
    fn since(self, before: Self) -> Option<(f64, f64)> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)? as f64;
        let steal = self.steal.saturating_sub(before.steal) as f64 / all;
        let idle = self.idle.saturating_sub(before.idle) as f64 / all;
        Some((steal, (1.0 - idle - steal).max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time() {
        let before = Times { all: 1000, idle: 500, steal: 10 };
        let after = Times { all: 1200, idle: 620, steal: 20 };
        let (steal, busy) = after.since(before).unwrap();
        assert!((steal - 0.05).abs() < 1e-9 && (busy - 0.35).abs() < 1e-9, "{steal} {busy}");
        assert_eq!(before.since(before), None);
    }

    #[test]
    fn this_machine_is_read() {
        let kernel = Kernel::this();
        assert_eq!(kernel.sysctl("net.ipv4.tcp_mem").map(|values| values.len()), Some(3));
        let sample = kernel.sample();
        assert!(sample.busy.is_some_and(|busy| (0.0..=1.0).contains(&busy)), "{sample:?}");
        assert!(sample.timer_p99_us < 10_000_000);
    }
}
