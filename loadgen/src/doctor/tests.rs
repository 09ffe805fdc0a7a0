//! Machines that lack one thing.

use super::*;
use crate::cli::Args;
use clap::Parser as _;
use plimsoll::config::{System, Use};
use std::path::PathBuf;

const SMALL: Machine = Machine {
    cores: 2,
    open_files: 20_000,
    memory: None,
    private_tables: true,
    system: System { files: Some(Use { most: 50_000, now: 600 }), watches: None, tracked: None },
};

/// A copied `/proc` and `/sys`, removed at its end.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("doctor-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(root)
    }

    fn examine(&self, line: &str) -> Vec<Finding> {
        examine(&plan(line), &SMALL, &Kernel::at(&self.0))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn plan(line: &str) -> Plan {
    let line = format!("loadgen {line}");
    Args::try_parse_from(line.split_ascii_whitespace()).unwrap().plan().unwrap()
}

#[track_caller]
fn named<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings.iter().find(|finding| finding.name == name).unwrap()
}

#[test]
fn what_is_short_is_named_with_its_command() {
    let tree = Tree::new(
        "short",
        &[
            ("proc/sys/net/core/somaxconn", "128"),
            ("proc/sys/net/ipv4/tcp_max_syn_backlog", "4096"),
            ("proc/sys/net/ipv4/tcp_mem", "1000 2000 3000"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
        ],
    );
    let findings = tree.examine("-c 100k");
    for (name, state, remedy) in [
        ("system's sockets", State::Short, "run as root: sysctl -w fs.file-max=210600"),
        ("net.core.somaxconn", State::Doubtful, "sysctl -w net.core.somaxconn=4096"),
        ("net.ipv4.tcp_mem", State::Doubtful, "sysctl -w net.ipv4.tcp_mem='200000 266666 400000'"),
        ("CPU governor", State::Doubtful, "cpupower frequency-set -g performance"),
    ] {
        let found = named(&findings, name);
        assert_eq!((found.state, found.remedy.as_deref()), (state, Some(remedy)), "{name}");
    }
    assert_eq!(named(&findings, "clock source").state, State::Doubtful);
    let enough = named(&findings, "net.ipv4.tcp_max_syn_backlog");
    assert_eq!((enough.state, &enough.remedy), (State::Enough, &None));
    let text = report(&findings, crate::report::Style::PLAIN);
    assert!(
        text.contains("short     system's sockets") && text.contains("it cannot carry the run: ")
    );
}

#[test]
fn a_run_and_the_doctor_say_the_same() {
    let tree = Tree::new("same", &[("proc/empty", "")]);
    let findings = tree.examine("-c 50k --source-ip 127.0.0.1");
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9001));
    let ports = named(&findings, "local ports");
    let error = sources::choose(&plan("--source-ip 127.0.0.1").sources, to, 50_000);
    let error = error.err().unwrap();
    assert_eq!((&ports.why, ports.remedy.clone()), (&error.to_string(), Some(error.remedy())));
    let findings = tree.examine("-c 100M -t 1");
    let error = shards::plan(Some(1), SMALL.cores, 100_000_000, SMALL.open_files).err().unwrap();
    let files = named(&findings, "open files");
    assert_eq!((&files.why, files.remedy.clone()), (&error.to_string(), Some(error.remedy())));
    // A run says what to do, too: the doctor's command stands in its own line.
    for found in [files, named(&findings, "memory")].into_iter().filter(|f| f.remedy.is_some()) {
        assert!(found.why.ends_with(found.remedy.as_deref().unwrap()), "{found:?}");
    }
}

#[test]
fn a_machine_that_says_nothing_is_unknown() {
    let tree = Tree::new("unknown", &[("proc/empty", "")]);
    let findings = tree.examine("-c 10");
    for name in ["net.core.somaxconn", "net.ipv4.tcp_mem", "clock source", "steal"] {
        assert_eq!(named(&findings, name).state, State::Unknown, "{name}");
    }
}

#[test]
fn tables_that_are_shared_hold_less() {
    let tree = Tree::new("tables", &[("proc/empty", "")]);
    let shared = Machine { private_tables: false, ..SMALL };
    let findings = examine(&plan("-c 20k"), &shared, &Kernel::at(&tree.0));
    let found = named(&findings, "open files");
    assert_eq!(found.state, State::Short);
    assert!(found.why.contains("private descriptor tables are refused"), "{}", found.why);
}

#[test]
fn memory_is_that_of_the_run() {
    let tree = Tree::new("memory", &[("proc/empty", "")]);
    let tiny = Machine { memory: Some(1 << 20), ..SMALL };
    let findings = examine(&plan("-c 100k"), &tiny, &Kernel::at(&tree.0));
    let error = memory::fit(100_000, true, Some(1 << 20)).unwrap_err();
    let found = named(&findings, "memory");
    assert_eq!((found.state, &found.why), (State::Short, &error.to_string()));
}

#[test]
fn a_server_elsewhere_is_asked_nothing() {
    let tree = Tree::new("elsewhere", &[("proc/empty", "")]);
    // Documentation's own addresses (RFC 5737): nobody is asked for anything.
    let findings = tree.examine("ws://192.0.2.1/ -c 1000");
    assert!(findings.iter().all(|finding| finding.name != "net.core.somaxconn"));
}
