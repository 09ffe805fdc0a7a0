//! What a machine gives, and whether the system as a whole can hold so many sockets.
//!
//! The limits of a process are the plan's affair. Here is what all processes share, and what nobody
//! raises from within a program: it is named before the first connection, with the command that
//! raises it.

use super::error::ConfigError;
use crate::limits;

/// What the machine gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Cores in the process's affinity mask; at least 1.
    pub cores: usize,
    /// Open files of one table: the hard limit, to which the soft one is raised.
    pub open_files: u64,
    /// Bytes of memory, if known.
    pub memory: Option<u64>,
    /// Whether each shard can have a descriptor table of its own. If not, all of them, and the rest
    /// of the process, share one.
    pub private_tables: bool,
    /// What the system allows all its processes together.
    pub system: System,
}

/// Bounds of the whole system. `None` where the kernel does not say, or does not hold us to it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct System {
    /// Open files: at most, and now (`fs.file-max`, `fs.file-nr`).
    pub files: Option<Use>,
    /// Sockets that one user may watch with epoll (`fs.epoll.max_user_watches`); those of other
    /// programs count too, but the kernel does not tell them.
    pub watches: Option<u64>,
    /// Connections tracked by the firewall: at most, and now. Only where it tracks any.
    pub tracked: Option<Use>,
}

impl System {
    /// The bounds alone.
    pub(super) fn with_nothing_taken(self) -> Self {
        let all = |bound: Use| Use { now: 0, ..bound };
        Self { files: self.files.map(all), watches: self.watches, tracked: self.tracked.map(all) }
    }
}

/// A bound and how much of it is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use {
    /// At most.
    pub most: u64,
    /// Now.
    pub now: u64,
}

/// Files and watches besides connections: polls, wakers, listeners, what other programs open.
const BESIDE: u64 = 10_000;

impl Machine {
    /// Whether the system as a whole can hold `sockets`, which `option` asks for by `asked`
    /// connections: one socket for each, or both ends of each if both are here.
    ///
    /// # Errors
    /// The first bound that is too low, and the command that raises it.
    pub fn hold(
        &self,
        option: &'static str,
        asked: usize,
        sockets: u64,
    ) -> Result<(), ConfigError> {
        let System { files, watches, tracked } = self.system;
        let bounds = [
            ("fs.file-max", files, "every socket is an open file"),
            (
                "fs.epoll.max_user_watches",
                watches.map(|most| Use { most, now: 0 }),
                "every socket is watched",
            ),
        ];
        for (name, bound, why) in bounds {
            let Some(Use { most, now }) = bound else { continue };
            let need = now.saturating_add(sockets).saturating_add(BESIDE);
            // A few are never short of it: the slack beside them is what other programs may take.
            if sockets > BESIDE && need > most {
                return Err(short(option, asked, sockets, name, Use { most, now }, need, why));
            }
        }
        if let Some(Use { most, now }) = tracked {
            let need = now.saturating_add(asked as u64);
            if need > most {
                let (name, why) =
                    ("net.netfilter.nf_conntrack_max", "the firewall tracks every connection");
                return Err(short(option, asked, sockets, name, Use { most, now }, need, why));
            }
        }
        Ok(())
    }
}

fn short(
    option: &'static str,
    asked: usize,
    sockets: u64,
    name: &str,
    Use { most, now }: Use,
    need: u64,
    why: &str,
) -> ConfigError {
    let taken = if now > 0 { format!(", of which {now} are taken") } else { String::new() };
    ConfigError::new(
        option,
        &asked.to_string(),
        format!("{sockets} sockets, and {name} is {most}{taken}: {why}"),
        format!("run as root: sysctl -w {name}={need}"),
    )
}

/// Descriptors of one shard's table that connections leave free: at least
/// [`limits::RESERVED_DESCRIPTORS`], and the wakers of all `shards`, those of as many shards of
/// another group in the same process, and some of its own.
pub fn reserved_descriptors(shards: usize) -> usize {
    /// Poll, timer, listener, the process's own files.
    const OWN: usize = 16;
    limits::RESERVED_DESCRIPTORS.max(2 * shards + OWN)
}

/// The line `NAME   1234 kB` of a file below `/proc`, in bytes; `name` with its colon.
pub fn kib_line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn machine(system: System) -> Machine {
        Machine { cores: 2, open_files: 20_000, memory: None, private_tables: true, system }
    }

    #[test]
    fn what_the_system_can_not_hold_is_named_with_its_command() {
        let files = Some(Use { most: 2_000_000, now: 600 });
        let tracked = Some(Use { most: 262_144, now: 5 });
        for (system, asked, sockets, expected) in [
            (
                System { files, ..System::default() },
                1_000_000,
                2_000_000,
                "-c '1000000': 2000000 sockets, and fs.file-max is 2000000, of which 600 are \
                 taken: every socket is an open file; run as root: sysctl -w fs.file-max=2010600",
            ),
            (
                System { watches: Some(900_000), ..System::default() },
                1_000_000,
                1_000_000,
                "-c '1000000': 1000000 sockets, and fs.epoll.max_user_watches is 900000: every \
                 socket is watched; run as root: sysctl -w fs.epoll.max_user_watches=1010000",
            ),
            (
                System { tracked, ..System::default() },
                300_000,
                600_000,
                "-c '300000': 600000 sockets, and net.netfilter.nf_conntrack_max is 262144, of \
                 which 5 are taken: the firewall tracks every connection; run as root: sysctl -w \
                 net.netfilter.nf_conntrack_max=300005",
            ),
        ] {
            let error = machine(system).hold("-c", asked, sockets).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn what_fits_or_is_unknown_passes() {
        let room = System {
            files: Some(Use { most: 2_466_183, now: 674 }),
            watches: Some(5_491_533),
            tracked: None,
        };
        assert_eq!(machine(room).hold("-c", 1_000_000, 2_000_000), Ok(()));
        assert_eq!(machine(System::default()).hold("-c", usize::MAX, u64::MAX), Ok(()));
        let tight = System { watches: Some(1000), ..System::default() };
        assert_eq!(machine(tight).hold("-c", 900, 1000), Ok(()), "left to the kernel to refuse");
    }

    #[test]
    fn a_table_keeps_room_for_the_wakers_of_all_shards() {
        assert_eq!(reserved_descriptors(1), 100);
        assert_eq!(reserved_descriptors(42), 100);
        assert_eq!(reserved_descriptors(56), 128);
        assert_eq!(reserved_descriptors(1024), 2064);
    }
}
