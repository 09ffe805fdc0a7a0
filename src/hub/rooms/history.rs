//! The newest publications of a room: bounded by count, by age and by bytes.

use std::collections::VecDeque;

use super::clock::Moment;
use crate::hub::namespace::Namespace;
use crate::limits;

/// One publication, as JSON: the protocol's `Publication`.
#[derive(Debug)]
struct Entry {
    at: Moment,
    json: Box<[u8]>,
}

/// The publications from offset `first` on, without a gap.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    /// Offset of the first entry.
    first: u64,
    bytes: usize,
}

/// What a publication costs beside its own bytes.
const OVERHEAD: usize = size_of::<Entry>() + 16;

impl History {
    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When its first entry is too old.
    pub(super) fn expires(&self, options: &Namespace) -> Option<Moment> {
        self.entries.front().map(|entry| entry.at.plus(options.history_ttl))
    }

    /// Lets go of what is too old.
    pub(super) fn age(&mut self, now: Moment, options: &Namespace) {
        while self.expires(options).is_some_and(|at| at <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.json.len() + OVERHEAD;
            self.first += 1;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Takes the publication with this offset, one above the last; and lets go of what is one too
    /// many, or of what `room` bytes do not hold.
    pub(super) fn add(
        &mut self,
        offset: u64,
        json: &[u8],
        now: Moment,
        options: &Namespace,
        room: usize,
    ) {
        if self.entries.is_empty() {
            self.first = offset;
        }
        debug_assert_eq!(self.first + self.entries.len() as u64, offset, "a gap in a history");
        self.entries.push_back(Entry { at: now, json: json.into() });
        self.bytes += json.len() + OVERHEAD;
        self.age(now, options);
        let room = room.min(limits::HISTORY_BYTES);
        while self.entries.len() > options.history_size || self.bytes > room {
            self.forget_first();
        }
    }

    /// The publications above an offset, if all of them are here: `top` is the offset of the last
    /// one that there was.
    pub(super) fn after(
        &self,
        offset: u64,
        top: u64,
    ) -> Option<impl Iterator<Item = &[u8]> + Clone> {
        let missed = top.checked_sub(offset)?;
        let skip = self.entries.len().checked_sub(usize::try_from(missed).ok()?)?;
        Some(self.entries.iter().skip(skip).map(|entry| &*entry.json))
    }

    /// The publications below an offset that are here, the newest first.
    pub(super) fn before(&self, offset: u64) -> impl Iterator<Item = &[u8]> {
        let below = offset.saturating_sub(self.first);
        let below = usize::try_from(below).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.iter().take(below).rev().map(|entry| &*entry.json)
    }

    /// All publications, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &*entry.json)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(history_size: usize) -> Namespace {
        let history_ttl = Duration::from_secs(10);
        Namespace { history_size, history_ttl, ..Namespace::default() }
    }

    fn add(history: &mut History, offset: u64, now: u32, options: &Namespace, room: usize) {
        let json = offset.to_string();
        history.add(offset, json.as_bytes(), Moment(now), options, room);
    }

    fn numbers<'h>(entries: impl Iterator<Item = &'h [u8]>) -> Vec<u64> {
        entries.map(|json| std::str::from_utf8(json).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn a_position_is_recovered_whole_or_not_at_all() {
        let (mut history, options) = (History::default(), options(3));
        assert_eq!(history.after(0, 0).map(numbers), Some(vec![]), "nothing was missed");
        assert!(history.after(1, 0).is_none(), "a position that was never reached");
        for offset in 1..=5 {
            add(&mut history, offset, 0, &options, 1 << 20);
        }
        let after = |offset| history.after(offset, 5).map(numbers);
        assert_eq!((after(5), after(4)), (Some(vec![]), Some(vec![5])));
        assert_eq!((after(2), after(1)), (Some(vec![3, 4, 5]), None));
        assert_eq!((after(0), after(6), after(u64::MAX)), (None, None, None));
        assert_eq!(numbers(history.all()), [3, 4, 5]);
        assert_eq!(numbers(history.before(5)), [4, 3]);
        assert_eq!(numbers(history.before(u64::MAX)), [5, 4, 3]);
        assert_eq!(numbers(history.before(0)), [0; 0]);
    }

    #[test]
    fn age_and_bytes_are_bounds_too() {
        let (mut history, options) = (History::default(), options(100));
        add(&mut history, 1, 0, &options, 1 << 20);
        add(&mut history, 2, 20, &options, 1 << 20);
        let expiry = history.expires(&options).unwrap();
        history.age(Moment(expiry.0 - 1), &options);
        assert_eq!(numbers(history.all()), [1, 2]);
        history.age(expiry, &options);
        assert_eq!(numbers(history.all()), [2]);
        let room = history.bytes() + 1;
        add(&mut history, 3, 21, &options, room);
        assert_eq!(numbers(history.all()), [3], "no room for two");
        add(&mut history, 4, 21, &options, 0);
        assert_eq!((numbers(history.all()), history.bytes()), (vec![], 0));
        assert!(history.after(3, 4).is_none() && history.after(4, 4).is_some());
        add(&mut history, 5, 22, &options, 1 << 20);
        assert_eq!(numbers(history.after(4, 5).unwrap()), [5]);
    }
}
