//! What a process has used: processor time and memory, as the kernel counts them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;

/// The kernel's answer for a thread that has just ended.
const NO_SUCH_PROCESS: i32 = 3;

/// A tick of `/proc/PID/stat`, the same on every Linux (`USER_HZ` is 100).
const TICK_NS: u64 = 10_000_000;

/// Processor time of a process until now.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    /// Nanoseconds of each live thread, by its id.
    living: BTreeMap<OsString, u64>,
    /// Nanoseconds of all threads that ever were, in whole ticks.
    ever: u64,
}

impl Ran {
    /// What `pid` ("self" for this process) has run.
    ///
    /// `schedstat` counts what the scheduler gave out; `utime` and `stime` in `stat` are the same
    /// figure, cut to ticks, and with the threads that have ended. A running thread's figure may be
    /// one scheduler tick old.
    ///
    /// # Errors
    /// When the process is gone, or the kernel keeps no `schedstat`.
    pub fn of(pid: &str) -> io::Result<Self> {
        let mut living = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            let line = match fs::read_to_string(task.path().join("schedstat")) {
                Ok(line) => line,
                Err(e) if task.path().exists() && e.raw_os_error() != Some(NO_SUCH_PROCESS) => {
                    return Err(e);
                }
                // It ended since it was listed.
                Err(_) => continue,
            };
            let ran = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
            let bad = || io::Error::other(format!("/proc/{pid}: schedstat is {line:?}"));
            living.insert(task.file_name(), ran.ok_or_else(bad)?);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let bad = || io::Error::other(format!("/proc/{pid}: stat is {stat:?}"));
        Ok(Self { living, ever: ticks(&stat).ok_or_else(bad)? * TICK_NS })
    }

    /// Nanoseconds from here to `later`. To the nanosecond, but to two ticks where a thread ended
    /// in between, since its own figure went with it.
    pub fn until(&self, later: &Self) -> u64 {
        let before = |id| self.living.get(id).copied().unwrap_or(0);
        // A thread that ran less than before is another one with its id.
        let ended =
            self.living.iter().any(|(id, ran)| later.living.get(id).is_none_or(|now| now < ran));
        let living = later.living.iter().map(|(id, ran)| ran.saturating_sub(before(id))).sum();
        if ended { later.ever.saturating_sub(self.ever).max(living) } else { living }
    }
}

/// `utime` and `stime` of a line of `stat`; its second field, a name in parentheses, may hold
/// anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Bytes of memory that `pid` has for itself: anonymous pages that are resident.
///
/// `smaps_rollup` counts pages; `VmRSS` may be off by some hundred kilobytes, and holds the pages
/// of the program's file as well.
///
/// # Errors
/// When the process is gone or another user's.
pub fn anonymous_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/smaps_rollup has no Anonymous line")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(ticks: u64, each: &[(&str, u64)]) -> Ran {
        let living = each.iter().map(|(id, ran)| (OsString::from(id), *ran)).collect();
        Ran { living, ever: ticks * TICK_NS }
    }

    #[test]
    fn threads_that_begin_and_threads_that_end_are_counted() {
        let before = ran(3, &[("1", 10), ("2", 20)]);
        let cases = [
            (ran(3, &[("1", 15), ("2", 26)]), 11),
            (ran(3, &[("1", 15), ("2", 26), ("3", 100)]), 111),
            // One has ended: only the ticks still have it.
            (ran(5, &[("1", 15)]), 2 * TICK_NS),
            // It ended after less than a tick.
            (ran(3, &[("1", 15)]), 5),
            // The id is another thread's now.
            (ran(4, &[("1", 15), ("2", 3)]), TICK_NS),
        ];
        for (after, expected) in cases {
            assert_eq!(before.until(&after), expected, "{after:?}");
        }
    }

    #[test]
    fn a_line_of_stat_gives_its_ticks() {
        let line = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 3";
        assert_eq!(ticks(line), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(ticks("nothing"), None);
    }

    #[test]
    fn a_process_has_at_least_one_thread() {
        assert!(Ran::of("self").is_ok_and(|ran| !ran.living.is_empty()));
        assert!(Ran::of("0").is_err());
    }
}
