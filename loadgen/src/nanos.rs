//! Times in a file: whole nanoseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// As much as 2^64 - 1 ns, 584 years; longer ones are that long.
fn whole(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Writes a duration.
pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    whole(*time).serialize(to)
}

/// Reads a duration.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_nanos)
}

/// An instant by the calendar: nanoseconds since 1970 (Unix time).
pub(crate) mod calendar {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes an instant; one before 1970 is none.
    #[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
    pub(crate) fn serialize<S: Serializer>(
        at: &Option<SystemTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(super::whole).serialize(to)
    }

    /// Reads an instant.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let since = Option::<u64>::deserialize(from)?;
        Ok(since.and_then(|ns| UNIX_EPOCH.checked_add(Duration::from_nanos(ns))))
    }
}
