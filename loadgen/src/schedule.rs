//! The open loop: when each message is meant to be sent, decided before the first one is.
//!
//! Nothing here learns of a reply, so no late reply can move a send: that is the whole cure for
//! coordinated omission. Times are nanoseconds since the run's epoch. No clock is read here.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Nanoseconds since the run's epoch.
pub(crate) type Nanos = u64;

/// The exact distance between two sends: `num / den` nanoseconds, so that the 10,000,000th send
/// stands where it should and not where rounding took it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    num: u64,
    den: u64,
}

impl Gap {
    /// The gap of `rate` sends a second, taken to the nearest millionth of a send per second.
    pub(crate) fn per_second(rate: f64) -> Self {
        let micro = (rate * 1e6).round().clamp(1.0, 1e15);
        Self { num: 1_000_000_000_000_000, den: micro as u64 }
    }

    /// The gap at which `members` sends fill one `interval`.
    pub(crate) fn of_round(interval: Duration, members: u32) -> Self {
        let num = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { num, den: u64::from(members.max(1)) }
    }

    /// When send number `i` is due, in nanoseconds after the first.
    pub(crate) fn at(self, i: u64) -> Nanos {
        let ns = u128::from(i) * u128::from(self.num) / u128::from(self.den);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    fn mean(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

/// A rate that grows or falls in a straight line: of `n` sends at `r` a nanosecond that change by
/// `a` each nanosecond the last is at 2n / (r + sqrt(r^2 + 2an)), where r t + a t^2 / 2 is n.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Slope {
    /// Sends a nanosecond at its beginning.
    rate: f64,
    /// How much that changes each nanosecond.
    change: f64,
    /// Nanoseconds at the first rate before it begins, and the sends in them.
    lead: f64,
    before: f64,
}

impl Slope {
    /// From one rate a second to another, both above 0, within `lasts`; before it `lead`
    /// nanoseconds at the first.
    pub(crate) fn new(rate: f64, to: f64, lasts: Duration, lead: Nanos) -> Self {
        let (rate, to) = (rate / 1e9, to / 1e9);
        let change = (to - rate) / lasts.as_nanos() as f64;
        Self { rate, change, lead: lead as f64, before: lead as f64 * rate }
    }

    fn at(self, sends: f64) -> f64 {
        let n = sends - self.before;
        if n <= 0.0 {
            return sends / self.rate;
        }
        let root = self.rate * self.rate + 2.0 * self.change * n;
        // A falling rate has come to nothing: long after the slope's end.
        if root < 0.0 { f64::MAX } else { self.lead + 2.0 * n / (self.rate + root.sqrt()) }
    }
}

/// Where sends lie that are as even as their rate lets them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Line {
    /// All equally far apart.
    Even(Gap),
    /// Ever closer, or ever farther.
    Slope(Slope),
}

impl Line {
    /// When send number `i` is due, in nanoseconds after the first.
    fn at(self, i: u64) -> Nanos {
        match self {
            Self::Even(gap) => gap.at(i),
            Self::Slope(slope) => slope.at(i as f64) as Nanos,
        }
    }

    /// The same for the time between two sends.
    fn between(self, sends: f64) -> f64 {
        match self {
            Self::Even(gap) => sends * gap.mean(),
            Self::Slope(slope) => slope.at(sends),
        }
    }
}

/// One send that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Due {
    /// When it was meant to be sent.
    pub(crate) intended: Nanos,
    /// The connection, by its number in this shard.
    pub(crate) local: u32,
}

/// Which turn of a round belongs to member `j` of shard `s`; shard `t` has `counts[t]` members.
///
/// Members stand at the middle of equal parts of the round and are ranked by that place, so each
/// shard's turns are spread over the whole round and all shards together fill it without a gap.
pub(crate) fn turn_of(counts: &[u32], s: usize, j: u32) -> u64 {
    let mine = u64::from(counts[s]);
    let place = 2 * u64::from(j) + 1;
    let before = |(t, &n): (usize, &u32)| {
        let (quotient, rest) = (place * u64::from(n) / mine, place * u64::from(n) % mine);
        // Members k of shard t with (2k + 1) / n < place / mine; an equal place goes by shard.
        if rest > 0 || t < s { quotient.div_ceil(2) } else { quotient / 2 }
    };
    counts.iter().enumerate().map(before).sum()
}

/// Evenly spaced sends over all connections in turn, each connection once a round.
///
/// The shards hold disjoint turns of one common sequence: together they send exactly one message
/// each [`Gap`], whatever the number of shards. O(1) per send.
#[derive(Debug)]
pub(crate) struct Rotor {
    start: Nanos,
    line: Line,
    /// Members of a round over all shards.
    round: u64,
    /// This shard's turns in rising order, with the connection that each belongs to.
    turns: Box<[(u32, u32)]>,
    next: usize,
    base: u64,
    due: Nanos,
}

impl Rotor {
    /// `members` are this shard's connections; `counts` how many each shard has; `shard` this one.
    pub(crate) fn new(
        start: Nanos,
        line: Line,
        counts: &[u32],
        shard: usize,
        members: &[u32],
    ) -> Self {
        debug_assert_eq!(counts[shard] as usize, members.len());
        let turns = members.iter().zip(0..).map(|(&local, j)| {
            let turn = turn_of(counts, shard, j);
            (turn as u32, local)
        });
        let turns: Box<[_]> = turns.collect();
        let round = counts.iter().map(|&n| u64::from(n)).sum();
        let mut rotor = Self { start, line, round, turns, next: 0, base: 0, due: 0 };
        rotor.aim();
        rotor
    }

    fn aim(&mut self) {
        self.due = match self.turns.get(self.next) {
            Some(&(turn, _)) => {
                let at = self.line.at(self.base + u64::from(turn));
                self.start.saturating_add(at)
            }
            None => u64::MAX,
        };
    }

    fn take(&mut self) -> Due {
        let due = Due { intended: self.due, local: self.turns[self.next].1 };
        self.next += 1;
        if self.next == self.turns.len() {
            self.next = 0;
            self.base += self.round;
        }
        self.aim();
        due
    }
}

/// Everybody at once, once an interval.
#[derive(Debug)]
pub(crate) struct Volley {
    members: Box<[u32]>,
    next: usize,
    interval: Nanos,
    due: Nanos,
}

impl Volley {
    /// `members` are this shard's connections; the first volley is at `start`.
    pub(crate) fn new(start: Nanos, interval: Duration, members: &[u32]) -> Self {
        let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let due = if members.is_empty() { u64::MAX } else { start };
        Self { members: members.into(), next: 0, interval, due }
    }

    fn take(&mut self) -> Due {
        let due = Due { intended: self.due, local: self.members[self.next] };
        self.next += 1;
        if self.next == self.members.len() {
            (self.next, self.due) = (0, self.due.saturating_add(self.interval));
        }
        due
    }
}

/// Poisson arrivals: exponential gaps from a seed.
///
/// The sum of independent Poisson processes is one whose events fall on its parts at random in
/// proportion to their rates; so one process per shard with the connection drawn for each event is
/// the same thing as a process for each connection, in O(1) and without a heap.
#[derive(Debug)]
pub(crate) struct Poisson {
    members: Box<[u32]>,
    random: StdRng,
    line: Line,
    /// This shard's part of all sends.
    share: f64,
    /// Sends of all shards until now, as a double: exact to a nanosecond for 104 days.
    clock: f64,
    start: Nanos,
    due: Nanos,
}

impl Poisson {
    /// Arrivals after `start`, along `line` on average over all `everybody` connections.
    pub(crate) fn new(
        start: Nanos,
        line: Line,
        everybody: u64,
        members: &[u32],
        seed: u64,
    ) -> Self {
        let share = members.len().max(1) as f64 / everybody.max(1) as f64;
        let mut poisson = Self {
            members: members.into(),
            random: StdRng::seed_from_u64(seed),
            line,
            share,
            clock: 0.0,
            start,
            due: u64::MAX,
        };
        poisson.aim();
        poisson
    }

    fn aim(&mut self) {
        if !self.members.is_empty() {
            // 53 random bits in [0, 1): 1 - u is never zero, so the logarithm is finite.
            let u = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
            self.clock -= (1.0 - u).ln() / self.share;
            self.due = self.start.saturating_add(self.line.between(self.clock) as u64);
        }
    }

    fn take(&mut self) -> Due {
        let pick = below(&mut self.random, self.members.len() as u64);
        let due = Due { intended: self.due, local: self.members[pick as usize] };
        self.aim();
        due
    }
}

/// A random number below `n`; 0 if there is none.
pub(crate) fn below(random: &mut StdRng, n: u64) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(n)) >> 64) as u64
}

/// The sends of one shard in the order of their intended times.
#[derive(Debug, Default)]
pub(crate) enum Schedule {
    /// Nothing is ever due.
    #[default]
    Never,
    /// Evenly spaced.
    Uniform(Rotor),
    /// Exponential gaps.
    Poisson(Box<Poisson>),
    /// All at once.
    Volley(Volley),
}

impl Schedule {
    /// Random arrivals.
    pub(crate) fn poisson(poisson: Poisson) -> Self {
        Self::Poisson(Box::new(poisson))
    }

    /// The next intended time; `u64::MAX` when there is none.
    #[inline]
    pub(crate) fn next(&self) -> Nanos {
        match self {
            Self::Never => u64::MAX,
            Self::Uniform(rotor) => rotor.due,
            Self::Poisson(poisson) => poisson.due,
            Self::Volley(volley) => volley.due,
        }
    }

    /// The connections of this shard, each with the time of its first turn. Random ones have none.
    pub(crate) fn first_turns(&self) -> Vec<(u32, Nanos)> {
        match self {
            Self::Never | Self::Poisson(_) => Vec::new(),
            Self::Uniform(rotor) => {
                let time = |turn: u32| rotor.start.saturating_add(rotor.line.at(u64::from(turn)));
                rotor.turns.iter().map(|&(turn, local)| (local, time(turn))).collect()
            }
            Self::Volley(volley) => {
                volley.members.iter().map(|&local| (local, volley.due)).collect()
            }
        }
    }

    /// The next send, if it is due by `now` and before `until`.
    #[inline]
    pub(crate) fn take(&mut self, now: Nanos, until: Nanos) -> Option<Due> {
        let next = self.next();
        if next > now || next >= until {
            return None;
        }
        match self {
            Self::Never => None,
            Self::Uniform(rotor) => Some(rotor.take()),
            Self::Poisson(poisson) => Some(poisson.take()),
            Self::Volley(volley) => Some(volley.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Nanos = 1_000_000_000;

    /// The rotors of all shards over `counts`; connections are numbered per shard.
    fn rotors(start: Nanos, gap: Gap, counts: &[u32]) -> Vec<Schedule> {
        let one = |s: usize| {
            let members: Vec<u32> = (0..counts[s]).collect();
            Schedule::Uniform(Rotor::new(start, Line::Even(gap), counts, s, &members))
        };
        (0..counts.len()).map(one).collect()
    }

    fn all(schedules: &mut [Schedule], until: Nanos) -> Vec<(Nanos, usize, u32)> {
        let mut sends = Vec::new();
        for (s, schedule) in schedules.iter_mut().enumerate() {
            while let Some(due) = schedule.take(u64::MAX, until) {
                sends.push((due.intended, s, due.local));
            }
        }
        sends.sort_unstable();
        sends
    }

    #[test]
    fn exactly_the_rate_times_the_time() {
        for (rate, connections, shards, seconds) in [
            (2_000.0, 100_000, 6, 30),
            (1_000.0, 1_000, 2, 10),
            (3_333.0, 7, 3, 3),
            (0.5, 3, 2, 8),
            (150_000.0, 1_001, 4, 2),
        ] {
            let counts: Vec<u32> =
                (0..shards).map(|s| (connections + shards - 1 - s) / shards).collect();
            let expected = (rate * seconds as f64) as u64;
            let gap = Gap::per_second(rate);
            let mut schedules = rotors(SECOND, gap, &counts);
            let sends = all(&mut schedules, SECOND + seconds * SECOND);
            assert_eq!(sends.len() as u64, expected, "{rate}/s");
            for (i, send) in sends.iter().enumerate() {
                assert_eq!(send.0, SECOND + gap.at(i as u64), "send {i} at {rate}/s");
            }
        }
    }

    #[test]
    fn a_heartbeat_visits_each_connection_once_an_interval() {
        let interval = Duration::from_secs(30);
        let counts = [16_667, 16_667, 16_667, 16_667, 16_666, 16_666];
        let gap = Gap::of_round(interval, counts.iter().sum());
        let mut schedules = rotors(0, gap, &counts);
        let first = all(&mut schedules, 30 * SECOND);
        let second = all(&mut schedules, 60 * SECOND);
        assert_eq!((first.len(), second.len()), (100_000, 100_000));
        for (a, b) in first.iter().zip(&second) {
            assert_eq!((b.0 - a.0, b.1, b.2), (30 * SECOND, a.1, a.2));
        }
    }

    #[test]
    fn first_turns_are_what_is_taken_first() {
        let members = [7, 2, 9];
        let rotor = Rotor::new(SECOND, Line::Even(Gap::per_second(10.0)), &[2, 3], 1, &members);
        let mut schedule = Schedule::Uniform(rotor);
        let told = schedule.first_turns();
        let taken = (0..3).map(|_| schedule.take(u64::MAX, u64::MAX).unwrap());
        assert_eq!(told, taken.map(|due| (due.local, due.intended)).collect::<Vec<_>>());
    }

    /// Up and down, before and after a warm-up: counts in each part are the area under the line.
    #[test]
    fn a_slope_sends_the_area_below_it() {
        for (rate, to, lead, sums) in [
            (100.0, 300.0, 0, [150, 400]),
            (300.0, 100.0, 0, [250, 400]),
            (10.0, 1.0, 0, [8, 11]),
            (100.0, 300.0, 1, [250, 500]),
        ] {
            let slope = Slope::new(rate, to, Duration::from_secs(2), lead * SECOND);
            let rotor = Rotor::new(0, Line::Slope(slope), &[3], 0, &[0, 1, 2]);
            let sends = all(&mut [Schedule::Uniform(rotor)], (lead + 2) * SECOND);
            assert!(sends.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let half = sends.iter().filter(|send| send.0 < (lead + 1) * SECOND).count();
            for (count, sum) in [half, sends.len()].into_iter().zip(sums) {
                assert!(count.abs_diff(sum) <= 1, "{rate} to {to}: {count}, not {sum}");
            }
            let mut random = 0;
            for seed in 0..50 {
                let line = Line::Slope(slope);
                let mut schedule = Schedule::poisson(Poisson::new(0, line, 4, &[7, 8], seed));
                let until = (lead + 2) * SECOND;
                random += std::iter::from_fn(|| schedule.take(u64::MAX - 1, until)).count();
            }
            // Half of the members, 50 seeds: five deviations of the sum.
            let mean = sums[1] as f64 * 25.0;
            assert!((random as f64 - mean).abs() < 5.0 * mean.sqrt(), "{random} for {mean}");
        }
    }

    #[test]
    fn a_volley_is_everybody_at_once() {
        let interval = Duration::from_secs(3);
        let mut schedule = Schedule::Volley(Volley::new(SECOND, interval, &[4, 2]));
        assert_eq!(schedule.first_turns(), [(4, SECOND), (2, SECOND)]);
        let taken = std::iter::from_fn(|| schedule.take(u64::MAX, 7 * SECOND));
        let taken: Vec<_> = taken.map(|due| (due.intended / SECOND, due.local)).collect();
        assert_eq!(taken, [(1, 4), (1, 2), (4, 4), (4, 2)]);
        let mut nobody = Schedule::Volley(Volley::new(0, interval, &[]));
        assert_eq!((nobody.next(), nobody.take(u64::MAX - 1, u64::MAX)), (u64::MAX, None));
    }

    /// A sender that stalls for five seconds finds every send it missed at its own time.
    #[test]
    fn a_late_sender_moves_nothing() {
        let gap = Gap::per_second(1_000.0);
        let mut prompt = rotors(0, gap, &[10]);
        let mut stalled = rotors(0, gap, &[10]);
        let on_time = all(&mut prompt, 10 * SECOND);
        let mut late = Vec::new();
        let mut now = 0;
        while now < 10 * SECOND {
            now += if now == 2 * SECOND { 5 * SECOND } else { SECOND / 100 };
            while let Some(due) = stalled[0].take(now, 10 * SECOND) {
                late.push((due.intended, 0, due.local));
            }
        }
        assert_eq!(on_time, late);
    }

    #[test]
    fn an_empty_shard_sends_nothing() {
        let mut schedules = rotors(0, Gap::per_second(10.0), &[0, 4]);
        assert_eq!(schedules[0].next(), u64::MAX);
        assert_eq!(schedules[0].take(u64::MAX - 1, u64::MAX), None);
        assert_eq!(all(&mut schedules, SECOND).len(), 10);
        let mut nobody =
            Schedule::poisson(Poisson::new(0, Line::Even(Gap::per_second(1.0)), 0, &[], 1));
        assert_eq!(nobody.take(u64::MAX - 1, u64::MAX), None);
    }

    /// Count, mean gap and deviation of each connection's own arrivals: exponential has CV 1.
    #[test]
    fn poisson_is_poisson_for_each_connection() {
        let members: Vec<u32> = (0..4).collect();
        let gap = Gap::per_second(8_000.0);
        let mut schedule = Schedule::poisson(Poisson::new(0, Line::Even(gap), 8, &members, 42));
        let mut times = vec![Vec::new(); 4];
        let mut last = 0;
        while let Some(due) = schedule.take(u64::MAX, 10 * SECOND) {
            assert!(due.intended >= last);
            last = due.intended;
            times[due.local as usize].push(due.intended);
        }
        for (connection, times) in times.iter().enumerate() {
            // 1,000 a second each: 10,000 +- 4 sigma.
            assert!((9_600..10_400).contains(&times.len()), "{connection}: {}", times.len());
            let gaps: Vec<f64> = times.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let cv = variance.sqrt() / mean;
            assert!((0.95..1.05).contains(&cv), "{connection}: cv {cv}");
        }
    }

    /// Over 200 seeds the shards' events add up to the rate: within 4 sigma of the sum.
    #[test]
    fn poisson_adds_up_to_the_rate() {
        let mut events = 0;
        for seed in 0..200 {
            for members in [&[0, 1, 2][..], &[0]] {
                let gap = Gap::per_second(500.0);
                let mut schedule =
                    Schedule::poisson(Poisson::new(0, Line::Even(gap), 4, members, seed));
                events += std::iter::from_fn(|| schedule.take(u64::MAX, 3 * SECOND)).count();
            }
        }
        assert!((298_000..302_000).contains(&events), "{events} for 300,000");
    }

    #[test]
    fn a_seed_fixes_the_poisson_schedule() {
        let run = |seed| {
            let mut schedule = Schedule::poisson(Poisson::new(
                5,
                Line::Even(Gap::per_second(100.0)),
                3,
                &[7, 8, 9],
                seed,
            ));
            std::iter::from_fn(|| schedule.take(u64::MAX, SECOND)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    proptest! {
        /// Whatever the shards hold, their turns are 0..n without gap or double, rising in each.
        #[test]
        fn turns_fill_the_round(counts in proptest::collection::vec(0u32..40, 1..8)) {
            let mut seen = Vec::new();
            for s in 0..counts.len() {
                let turns: Vec<u64> = (0..counts[s]).map(|j| turn_of(&counts, s, j)).collect();
                prop_assert!(turns.windows(2).all(|w| w[0] < w[1]));
                seen.extend(turns);
            }
            seen.sort_unstable();
            let total: u64 = counts.iter().map(|&n| u64::from(n)).sum();
            prop_assert_eq!(seen, (0..total).collect::<Vec<_>>());
        }

        /// In any whole second after the start there are rate sends, one more or less.
        #[test]
        fn any_window_holds_its_share(
            rate in 1.0f64..5_000.0,
            counts in proptest::collection::vec(0u32..30, 1..5),
            from in 0u64..3 * SECOND,
        ) {
            prop_assume!(counts.iter().sum::<u32>() > 0);
            let mut schedules = rotors(0, Gap::per_second(rate), &counts);
            let sends = all(&mut schedules, from + SECOND);
            let inside = sends.iter().filter(|send| send.0 >= from).count() as f64;
            prop_assert!((inside - rate).abs() <= 1.0, "{} for {}", inside, rate);
        }

        /// However the pops are spread in time, the sequence is the same.
        #[test]
        fn only_the_order_of_pops_matters(
            steps in proptest::collection::vec(0u64..SECOND, 1..20),
        ) {
            let gap = Gap::per_second(997.0);
            let mut batch = rotors(3, gap, &[5, 2]);
            let mut steps_taken = rotors(3, gap, &[5, 2]);
            let mut now = 0;
            let mut sends = Vec::new();
            for step in steps {
                now += step;
                for (s, schedule) in steps_taken.iter_mut().enumerate() {
                    while let Some(due) = schedule.take(now, u64::MAX) {
                        prop_assert!(due.intended <= now);
                        sends.push((due.intended, s, due.local));
                    }
                }
            }
            sends.sort_unstable();
            prop_assert_eq!(all(&mut batch, now + 1), sends);
        }
    }
}
