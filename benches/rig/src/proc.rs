//! What a process has used: processor time and memory, as the kernel counts them.

use std::fs;
use std::io;

/// Nanoseconds that all live threads of `pid` ("self" for this one) have run.
///
/// `schedstat` counts what the scheduler gave out; `utime` and `stime` in `stat` are the same
/// figure, cut to ticks of 10 ms. A running thread's figure may be one scheduler tick old.
///
/// # Errors
/// When the process is gone, or the kernel keeps no `schedstat`.
pub fn nanoseconds(pid: &str) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        let ran = line.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        sum +=
            ran.ok_or_else(|| io::Error::other(format!("/proc/{pid}: schedstat is {line:?}")))?;
    }
    Ok(sum)
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
