//! The built server as a process of its own: its descriptors, its CPU, its log.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

/// Killed when the test ends, however it ends.
pub(crate) struct Program {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["--listen", "127.0.0.1:0", "--admin", "off", "--no-pin"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.strip_prefix("listening on ws://").and_then(|l| l.split_once(' '));
        let addr = addr.unwrap_or_else(|| panic!("not the line: {line:?}")).0.parse().unwrap();
        Self { child, addr }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Lets the shard's table, and no table of the process, grow by so many descriptors. Gives the
    /// limit as it was.
    pub(crate) fn allow_more_files(&self, more: u64) -> Rlimit {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let shard = threads
            .map(|thread| thread.unwrap().path())
            .find(|path| fs::read_to_string(path.join("comm")).unwrap().ends_with("-0\n"))
            .expect("the first shard's thread");
        let numbers = fs::read_dir(shard.join("fd")).unwrap();
        let numbers: Vec<u64> =
            numbers.map(|fd| fd.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        // A limit bounds numbers, and a new descriptor takes the least that is free.
        let free = (0..).filter(|n| !numbers.contains(n)).take(more as usize);
        let limit = free.last().map_or(0, |last| last + 1);
        let before = self.allow_files(Rlimit { current: Some(limit), maximum: None });
        assert!(before.current > Some(limit), "{before:?}");
        before
    }

    /// Sets the limit of open files, and gives the one before. No hard limit leaves it as it is.
    pub(crate) fn allow_files(&self, limit: Rlimit) -> Rlimit {
        let now = rustix::process::getrlimit(Resource::Nofile);
        let maximum = limit.maximum.or(now.maximum);
        prlimit(Some(self.pid()), Resource::Nofile, Rlimit { maximum, ..limit }).unwrap()
    }

    /// CPU it has used so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // utime and stime are fields 14 and 15, in ticks of 10 ms; the state after the name is 3.
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Ends it, and gives all it has logged.
    pub(crate) fn log(mut self) -> String {
        kill_process(self.pid(), Signal::TERM).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(self.child.wait().unwrap().success(), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
