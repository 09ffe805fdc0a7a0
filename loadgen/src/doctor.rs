//! `loadgen doctor`: whether this machine can carry a run, before it is made. Changes nothing.
//!
//! Each finding names what there is, what is needed, and the command that gets it. What would stop
//! a run is found by the run's own planning, so both say the same words.

mod kernel;
mod text;

use std::net::{Ipv4Addr, SocketAddr};

use plimsoll::config::Machine;
use plimsoll::limits;

use crate::cli::plan::{Plan, Target};
use crate::human::{bytes, grouped};
use crate::{memory, shards, sources, target};
pub use kernel::Kernel;
use kernel::Sample;
pub use text::report;

/// What became of one check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is enough of it.
    Enough,
    /// It will make latencies worse or less certain.
    Doubtful,
    /// The run will fail, or measure this instead of the server.
    Short,
    /// It could not be read here.
    Unknown,
}

/// One check.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// Whether it suffices.
    pub state: State,
    /// What there is.
    pub now: String,
    /// What is needed and why.
    pub why: String,
    /// The command that gets it, if there is one.
    pub remedy: Option<String>,
}

/// What was found, as a document of schema `plimsoll.doctor/1`.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Findings<'a> {
    schema: &'static str,
    findings: &'a [Finding],
}

impl<'a> Findings<'a> {
    /// Of one look at a machine.
    pub fn of(findings: &'a [Finding]) -> Self {
        Self { schema: "plimsoll.doctor/1", findings }
    }
}

/// Pages of socket memory while one message of 4 KiB waits at an end.
const PAGES_PER_END: u64 = 2;
/// Other work on the machine from which figures suffer, of all cores.
const BUSY: f64 = 0.1;
/// Time that the host took away, from which figures suffer.
const STOLEN: f64 = 0.01;
/// Lateness of a timer (p99), in microseconds, from which a schedule is not kept.
const LATE_US: u64 = 1_000;

/// Every check, in the order in which a run would meet them. Takes half a second.
pub fn examine(plan: &Plan, machine: &Machine, kernel: &Kernel) -> Vec<Finding> {
    let here = Here::new(plan);
    let mut findings = vec![descriptors(plan, machine), here.system(machine), here.ports(plan)];
    if here.both {
        findings.extend(backlog(kernel));
    }
    findings.extend([here.memory(machine), here.buffers(kernel)]);
    let sample = kernel.sample();
    findings.extend([clock(kernel), timers(&sample), governor(kernel)]);
    findings.extend([steal(&sample), others(&sample), here.cores(machine)]);
    findings
}

/// What the plan means for this machine.
struct Here {
    connections: u32,
    /// The server's address, or why there is none.
    to: Result<Vec<SocketAddr>, String>,
    /// Whether both ends of each connection are on this machine.
    both: bool,
}

impl Here {
    fn new(plan: &Plan) -> Self {
        let to = match &plan.target {
            Target::Embedded { .. } => Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 9001))]),
            Target::Url(_) | Target::Urls(_) => {
                target::resolve_all(&plan.target).map_err(|error| error.to_string())
            }
        };
        let here = |to: &Vec<SocketAddr>| to.iter().any(|to| target::is_this_machine(*to));
        let both = to.as_ref().is_ok_and(here);
        Self { connections: plan.connections, to, both }
    }

    fn sockets(&self) -> u64 {
        u64::from(self.connections) * if self.both { 2 } else { 1 }
    }

    /// Bounds that all processes of the machine share.
    fn system(&self, machine: &Machine) -> Finding {
        let name = "system's sockets";
        let now = format!("{} needed", grouped(self.sockets()));
        match machine.hold("--connections", self.connections as usize, self.sockets()) {
            Ok(()) => {
                let why = "open files, epoll watches and tracked connections of all processes";
                finding(name, State::Enough, now, why)
            }
            Err(error) => short(name, now, &error, error.remedy.clone().into_owned()),
        }
    }

    fn memory(&self, machine: &Machine) -> Finding {
        let name = "memory";
        let available = memory::available(machine.memory);
        let now = available.map_or("not readable".to_owned(), |n| bytes(n as f64) + " available");
        match memory::fit(self.connections, self.both, available) {
            Err(error) => short(name, now, &error, error.remedy()),
            Ok(()) if available.is_none() => {
                finding(name, State::Unknown, now, "idle connections alone, kernel and user")
            }
            Ok(()) => finding(name, State::Enough, now, "idle connections alone, kernel and user"),
        }
    }

    fn buffers(&self, kernel: &Kernel) -> Finding {
        let pages = self.sockets() * PAGES_PER_END;
        let why = "pages for one unread message of 4 KiB at each end; past it the kernel drops";
        let mut buffers = setting(kernel, "net.ipv4.tcp_mem", pages, why);
        if let Some(remedy) = &mut buffers.remedy {
            let (low, pressure) = (pages / 2, pages * 2 / 3);
            *remedy = format!("sysctl -w net.ipv4.tcp_mem='{low} {pressure} {pages}'");
            // A bound on what waits unread: it is met only when readers fall behind.
            buffers.state = State::Doubtful;
        }
        buffers
    }

    fn cores(&self, machine: &Machine) -> Finding {
        let (name, now) = ("cores", machine.cores.to_string());
        match (self.both, machine.cores) {
            (false, _) => finding(name, State::Enough, now, "the server has a machine of its own"),
            (true, 1) => finding(
                name,
                State::Doubtful,
                now,
                "server and generator share one: a closed loop will be inconclusive, use --rate",
            ),
            _ => finding(name, State::Enough, now, "server and generator share them"),
        }
    }

    fn ports(&self, plan: &Plan) -> Finding {
        let name = "local ports";
        let to = match &self.to {
            Ok(to) => to,
            Err(why) => return finding(name, State::Short, "the server is not known", why),
        };
        match sources::for_servers(plan, to) {
            Ok(chosen) => {
                let ports = sources::local_ports().len();
                let each = sources::crowd(plan, to, &chosen);
                let most = chosen.iter().map(Vec::len).max().unwrap_or(0);
                let now = format!("{most} addresses of {ports} ports");
                let server = match to[..] {
                    [only] => only.to_string(),
                    _ => "each server".to_owned(),
                };
                let why = format!("{each} connections from each address to {server}");
                let scarce = each as usize > ports / 4 * 3;
                let state = if scarce { State::Doubtful } else { State::Enough };
                let remedy = "sysctl -w net.ipv4.ip_local_port_range='1024 65535'";
                Finding {
                    remedy: scarce.then(|| remedy.to_owned()),
                    ..finding(name, state, now, &why)
                }
            }
            Err(error) => {
                let now = format!("{} ports an address", sources::local_ports().len());
                short(name, now, &error, error.remedy())
            }
        }
    }
}

/// What would stop a run: the run's own words.
fn short(
    name: &'static str,
    now: impl Into<String>,
    error: &impl ToString,
    remedy: String,
) -> Finding {
    Finding { remedy: Some(remedy), ..finding(name, State::Short, now, &error.to_string()) }
}

fn finding(name: &'static str, state: State, now: impl Into<String>, why: &str) -> Finding {
    Finding { name, state, now: now.into(), why: why.to_owned(), remedy: None }
}

/// A kernel setting against a least value.
fn setting(kernel: &Kernel, name: &'static str, need: u64, why: &str) -> Finding {
    let Some(now) = kernel.sysctl(name).and_then(|values| values.last().copied()) else {
        return finding(name, State::Unknown, "not readable", why);
    };
    let state = if now >= need { State::Enough } else { State::Short };
    Finding {
        remedy: (now < need).then(|| format!("sysctl -w {name}={need}")),
        ..finding(name, state, grouped(now), &format!("at least {}: {why}", grouped(need)))
    }
}

fn descriptors(plan: &Plan, machine: &Machine) -> Finding {
    let limit = machine.open_files;
    let now = format!("hard limit {}", grouped(limit));
    let embedded = matches!(plan.target, Target::Embedded { .. });
    let own = shards::plan(plan.threads, machine.cores, plan.connections, limit).and_then(|own| {
        if !machine.private_tables {
            shards::fit_one_table(plan.connections, embedded, limit)?;
        }
        Ok(own)
    });
    match own {
        Ok(own) => {
            let why = format!(
                "{} generator threads with a table of their own, {} connections at most in each",
                own.count,
                grouped(own.capacity as u64)
            );
            finding("open files", State::Enough, now, &why)
        }
        Err(error) => short("open files", now, &error, error.remedy()),
    }
}

fn backlog(kernel: &Kernel) -> [Finding; 2] {
    let need = limits::BACKLOG as u64;
    let why = "the listener's backlog: a full one costs a second for each connect it drops";
    let half = "half-open connections of one listener, before SYN cookies";
    let doubtful = |found: Finding| match found.state {
        State::Short => Finding { state: State::Doubtful, ..found },
        _ => found,
    };
    [
        doubtful(setting(kernel, "net.core.somaxconn", need, why)),
        doubtful(setting(kernel, "net.ipv4.tcp_max_syn_backlog", need, half)),
    ]
}

fn clock(kernel: &Kernel) -> Finding {
    let name = "clock source";
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let Some(source) = kernel.text(path) else {
        return finding(name, State::Unknown, "not readable", "a slow clock costs at each message");
    };
    // These are read without a system call.
    let fast = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];
    if fast.contains(&source.as_str()) {
        return finding(name, State::Enough, source, "read without a system call");
    }
    Finding {
        remedy: Some(format!("echo tsc > {path}")),
        ..finding(name, State::Doubtful, source, "each reading is a system call of a microsecond")
    }
}

fn timers(sample: &Sample) -> Finding {
    let late = sample.timer_p99_us;
    let now = format!("{late} us late (p99)");
    if late < LATE_US {
        return finding("timers", State::Enough, now, "an open loop wakes for each message");
    }
    let why = "messages would leave late by so much, and the run would be generator_bound";
    let remedy = Some("stop what else runs, or give loadgen cores of its own (taskset)".to_owned());
    Finding { remedy, ..finding("timers", State::Short, now, why) }
}

fn governor(kernel: &Kernel) -> Finding {
    let name = "CPU governor";
    match kernel.text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") {
        None => finding(name, State::Enough, "none", "the clock is the host's or fixed"),
        Some(now) if now == "performance" => finding(name, State::Enough, now, "a steady clock"),
        Some(now) => Finding {
            remedy: Some("cpupower frequency-set -g performance".to_owned()),
            ..finding(name, State::Doubtful, now, "a clock that climbs in a run shows as latency")
        },
    }
}

fn steal(sample: &Sample) -> Finding {
    let why = "time that the host gave to others while we wanted to run";
    let now = |share: f64| format!("{:.1} %", share * 100.0);
    let remedy = "use a machine of your own, or measure longer";
    of_all_time("steal", sample.steal.map(|share| (share < STOLEN, now(share))), why, remedy)
}

fn others(sample: &Sample) -> Finding {
    let why = "what else runs takes cores from both sides";
    let now = |share: f64| format!("{:.0} % of all cores", share * 100.0);
    let busy = sample.busy.map(|share| (share < BUSY, now(share)));
    of_all_time("other work", busy, why, "stop it: top shows it")
}

/// A share of the cores' time: whether it is small enough, and how it reads.
fn of_all_time(
    name: &'static str,
    share: Option<(bool, String)>,
    why: &str,
    remedy: &str,
) -> Finding {
    match share {
        None => finding(name, State::Unknown, "not readable", why),
        Some((true, now)) => finding(name, State::Enough, now, why),
        Some((false, now)) => {
            Finding { remedy: Some(remedy.to_owned()), ..finding(name, State::Doubtful, now, why) }
        }
    }
}

#[cfg(test)]
mod tests;
