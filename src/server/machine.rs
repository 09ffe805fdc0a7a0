//! What this machine gives to the process: cores, open files, memory; and what the whole system is
//! held to.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Machine, System, Use, kib_line};
use crate::shard::private_tables;

/// Looks, and raises the soft limit of open files to the hard one: it stands low only for programs
/// that use `select`.
pub fn this_machine() -> Machine {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let open_files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(e) => {
            tracing::warn!(error = %e, "the open-file limit can not be raised to the hard limit");
            limit.current
        }
    };
    Machine {
        cores: cores(),
        // No limit is no number.
        open_files: open_files.unwrap_or(u64::MAX),
        memory: memory(),
        private_tables: private_tables(),
        system: system(|path| std::fs::read_to_string(format!("/proc/{path}")).ok()),
    }
}

/// Cores in the affinity mask, as shards are pinned to them.
fn cores() -> usize {
    let mask = core_affinity::get_core_ids().map_or(0, |cores| cores.len());
    if mask > 0 { mask } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// `CAP_SYS_ADMIN`, bit 21 (capabilities(7)): who has it may open files past `fs.file-max`.
const SYS_ADMIN: u64 = 1 << 21;

/// Bounds that all processes share. `read` gives a file of `/proc`.
fn system(read: impl Fn(&str) -> Option<String>) -> System {
    let status = read("self/status").unwrap_or_default();
    let privileged = effective_capabilities(&status).is_some_and(|caps| caps & SYS_ADMIN != 0);
    let number = |path: &str| read(path)?.trim().parse().ok();
    let tracked = Option::zip(
        number("sys/net/netfilter/nf_conntrack_max"),
        number("sys/net/netfilter/nf_conntrack_count"),
    );
    System {
        files: read("sys/fs/file-nr").and_then(|text| file_use(&text)).filter(|_| !privileged),
        watches: number("sys/fs/epoll/max_user_watches"),
        // Where nothing is tracked no rule asks for it, and the bound is nobody's.
        tracked: tracked.map(|(most, now)| Use { most, now }).filter(|bound| bound.now > 0),
    }
}

/// `file-nr`: open files, a zero, and the most there may be (`proc_sys_fs(5)`).
fn file_use(text: &str) -> Option<Use> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    let (now, most) = (numbers.next()?.ok()?, numbers.nth(1)?.ok()?);
    Some(Use { most, now })
}

/// The line `CapEff:  000001ffffffffff` of a process's status.
fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Bytes of memory that the process may use: the machine's, or a control group's if that is less.
fn memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    let groups = read("/proc/self/cgroup").map(|text| group_limits(&text)).unwrap_or_default();
    let bounds = groups.iter().filter_map(|path| read(path)?.trim().parse().ok());
    machine.into_iter().chain(bounds).min()
}

/// The files that may bound the memory of the process's control groups: its own and all above it,
/// for each hierarchy in `/proc/self/cgroup` (cgroups(7)).
fn group_limits(memberships: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in memberships.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let mut group = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{group}/{file}"));
            let Some((above, _)) = group.rsplit_once('/') else { break };
            group = above;
        }
    }
    files
}

/// The line `MemTotal:  8123456 kB`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    kib_line(meminfo, "MemTotal:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_cores_files_and_memory() {
        let machine = this_machine();
        assert!(machine.cores > 0 && machine.open_files > 0, "{machine:?}");
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum, "the soft limit is raised");
    }

    #[test]
    fn every_group_above_the_process_may_bound_its_memory() {
        assert_eq!(
            group_limits("0::/a/b\n"),
            ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max"]
                .into_iter()
                .chain(["/sys/fs/cgroup/memory.max"])
                .collect::<Vec<_>>()
        );
        let old = "9:name=systemd:/x\n4:cpu,memory:/a\nrubbish\n";
        let dir = "/sys/fs/cgroup/memory";
        let file = "memory.limit_in_bytes";
        assert_eq!(group_limits(old), [format!("{dir}/a/{file}"), format!("{dir}/{file}")]);
    }

    const STATUS: (&str, &str) =
        ("self/status", "Name:\tx\nCapPrm:\t0000000000200000\nCapEff:\t0000000000000001\n");
    const PRIVILEGED: (&str, &str) = ("self/status", "Name:\tx\nCapEff:\t0000000000200000\n");
    const FILES: (&str, &str) = ("sys/fs/file-nr", "674\t0\t2466183\n");
    const MOST: (&str, &str) = ("sys/net/netfilter/nf_conntrack_max", "262144\n");
    const COUNT: (&str, &str) = ("sys/net/netfilter/nf_conntrack_count", "5\n");

    #[test]
    fn bounds_of_the_system_as_the_kernel_writes_them() {
        let files = Some(Use { most: 2_466_183, now: 674 });
        let tracked = Some(Use { most: 262_144, now: 5 });
        let watches = ("sys/fs/epoll/max_user_watches", "5491533\n");
        let none = System::default();
        let cases: &[(&[(&str, &str)], System)] = &[
            (&[], none),
            (&[STATUS, FILES], System { files, ..none }),
            (&[FILES], System { files, ..none }),
            (&[PRIVILEGED, FILES], none),
            (&[("sys/fs/file-nr", "674\n")], none),
            (&[watches], System { watches: Some(5_491_533), ..none }),
            (&[("sys/fs/epoll/max_user_watches", "lots\n")], none),
            (&[MOST, COUNT], System { tracked, ..none }),
            (&[MOST, ("sys/net/netfilter/nf_conntrack_count", "0\n")], none),
            (&[MOST], none),
        ];
        for (files, expected) in cases {
            let read = |path: &str| {
                let (_, text) = files.iter().find(|(name, _)| *name == path)?;
                Some((*text).to_owned())
            };
            assert_eq!(system(read), *expected, "{files:?}");
        }
    }

    #[test]
    fn memory_in_bytes() {
        assert_eq!(total("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16_384));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert_eq!(total("MemTotal: lots\n"), None);
    }
}
