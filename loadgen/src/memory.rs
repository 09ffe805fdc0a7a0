//! Whether the machine has the memory that a run's connections need, looked at before the first of
//! them: a machine that runs out ends some process, seldom the one at fault.

use plimsoll::config::kib_line;

use crate::human::{bytes, grouped};

/// Kernel memory of one established, idle socket, in bytes: 8.2 to 8.4 KB of slab for a pair on
/// loopback were measured from 10,000 to a million of them (Linux 6.18).
const SOCKET_BYTES: u64 = 4_100;

/// User memory of one connection of the generator, its place in every list included, in bytes.
const LINK_BYTES: u64 = 200;

/// The run would not fit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "--connections {connections}: {} in the kernel and in the generator need {need}, and {have} of \
     memory are available: {}",
    if *both { "both ends of each" } else { "their sockets" },
    self.remedy()
)]
pub struct MemoryError {
    /// Connections asked for.
    connections: String,
    /// Whether the server is on this machine too.
    both: bool,
    /// What idle connections take.
    need: String,
    /// What may be taken.
    have: String,
    /// Connections that fit.
    most: String,
}

impl MemoryError {
    /// What to do, in the run's words and the doctor's.
    pub(crate) fn remedy(&self) -> String {
        format!("ask for {} at most, or free some", self.most)
    }
}

/// Whether `connections` fit into `available` bytes, `both` ends of them or one.
pub(crate) fn fit(connections: u32, both: bool, available: Option<u64>) -> Result<(), MemoryError> {
    let Some(have) = available else { return Ok(()) };
    let each = SOCKET_BYTES * if both { 2 } else { 1 } + LINK_BYTES;
    let need = u64::from(connections) * each;
    if need <= have {
        return Ok(());
    }
    Err(MemoryError {
        connections: connections.to_string(),
        both,
        need: bytes(need as f64),
        have: bytes(have as f64),
        most: grouped(have / each),
    })
}

/// Bytes that programs may still take without anything else being pushed out of memory, as the
/// kernel estimates it: at most what the process's control group may have.
pub(crate) fn available(limit: Option<u64>) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let available = parse_available(&text)?;
    Some(limit.map_or(available, |limit| available.min(limit)))
}

/// The line `MemAvailable:  8123456 kB`, in bytes.
fn parse_available(meminfo: &str) -> Option<u64> {
    kib_line(meminfo, "MemAvailable:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named_with_what_would() {
        assert_eq!(fit(1_000_000, true, Some(12 << 30)), Ok(()));
        assert_eq!(fit(1_000_000, false, Some(6 << 30)), Ok(()));
        assert_eq!(fit(u32::MAX, true, None), Ok(()), "unknown memory refuses nobody");
        let error = fit(1_000_000, true, Some(6 << 30)).unwrap_err().to_string();
        assert_eq!(
            error,
            "--connections 1000000: both ends of each in the kernel and in the generator need \
             7.82 GiB, and 6.00 GiB of memory are available: ask for 766,958 at most, or free some"
        );
        assert!(fit(766_958, true, Some(6 << 30)).is_ok());
        let error = fit(1_000_000, false, Some(1 << 30)).unwrap_err().to_string();
        assert!(error.contains("their sockets in the kernel"), "{error}");
    }

    #[test]
    fn available_memory_as_the_kernel_writes_it() {
        let meminfo = "MemTotal: 32 kB\nMemAvailable:       16 kB\n";
        assert_eq!(parse_available(meminfo), Some(16_384));
        assert_eq!(parse_available("MemTotal: 32 kB\n"), None);
        assert_eq!(parse_available("MemAvailable: much\n"), None);
        assert!(available(Some(1 << 20)).is_none_or(|bytes| bytes <= 1 << 20));
    }
}
