//! What a process has used: processor time and memory, as the kernel counts them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;

/// The kernel's answer for a thread that has just ended.
const NO_SUCH_PROCESS: i32 = 3;

/// Nanoseconds that each live thread of a process has run, by its id.
#[derive(Debug, PartialEq, Eq)]
pub struct Threads(BTreeMap<OsString, u64>);

impl Threads {
    /// Those of `pid` ("self" for this process) now.
    ///
    /// `schedstat` counts what the scheduler gave out; `utime` and `stime` in `stat` are the same
    /// figure, cut to ticks of 10 ms. A running thread's figure may be one scheduler tick old.
    ///
    /// # Errors
    /// When the process is gone, or the kernel keeps no `schedstat`.
    pub fn of(pid: &str) -> io::Result<Self> {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            let line = match fs::read_to_string(task.path().join("schedstat")) {
                Ok(line) => line,
                // It ended since it was listed. Whether it was there before is for `until` to say.
                Err(e) if task.path().exists() && e.raw_os_error() != Some(NO_SUCH_PROCESS) => {
                    return Err(e);
                }
                Err(_) => continue,
            };
            let ran = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
            let bad = || io::Error::other(format!("/proc/{pid}: schedstat is {line:?}"));
            threads.insert(task.file_name(), ran.ok_or_else(bad)?);
        }
        Ok(Self(threads))
    }

    /// Nanoseconds that all threads ran until `later`, those that began in between included.
    ///
    /// # Errors
    /// When a thread ended in between, since what it ran is lost, or when its time went back.
    /// `whose` names the process.
    pub fn until(&self, later: &Self, whose: &str) -> io::Result<u64> {
        for (id, before) in &self.0 {
            let Some(after) = later.0.get(id) else {
                return Err(io::Error::other(format!(
                    "a thread of the {whose} ended within the window ({}), and its processor time \
                     is lost; measure again",
                    id.display()
                )));
            };
            if after < before {
                return Err(io::Error::other(format!(
                    "the processor time of thread {} of the {whose} went back from {before} to \
                     {after} ns: either another thread has its id, or the kernel's count is not to \
                     be trusted; measure again",
                    id.display()
                )));
            }
        }
        let ran = |threads: &Self| threads.0.values().sum::<u64>();
        Ok(ran(later) - ran(self))
    }
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

    fn threads(each: &[(&str, u64)]) -> Threads {
        Threads(each.iter().map(|(id, ran)| (OsString::from(id), *ran)).collect())
    }

    #[test]
    fn threads_that_begin_are_counted_and_those_that_end_are_an_error() {
        let before = threads(&[("1", 10), ("2", 20)]);
        let cases = [
            (threads(&[("1", 15), ("2", 26)]), Some(11)),
            (threads(&[("1", 15), ("2", 26), ("3", 100)]), Some(111)),
            (threads(&[("1", 15)]), None),
            // The id is another thread's now.
            (threads(&[("1", 15), ("2", 3)]), None),
        ];
        for (after, expected) in cases {
            let ran = before.until(&after, "server");
            assert_eq!(ran.as_ref().ok(), expected.as_ref(), "{after:?}");
            if let Err(error) = ran {
                assert!(error.to_string().contains("thread"), "{error}");
                assert!(error.to_string().contains("of the server"), "{error}");
            }
        }
    }

    #[test]
    fn a_process_has_at_least_one_thread() {
        let threads = Threads::of("self");
        assert!(threads.is_ok_and(|threads| !threads.0.is_empty()));
        assert!(Threads::of("0").is_err());
    }
}
