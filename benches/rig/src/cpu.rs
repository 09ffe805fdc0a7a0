//! Processor time of a process, user and system together, to the nanosecond.

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
