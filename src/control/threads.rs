//! What each shard's thread got of its core, for the metrics. Read from the kernel's own account,
//! so that the loop pays nothing for it.

use std::fs;
use std::path::Path;

/// One shard's thread since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Usage {
    /// Nanoseconds on a core.
    pub cpu: u64,
    /// Nanoseconds ready to run, without a core.
    pub waited: u64,
}

/// The threads `NAME-0`, `NAME-1` and so on of this process, as far as the system tells.
pub(super) fn look(name: &str, shards: usize) -> Vec<Option<Usage>> {
    look_in(Path::new("/proc/self/task"), name, shards)
}

fn look_in(tasks: &Path, name: &str, shards: usize) -> Vec<Option<Usage>> {
    let mut found = vec![None; shards];
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        let path = task.path();
        if let Ok(comm) = fs::read_to_string(path.join("comm"))
            && let Some(shard) = number(comm.trim_end(), name)
            && let Some(place) = found.get_mut(shard)
        {
            *place = fs::read_to_string(path.join("schedstat")).ok().and_then(|s| usage(&s));
        }
    }
    found
}

/// The kernel keeps 15 bytes of a thread's name.
fn number(comm: &str, name: &str) -> Option<usize> {
    comm.strip_prefix(name)?.strip_prefix('-')?.parse().ok()
}

/// `schedstat`: time on a core, time waiting for one, slices.
fn usage(schedstat: &str) -> Option<Usage> {
    let mut fields = schedstat.split_ascii_whitespace().map(str::parse);
    Some(Usage { cpu: fields.next()?.ok()?, waited: fields.next()?.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_known_by_its_name_and_number() {
        assert_eq!(number("plimsoll-12", "plimsoll"), Some(12));
        for other in ["plimsoll", "plimsoll-", "plimsoll-x", "plimsoll12", "control", "-1"] {
            assert_eq!(number(other, "plimsoll"), None, "{other}");
        }
        assert_eq!(usage("12345 678 9\n"), Some(Usage { cpu: 12_345, waited: 678 }));
        for bad in ["", "1", "a b c", "1 -2 3"] {
            assert_eq!(usage(bad), None, "{bad}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_that_works_is_seen_to_work() {
        let (done, waits) = std::sync::mpsc::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let work = move || {
            let sum = (0..3_000_000u64).fold(0, |sum, n| sum ^ std::hint::black_box(n));
            told.send(sum).unwrap();
            let _ = waits.recv();
        };
        let thread = std::thread::Builder::new().name("look-1".into()).spawn(work).unwrap();
        ready.recv().unwrap();
        let found = look("look", 2);
        drop(done);
        thread.join().unwrap();
        assert_eq!(found[0], None);
        assert!(found[1].is_some_and(|usage| usage.cpu > 0), "{found:?}");
    }
}
