//! When a connection that is away tries to come back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::StdRng;

use crate::cli::plan::Retry;
use crate::schedule::{Nanos, below};

/// The wait before attempt `attempt`, from 0 on.
pub(super) fn wait(retry: Retry, attempt: u32, random: &mut StdRng) -> Nanos {
    match retry {
        Retry::Fixed(wait) => wait.as_nanos() as Nanos,
        Retry::Backoff { base, cap } => {
            let (base, cap) = (base.as_nanos() as Nanos, cap.as_nanos() as Nanos);
            // From 2^63 times the base on any cap has been reached.
            let most = base.saturating_mul(1 << attempt.min(62)).min(cap);
            below(random, most + 1)
        }
    }
}

/// Attempts to come, the nearest first.
#[derive(Debug, Default)]
pub(super) struct Attempts(BinaryHeap<Reverse<(Nanos, u32)>>);

impl Attempts {
    /// One attempt of `local` at `at`.
    pub(super) fn push(&mut self, at: Nanos, local: u32) {
        self.0.push(Reverse((at, local)));
    }

    /// When the nearest is due.
    pub(super) fn next(&self) -> Nanos {
        self.0.peek().map_or(Nanos::MAX, |Reverse((at, _))| *at)
    }

    /// The nearest, if it is due.
    pub(super) fn take(&mut self, now: Nanos) -> Option<u32> {
        (self.next() <= now).then(|| self.0.pop())?.map(|Reverse((_, local))| local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use std::time::Duration;

    const MS: Nanos = 1_000_000;

    fn backoff(base: u64, cap: u64) -> Retry {
        let ms = Duration::from_millis;
        Retry::Backoff { base: ms(base), cap: ms(cap) }
    }

    /// Full jitter: each wait is anywhere between nothing and the doubled base, half of it on
    /// average, and never over the cap, however often it was tried.
    #[test]
    fn backoff_doubles_up_to_its_cap_with_full_jitter() {
        let mut random = StdRng::seed_from_u64(7);
        for (attempt, most) in [(0, 500), (1, 1000), (5, 16_000), (6, 20_000), (1000, 20_000)] {
            let waits: Vec<Nanos> =
                (0..10_000).map(|_| wait(backoff(500, 20_000), attempt, &mut random)).collect();
            let (longest, least) = (waits.iter().max().unwrap(), waits.iter().min().unwrap());
            assert!(*longest <= most * MS && *longest > most * MS / 100 * 99, "attempt {attempt}");
            assert!(*least < most * MS / 100, "attempt {attempt}");
            let mean = waits.iter().sum::<Nanos>() / 10_000;
            let off = mean.abs_diff(most * MS / 2);
            // 5 standard errors of a uniform's mean over 10,000: 1.44 % of its width.
            assert!(off < most * MS / 69, "attempt {attempt}: {mean}");
        }
    }

    #[test]
    fn a_fixed_wait_is_always_the_same_and_a_seed_fixes_the_others() {
        let mut random = StdRng::seed_from_u64(7);
        let fixed = Retry::Fixed(Duration::from_secs(4));
        assert!((0..9).all(|attempt| wait(fixed, attempt, &mut random) == 4000 * MS));
        let draw = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (0..20).map(|attempt| wait(backoff(1, 9000), attempt, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn attempts_come_in_the_order_of_their_times() {
        let mut attempts = Attempts::default();
        assert_eq!((attempts.next(), attempts.take(Nanos::MAX - 1)), (Nanos::MAX, None));
        for (at, local) in [(30, 1), (10, 2), (20, 3)] {
            attempts.push(at, local);
        }
        assert_eq!((attempts.next(), attempts.take(9)), (10, None));
        assert_eq!([25, 25, 25].map(|now| attempts.take(now)), [Some(2), Some(3), None]);
    }
}
