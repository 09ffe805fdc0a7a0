//! What a subscriber heard of each publisher: new, doubled or out of order, by sequence number; and
//! how long each message took from the first subscriber to the last.

use crate::schedule::Nanos;

/// What one more delivery of a publisher's message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivery {
    /// The first time, and no later one came before it.
    Fresh,
    /// The first time, after a later one. So is all that comes more than 64 places late, of which
    /// nothing is remembered.
    Reordered,
    /// Not the first time.
    Duplicate,
}

/// One subscriber's memory of one publisher: the next number and a window of the last 64.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    next: u32,
    window: [u32; 2],
}

impl Heard {
    /// Message `sequence` was delivered.
    #[inline]
    pub(crate) fn hear(&mut self, sequence: u32) -> Delivery {
        // Bit k stands for number next - 1 - k.
        let window = u64::from(self.window[0]) | u64::from(self.window[1]) << 32;
        let (window, delivery) = if sequence >= self.next {
            // A peer may make numbers up: the last one there is has no next.
            let ahead = (sequence - self.next).saturating_add(1);
            self.next = sequence.saturating_add(1);
            (window.checked_shl(ahead).unwrap_or(0) | 1, Delivery::Fresh)
        } else {
            let bit = 1u64.checked_shl(self.next - 1 - sequence).unwrap_or(0);
            let known = window & bit != 0;
            (window | bit, if known { Delivery::Duplicate } else { Delivery::Reordered })
        };
        self.window = [window as u32, (window >> 32) as u32];
        delivery
    }
}

/// When a message reached its first and its last subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    first: Nanos,
    last: Nanos,
}

const UNHEARD: Span = Span { first: Nanos::MAX, last: 0 };

/// First and last receipt of every message, as far as this shard's subscribers saw them.
///
/// Every `stride`-th message of a publisher is kept, so that memory stays under its bound in a
/// long run.
#[derive(Debug)]
pub(crate) struct Spans {
    publishers: Vec<Vec<Span>>,
    stride: u32,
}

/// Messages whose spread one shard remembers, of 16 bytes each.
const SPANS: f64 = 1_000_000.0;

impl Spans {
    /// For this many publishers who send about `messages` in all.
    pub(crate) fn new(publishers: u32, messages: f64) -> Self {
        let stride = (messages / SPANS).ceil().clamp(1.0, f64::from(u32::MAX)) as u32;
        Self { publishers: vec![Vec::new(); publishers as usize], stride }
    }

    /// A delivery at `at`.
    #[inline]
    pub(crate) fn see(&mut self, publisher: u32, sequence: u32, at: Nanos) {
        if !sequence.is_multiple_of(self.stride) {
            return;
        }
        let index = (sequence / self.stride) as usize;
        // A peer may make numbers up: one far ahead must not reserve memory for all between.
        let spans = &mut self.publishers[publisher as usize];
        if index >= spans.len() {
            if index > spans.len() + SPANS as usize {
                return;
            }
            spans.resize(index + 1, UNHEARD);
        }
        let span = &mut spans[index];
        span.first = span.first.min(at);
        span.last = span.last.max(at);
    }

    /// Adds what another shard saw.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.publishers.iter_mut().zip(&other.publishers) {
            if mine.len() < theirs.len() {
                mine.resize(theirs.len(), UNHEARD);
            }
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                mine.first = mine.first.min(theirs.first);
                mine.last = mine.last.max(theirs.last);
            }
        }
    }

    /// Nanoseconds from the first receipt to the last, for each message that anybody received.
    pub(crate) fn widths(&self) -> impl Iterator<Item = Nanos> {
        let heard = self.publishers.iter().flatten().filter(|span| span.first <= span.last);
        heard.map(|span| span.last - span.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn deliveries_by_number() {
        use Delivery::{Duplicate, Fresh, Reordered};
        let mut heard = Heard::default();
        let story = [
            (0, Fresh),
            (1, Fresh),
            (1, Duplicate),
            (4, Fresh),
            (3, Reordered),
            (3, Duplicate),
            (0, Duplicate),
            (2, Reordered),
            (100, Fresh),
            (37, Reordered),
            (37, Duplicate),
            (36, Reordered),
        ];
        for (sequence, expected) in story {
            assert_eq!(heard.hear(sequence), expected, "{sequence}");
        }
        assert_eq!(size_of::<Heard>(), 12, "there is one for each subscriber and publisher");
    }

    #[test]
    fn numbers_that_nobody_sent() {
        let mut heard = Heard::default();
        assert_eq!(heard.hear(u32::MAX), Delivery::Fresh);
        assert_eq!(heard.hear(0), Delivery::Reordered);
        // No publisher gets that far: it only must not end the thread.
        heard.hear(u32::MAX);
    }

    #[test]
    fn spread_over_shards() {
        let (mut a, mut b) = (Spans::new(2, 10.0), Spans::new(2, 10.0));
        a.see(0, 0, 100);
        a.see(0, 0, 130);
        b.see(0, 0, 90);
        b.see(1, 3, 500);
        a.see(0, 1, 200);
        a.merge(&b);
        let mut widths: Vec<_> = a.widths().collect();
        widths.sort_unstable();
        assert_eq!(widths, [0, 0, 40], "what nobody heard has no width");
    }

    #[test]
    fn memory_is_bounded() {
        let mut spans = Spans::new(1, 2_000_000.0);
        for sequence in 0..2_000_000 {
            spans.see(0, sequence, 1);
        }
        assert_eq!(spans.widths().count(), 1_000_000);
        let mut lied_to = Spans::new(1, 10.0);
        lied_to.see(0, u32::MAX, 1);
        assert_eq!(lied_to.widths().count(), 0);
    }

    proptest! {
        /// Against a set of all numbers heard, for shuffles within the window.
        #[test]
        fn a_window_is_enough(sequences in proptest::collection::vec(0u32..60, 0..200)) {
            let mut heard = Heard::default();
            let mut all = HashSet::new();
            let mut highest = None;
            for sequence in sequences {
                let expected = match (all.insert(sequence), highest) {
                    (false, _) => Delivery::Duplicate,
                    (true, Some(top)) if sequence < top => Delivery::Reordered,
                    (true, _) => Delivery::Fresh,
                };
                prop_assert_eq!(heard.hear(sequence), expected);
                highest = highest.max(Some(sequence));
            }
        }
    }
}
