//! The kernel's files under `/proc`, read and parsed. Parsers take text, so that they can be
//! tested.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use plimsoll::config::kib_line;

use super::KernelGrowth;

/// One thread at one instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ThreadSample {
    pub(super) tid: u32,
    pub(super) name: String,
    pub(super) cores: Vec<usize>,
    /// Time it ran since it began.
    pub(super) cpu: Duration,
    /// Time it waited for a core since it began.
    pub(super) waited: Duration,
}

/// The threads of a process that are named `prefix` and a number, or all if `prefix` is empty. One
/// that ends meanwhile is left out.
pub(super) fn threads(process: &Path, prefix: &str) -> io::Result<Vec<ThreadSample>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(process.join("task"))? {
        let path = entry?.path();
        let tid = path.file_name().and_then(|name| name.to_str()).and_then(|tid| tid.parse().ok());
        if let Some(tid) = tid
            && let Ok(name) = fs::read_to_string(path.join("comm"))
            && is_numbered(name.trim(), prefix)
            && let Ok((cpu, waited)) = run_times(&path)
        {
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let cores = field(&status, "Cpus_allowed_list:").map(cpu_list).unwrap_or_default();
            threads.push(ThreadSample { tid, name: name.trim().to_owned(), cores, cpu, waited });
        }
    }
    // `loadgen-10` after `loadgen-9`.
    threads.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    Ok(threads)
}

/// CPU of the threads that are named `prefix` and a number, and nothing else of them.
pub(super) fn cpu_of_threads(process: &Path, prefix: &str) -> io::Result<Duration> {
    let mut sum = Duration::ZERO;
    for entry in fs::read_dir(process.join("task"))? {
        let path = entry?.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if is_numbered(name.trim(), prefix) {
            sum += run_times(&path).map_or(Duration::ZERO, |(cpu, _)| cpu);
        }
    }
    Ok(sum)
}

/// Whether a thread's name is `prefix` and a number. The program's own name may begin like it.
fn is_numbered(name: &str, prefix: &str) -> bool {
    let number = name.strip_prefix(prefix);
    prefix.is_empty()
        || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Time run and time waited of one thread: to the nanosecond from `schedstat`, or in ticks and
/// without the waiting where the kernel was built without it.
fn run_times(task: &Path) -> io::Result<(Duration, Duration)> {
    match fs::read_to_string(task.join("schedstat")).ok().as_deref().and_then(schedstat) {
        Some(times) => Ok(times),
        None => Ok((cpu_in_ticks(task)?, Duration::ZERO)),
    }
}

/// `schedstat`: nanoseconds run, nanoseconds waited, time slices.
pub(super) fn schedstat(text: &str) -> Option<(Duration, Duration)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (run, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((Duration::from_nanos(run), Duration::from_nanos(waited)))
}

/// CPU of a process, ended threads included, or of a thread, from `stat`.
pub(super) fn cpu_in_ticks(process: &Path) -> io::Result<Duration> {
    let text = fs::read_to_string(process.join("stat"))?;
    let ticks = stat_ticks(&text).ok_or_else(|| unreadable("stat"))?;
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
}

/// `stat`: fields 14 and 15 are user and system time in ticks (`proc_pid_stat(5)`). The name,
/// field 2, may hold spaces and parentheses, so counting begins after its last one.
pub(super) fn stat_ticks(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user = fields.next()?.parse::<u64>().ok()?;
    let system = fields.next()?.parse::<u64>().ok()?;
    user.checked_add(system)
}

/// Resident bytes. `smaps_rollup` walks the pages; `status` is an estimate that may be off by some
/// pages for each core, and the only one where the process belongs to somebody else.
pub(super) fn resident_bytes(process: &Path) -> io::Result<u64> {
    if let Ok(text) = fs::read_to_string(process.join("smaps_rollup"))
        && let Some(bytes) = kib_line(&text, "Rss:")
    {
        return Ok(bytes);
    }
    resident_estimate(process)
}

/// Resident bytes by the estimate of `status`, which costs nothing.
pub(super) fn resident_estimate(process: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(process.join("status"))?;
    kib_line(&text, "VmRSS:").ok_or_else(|| unreadable("VmRSS"))
}

/// Slabs of TCP connections: sockets and what hangs on them, descriptors, epoll's entries.
const SOCKET_SLABS: [&str; 8] = [
    "TCP",
    "TCPv6",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
];

/// Kernel memory of the machine at one instant.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct KernelMemory {
    pub(super) sockets: i64,
    pub(super) socket_bytes: i64,
    pub(super) slab_bytes: i64,
    pub(super) socket_slab_bytes: Option<i64>,
}

impl KernelMemory {
    /// What it is now; zeros where the kernel does not say.
    pub(super) fn now() -> Self {
        let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let sockstat6 = fs::read_to_string("/proc/net/sockstat6").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let page = rustix::param::page_size().cast_signed() as i64;
        Self::parse(&sockstat, &sockstat6, &meminfo, page)
    }

    /// The same, and the sockets' slabs by their names, which takes the kernel a walk.
    pub(super) fn by_slab() -> Self {
        let slabs = fs::read_to_string("/proc/slabinfo").ok();
        Self { socket_slab_bytes: slabs.as_deref().and_then(socket_slabs), ..Self::now() }
    }

    pub(super) fn parse(sockstat: &str, sockstat6: &str, meminfo: &str, page: i64) -> Self {
        let number = |text, line, key| {
            let values: &str = field(text, line)?;
            let mut words = values.split_ascii_whitespace().skip_while(|word| *word != key);
            words.nth(1)?.parse::<i64>().ok()
        };
        Self {
            sockets: number(sockstat, "TCP:", "inuse").unwrap_or(0)
                + number(sockstat6, "TCP6:", "inuse").unwrap_or(0),
            // One figure for both families.
            socket_bytes: number(sockstat, "TCP:", "mem").unwrap_or(0).saturating_mul(page),
            slab_bytes: kib_line(meminfo, "Slab:").unwrap_or(0).cast_signed(),
            socket_slab_bytes: None,
        }
    }

    pub(super) fn growth_to(self, later: Self) -> KernelGrowth {
        KernelGrowth {
            sockets: later.sockets - self.sockets,
            socket_bytes: later.socket_bytes - self.socket_bytes,
            slab_bytes: later.slab_bytes - self.slab_bytes,
            socket_slab_bytes: later
                .socket_slab_bytes
                .zip(self.socket_slab_bytes)
                .map(|(later, before)| later - before),
        }
    }
}

/// `slabinfo`, version 2: name, objects in use, objects, bytes of one (`slabinfo(5)`). `None` if it
/// has no such slab.
pub(super) fn socket_slabs(text: &str) -> Option<i64> {
    let bytes = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        words.next().filter(|name| SOCKET_SLABS.contains(name))?;
        let mut numbers = words.skip(1).map(str::parse::<i64>);
        numbers.next()?.ok()?.checked_mul(numbers.next()?.ok()?)
    };
    let mut found = text.lines().filter_map(bytes).peekable();
    found.peek()?;
    Some(found.fold(0, i64::saturating_add))
}

/// What follows `key` on the line that begins with it.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// `0-2,5` as 0, 1, 2, 5.
pub(super) fn cpu_list(text: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cores.extend(first..=last);
        }
    }
    cores
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} has another form than expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_times() {
        let times = (Duration::from_nanos(1_500), Duration::from_nanos(20));
        assert_eq!(schedstat("1500 20 3\n"), Some(times));
        assert_eq!(schedstat("1500\n"), None);
        assert_eq!(schedstat(""), None);
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 300 45 0 0 20 0 1";
        assert_eq!(stat_ticks(stat), Some(345));
        assert_eq!(stat_ticks("42 (a) S 1 2"), None);
    }

    #[test]
    fn thread_names() {
        assert!(is_numbered("loadgen-12", "loadgen-") && is_numbered("anything", ""));
        assert!(
            !["loadgen", "loadgen-", "loadgen-1a", "plimsoll-1"]
                .iter()
                .any(|name| is_numbered(name, "loadgen-"))
        );
    }

    #[test]
    fn core_lists() {
        assert_eq!(cpu_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(cpu_list("7"), [7]);
        assert!(cpu_list("").is_empty());
    }

    #[test]
    fn kernel_memory() {
        let sockstat =
            "sockets: used 9\nTCP: inuse 27 orphan 0 tw 4 alloc 30 mem 3\nUDP: inuse 1\n";
        let sockstat6 = "TCP6: inuse 2\n";
        let meminfo = "MemTotal: 16 kB\nSlab:            8 kB\n";
        let now = KernelMemory::parse(sockstat, sockstat6, meminfo, 4096);
        let found = (now.sockets, now.socket_bytes, now.slab_bytes, now.socket_slab_bytes);
        assert_eq!(found, (29, 12_288, 8_192, None));
        let slabs = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize>\n\
                     TCP 100 120 2432 13 8 : tunables\ntw_sock_TCP 9 9 9\nfilp 1 2 256 x\n";
        assert_eq!(socket_slabs(slabs), Some(120 * 2432 + 2 * 256));
        assert_eq!(socket_slabs("slabinfo - version: 2.1\nTCP x\n"), None);
        let growth = KernelMemory::default().growth_to(now);
        assert_eq!((growth.sockets, growth.slab_bytes), (29, 8_192));
        assert_eq!(KernelMemory::parse("", "", "", 4096), KernelMemory::default());
    }

    #[test]
    fn memory_of_this_process() {
        let bytes = resident_bytes(Path::new("/proc/self")).unwrap();
        assert!((100 << 10..10 << 30).contains(&bytes), "{bytes}");
        assert!(cpu_in_ticks(Path::new("/proc/self")).is_ok());
        assert_eq!(kib_line("Rss: 12 kB", "Rss:"), Some(12_288));
        assert_eq!(kib_line("Rss: 12 MB", "Rss:"), None);
    }
}
