//! How far two runs differ beyond their noise: a bootstrap over blocks of windows.
//!
//! Replies of one second share its stalls, and neighbouring seconds share theirs: neither are
//! independent draws, and an interval that took them for such would be far too narrow. What is
//! drawn again, with replacement, are therefore stretches of neighbouring windows (moving blocks;
//! Kuensch, 1989), one and a half times the cube root of their number long, circular so that none
//! counts less than others (Politis and Romano, 1992). The interval is that of the draws'
//! percentiles, widened for few blocks as a t interval is (Hesterberg, 2015, "expanded
//! percentile").
//!
//! Of several runs on one side whole runs are drawn first. What differs from run to run is seen
//! once for each run, though, not once for each block: the interval is therefore no narrower than
//! Student's, of one figure for each run with one variance for both sides.
//!
//! A tail that a handful of stalls decide is too much even for that: such an interval leaves out 1
//! more often than it says. So chance is asked directly as well: if both sides were one, any other
//! share-out of all blocks among them would have been as likely (permutation test), and what is
//! found must be rare among those. Of several runs whole runs are shared out, if there are enough
//! that one share-out of them can be rare; else the interval alone knows of runs. What cannot be
//! rare, with so few blocks, is said: nothing could ever be found then.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::student::{normal, student};

/// Seed of all draws: the same files give the same answer.
const SEED: u64 = 0x5EED;

/// Draws: the interval's ends are then far surer than the interval is wide.
const DRAWS: usize = 1000;

/// Draws of which are expected beyond each end of the interval, at the least.
const BEYOND: f64 = 5.0;

/// Most draws: a comparison takes seconds, not minutes.
const MOST_DRAWS: usize = 100_000;

/// Windows of a run beyond which chance is rare enough for whatever can be asked.
const MOST_WINDOWS: usize = 1000;

/// Logarithms this near are of one ratio.
const EQUAL: f64 = 1e-12;

/// One window: its replies as (value, count), and its length in seconds.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Window {
    /// In the order of the values.
    pub(super) values: Vec<(u64, u64)>,
    /// Above 0.
    pub(super) seconds: f64,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Figure {
    /// The value that this share of the replies, 0 to 1, does not exceed.
    Quantile(f64),
    /// Replies a second.
    Rate,
}

/// A figure of both sides, and how sure their ratio is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Ratio {
    pub(super) a: f64,
    pub(super) b: f64,
    /// B over A may be as low as this.
    pub(super) low: f64,
    /// Or as high.
    pub(super) high: f64,
    /// Share of the share-outs by chance in which the ratio is as high as here, 0 to 1.
    pub(super) chance_higher: f64,
    /// Or as low.
    pub(super) chance_lower: f64,
    /// The least that chance can be, with so many blocks or runs to share out.
    pub(super) least_chance: f64,
}

/// How sure it shall be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Level {
    /// Of the interval, 0 to 1.
    pub(super) confidence: f64,
    /// Draws.
    pub(super) draws: usize,
}

impl Level {
    /// With as many draws as such a confidence needs.
    pub(super) fn of(confidence: f64) -> Self {
        let needed = (BEYOND / doubt(confidence)).ceil() as usize;
        Self { confidence, draws: needed.clamp(DRAWS, MOST_DRAWS) }
    }

    /// What chance may be at the most, of either side.
    pub(super) fn doubt(self) -> f64 {
        doubt(self.confidence)
    }
}

fn doubt(confidence: f64) -> f64 {
    (1.0 - confidence) / 2.0
}

/// Both sides, over the values that occur in any window.
struct Table {
    values: Vec<u64>,
    a: Side,
    b: Side,
}

/// The runs of one side.
struct Side(Vec<Vec<Counts>>);

/// A window by places in [`Table::values`].
struct Counts {
    places: Vec<(u32, u64)>,
    seconds: f64,
}

/// Windows added up.
struct Sum {
    counts: Vec<u64>,
    seconds: f64,
}

/// Every figure's ratio. `None` if a side, or one of its runs, has no reply.
pub(super) fn ratios(
    a: &[Vec<Window>],
    b: &[Vec<Window>],
    figures: &[Figure],
    level: Level,
) -> Option<Vec<Ratio>> {
    let table = Table::new(a, b)?;
    let random = &mut StdRng::seed_from_u64(SEED);
    let mut sampled = vec![Vec::with_capacity(level.draws); figures.len()];
    for _ in 0..level.draws {
        let sums = [table.draw(&table.a, random), table.draw(&table.b, random)];
        table.log_ratios(&sums, figures, &mut sampled);
    }
    let mut dealt = vec![Vec::new(); figures.len()];
    let least_chance = table.deal(figures, level, &mut dealt, random);
    let whole = [table.whole(&table.a), table.whole(&table.b)];
    let widen = widening(table.a.blocks().min(table.b.blocks()), level.confidence);
    let ratio = |(figure, (mut sampled, dealt)): (&Figure, (Vec<f64>, Vec<f64>))| {
        let [a, b] = [table.figure(&whole[0], *figure)?, table.figure(&whole[1], *figure)?];
        let centre = (b / a).ln();
        sampled.sort_by(f64::total_cmp);
        let end = |share: f64| {
            let at = (sampled.len().checked_sub(1)? as f64 * share).round() as usize;
            Some((sampled.get(at)? - centre) * widen)
        };
        let runs = table.between_runs(*figure, level.confidence)?;
        let chance = |as_far: &dyn Fn(f64) -> bool| {
            let far = dealt.iter().filter(|log| as_far(**log)).count();
            far as f64 / dealt.len().max(1) as f64
        };
        Some(Ratio {
            a,
            b,
            low: (centre + end(level.doubt())?.min(-runs)).exp(),
            high: (centre + end(1.0 - level.doubt())?.max(runs)).exp(),
            chance_higher: chance(&|log| log >= centre - EQUAL),
            chance_lower: chance(&|log| log <= centre + EQUAL),
            least_chance,
        })
    };
    figures.iter().zip(sampled.into_iter().zip(dealt)).map(ratio).collect()
}

/// In how many ways so many can be shared out, `a` of them to one side.
fn share_outs(all: usize, a: usize) -> f64 {
    (0..a.min(all - a)).map(|at| (all - at) as f64 / (at + 1) as f64).product::<f64>().round()
}

/// Windows that each of two runs must have for chance to be as rare as that.
pub(super) fn windows_needed(doubt: f64) -> usize {
    let rare = |windows: &usize| {
        let blocks = windows.div_ceil(block(*windows));
        share_outs(2 * blocks, blocks) * doubt >= 1.0
    };
    // Blocks grow with the run, so that a longer one may have fewer of them.
    1 + (1..=MOST_WINDOWS).rfind(|windows| !rare(windows)).unwrap_or_default()
}

impl Table {
    fn new(a: &[Vec<Window>], b: &[Vec<Window>]) -> Option<Self> {
        let all = a.iter().chain(b).flatten().flat_map(|window| &window.values);
        let mut values: Vec<u64> = all.map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        let empty = |runs: &[Vec<Window>]| runs.is_empty() || runs.iter().any(Vec::is_empty);
        if values.is_empty() || empty(a) || empty(b) {
            return None;
        }
        let place = |value: &u64| values.binary_search(value).unwrap_or_default() as u32;
        let counts = |window: &Window| Counts {
            places: window.values.iter().map(|(value, count)| (place(value), *count)).collect(),
            seconds: window.seconds,
        };
        let side = |runs: &[Vec<Window>]| {
            Side(runs.iter().map(|run| run.iter().map(counts).collect()).collect())
        };
        let (a, b) = (side(a), side(b));
        Some(Self { values, a, b })
    }

    /// As many windows as a side has, drawn from it.
    fn draw(&self, side: &Side, random: &mut StdRng) -> Sum {
        let mut sum = self.nothing();
        let runs = &side.0;
        for at in 0..runs.len() {
            let run = if runs.len() > 1 { random.random_range(0..runs.len()) } else { at };
            let run = &runs[run];
            let length = block(run.len());
            let mut left = run.len();
            while left > 0 {
                let start = random.random_range(0..run.len());
                for step in 0..length.min(left) {
                    sum.add(&run[(start + step) % run.len()]);
                }
                left -= length.min(left);
            }
        }
        sum
    }

    /// Shares out the runs of both sides among them, or their blocks where the runs are too few:
    /// each side gets as many as it has. Every way once if they are no more than the draws, else
    /// as many by chance, beside the one that is. How rare one of them is.
    fn deal(
        &self,
        figures: &[Figure],
        level: Level,
        to: &mut [Vec<f64>],
        random: &mut StdRng,
    ) -> f64 {
        let (runs_a, runs_b) = (self.a.0.len(), self.b.0.len());
        let by_runs = share_outs(runs_a + runs_b, runs_a) * level.doubt() >= 1.0;
        let (mut all, others) = if by_runs {
            (self.a.runs().collect::<Vec<_>>(), self.b.runs().collect::<Vec<_>>())
        } else {
            (self.a.cut().collect(), self.b.cut().collect())
        };
        let of_a = all.len();
        all.extend(others);
        let ways = share_outs(all.len(), of_a);
        let mut share_out = |is_a: &mut dyn FnMut(usize) -> bool| {
            let mut sums = [self.nothing(), self.nothing()];
            for (at, windows) in all.iter().enumerate() {
                let sum = &mut sums[usize::from(!is_a(at))];
                windows.iter().for_each(|window| sum.add(window));
            }
            self.log_ratios(&sums, figures, to);
        };
        if ways <= level.draws as f64 {
            let mut those_of_a: Vec<usize> = (0..of_a).collect();
            loop {
                share_out(&mut |at| those_of_a.binary_search(&at).is_ok());
                if !next_choice(&mut those_of_a, all.len()) {
                    return 1.0 / ways;
                }
            }
        }
        share_out(&mut |at| at < of_a);
        for _ in 0..level.draws {
            let mut left = of_a;
            // Selection sampling: each share-out is as likely as any other (Knuth, 3.4.2 S).
            share_out(&mut |at| {
                let to_a = random.random_range(0..all.len() - at) < left;
                left -= usize::from(to_a);
                to_a
            });
        }
        1.0 / (level.draws + 1) as f64
    }

    /// How far the ratio's logarithm may be from the truth by what differs from run to run; 0 if
    /// each side has but one, which says nothing of that. `None` if a run has no reply.
    fn between_runs(&self, figure: Figure, confidence: f64) -> Option<f64> {
        let free = self.a.0.len() + self.b.0.len() - 2;
        if free == 0 {
            return Some(0.0);
        }
        let (mut squares, mut shares) = (0.0, 0.0);
        for side in [&self.a, &self.b] {
            let log = |run: &[Counts]| Some(self.figure(&self.sum(run), figure)?.ln());
            let logs: Vec<f64> = side.runs().map(log).collect::<Option<_>>()?;
            let count = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / count;
            squares += logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
            shares += 1.0 / count;
        }
        Some(student(free, confidence) * (squares / free as f64 * shares).sqrt())
    }

    fn whole(&self, side: &Side) -> Sum {
        self.sum(side.0.iter().flatten())
    }

    fn sum<'a>(&self, windows: impl IntoIterator<Item = &'a Counts>) -> Sum {
        let mut sum = self.nothing();
        windows.into_iter().for_each(|window| sum.add(window));
        sum
    }

    fn nothing(&self) -> Sum {
        Sum { counts: vec![0; self.values.len()], seconds: 0.0 }
    }

    /// Adds each figure's ratio, as its logarithm. Windows without a reply have none.
    fn log_ratios(&self, [a, b]: &[Sum; 2], figures: &[Figure], to: &mut [Vec<f64>]) {
        for (to, figure) in to.iter_mut().zip(figures) {
            if let (Some(a), Some(b)) = (self.figure(a, *figure), self.figure(b, *figure)) {
                to.push((b / a).ln());
            }
        }
    }

    /// `None` without a reply. A percentile is at least 1, so that ratios exist.
    fn figure(&self, sum: &Sum, figure: Figure) -> Option<f64> {
        let all: u64 = sum.counts.iter().sum();
        let Figure::Quantile(quantile) = figure else {
            return Some(all as f64 / sum.seconds).filter(|rate| *rate > 0.0);
        };
        let wanted = ((all as f64 * quantile).ceil() as u64).clamp(1, all.max(1));
        let mut seen = 0;
        let place = sum.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(self.values[place].max(1) as f64)
    }
}

/// The next choice, in the order of the alphabet, of so many from `all`; false after the last.
fn next_choice(chosen: &mut [usize], all: usize) -> bool {
    let count = chosen.len();
    let Some(at) = (0..count).rev().find(|at| chosen[*at] + count < all + at) else {
        return false;
    };
    let first = chosen[at] + 1;
    (at..count).for_each(|place| chosen[place] = first + place - at);
    true
}

impl Side {
    /// Its runs, each with all its windows.
    fn runs(&self) -> impl Iterator<Item = &[Counts]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Its windows in blocks of neighbours.
    fn cut(&self) -> impl Iterator<Item = &[Counts]> {
        self.0.iter().flat_map(|run| run.chunks(block(run.len())))
    }

    /// Blocks that there are to draw from.
    fn blocks(&self) -> usize {
        self.0.iter().map(|run| run.len() / block(run.len())).sum()
    }
}

impl Sum {
    fn add(&mut self, window: &Counts) {
        for (place, count) in &window.places {
            self.counts[*place as usize] += count;
        }
        self.seconds += window.seconds;
    }
}

/// Fewest blocks: five of each side can be shared out in 252 ways, so that one is rare.
const BLOCKS: usize = 5;

/// Windows of one block.
fn block(windows: usize) -> usize {
    let length = (1.5 * (windows as f64).cbrt()).round() as usize;
    length.min(windows / BLOCKS).max(1)
}

/// How much wider than the draws' own interval one of so few blocks must be: their variance is
/// `(n - 1) / n` of what it should be, and is itself uncertain, as Student's t knows.
fn widening(blocks: usize, confidence: f64) -> f64 {
    let free = blocks.saturating_sub(1).max(1);
    let z = normal(f64::midpoint(1.0, confidence));
    student(free, confidence) / z * ((free + 1) as f64 / free as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server whose replies take about a millisecond, and whose stalls are shared by all replies
    /// of a second, often by those of the next one too.
    fn run(random: &mut StdRng, windows: usize, slower: f64) -> Vec<Window> {
        let mut stalled = false;
        let window = |_| {
            stalled = random.random_bool(if stalled { 0.4 } else { 0.1 });
            let pace = slower * if stalled { 3.0 } else { random.random_range(0.9..1.1) };
            let reply = |random: &mut StdRng| {
                let exponential = -(1.0 - random.random::<f64>()).ln();
                ((0.5 + 0.5 * exponential) * pace * 100.0).round() as u64 * 10_000
            };
            let mut values: Vec<(u64, u64)> = (0..60).map(|_| (reply(random), 1)).collect();
            values.sort_unstable();
            Window { values, seconds: 1.0 }
        };
        (0..windows).map(window).collect()
    }

    const FIGURES: [Figure; 3] = [Figure::Quantile(0.5), Figure::Quantile(0.99), Figure::Rate];

    /// So many draws at 95 %.
    fn draws(draws: usize) -> Level {
        Level { confidence: 0.95, draws }
    }

    /// Of so many pairs of runs, in how many B seems worse than A, by median and 99th percentile.
    /// Each run has a pace of its own, which may be so much longer or shorter than 1.
    fn alarms(trials: u64, runs: usize, windows: usize, drift: f64) -> [u64; 2] {
        let mut alarms = [0; 2];
        for trial in 0..trials {
            let random = &mut StdRng::seed_from_u64(trial);
            let mut side = || {
                let one = |_| {
                    let pace = 1.0 + drift * (2.0 * random.random::<f64>() - 1.0);
                    run(random, windows, pace)
                };
                (0..runs).map(one).collect::<Vec<_>>()
            };
            let (a, b) = (side(), side());
            let found = ratios(&a, &b, &FIGURES, draws(200)).unwrap();
            for (alarms, ratio) in alarms.iter_mut().zip(found) {
                *alarms += u64::from(ratio.low > 1.0 && ratio.chance_higher <= 0.025);
            }
        }
        alarms
    }

    /// Two draws of one distribution seem different as seldom as the confidence says, although a
    /// stall spoils a whole second and often the next: 5 of 100, of which half would be worse.
    /// Runs that drift by a fifth are no difference of the sides either.
    #[test]
    fn what_is_the_same_is_seldom_called_worse() {
        for (trials, runs, windows, drift) in
            [(200, 1, 20, 0.0), (60, 3, 10, 0.0), (100, 2, 10, 0.2), (60, 4, 10, 0.2)]
        {
            let found = alarms(trials, runs, windows, drift);
            assert!(found.iter().all(|alarms| *alarms <= trials / 20), "{found:?} of {trials}");
        }
    }

    /// The same replies, each taken for a draw of its own: what correlation would do to an interval
    /// that ignored it. It is what the blocks are for.
    #[test]
    fn replies_alone_would_raise_false_alarms() {
        let (mut alone, mut blocks) = (0, 0);
        for trial in 0..40 {
            let random = &mut StdRng::seed_from_u64(trial);
            let (a, b) = (run(random, 20, 1.0), run(random, 20, 1.0));
            let apart = |run: &[Window]| {
                let each = run.iter().flat_map(|window| &window.values);
                let window = |value: &(u64, u64)| Window { values: vec![*value], seconds: 1.0 };
                // In no order in which neighbours could be alike.
                let mut apart: Vec<Window> = each.map(window).collect();
                apart.sort_by_key(|window| window.values[0].0.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                apart
            };
            let worse = |a: Vec<Window>, b: Vec<Window>| {
                let found = ratios(&[a], &[b], &[Figure::Quantile(0.9)], draws(100)).unwrap()[0];
                let doubt = 0.025;
                let worse = found.low > 1.0 && found.chance_higher <= doubt;
                u32::from(worse || (found.high < 1.0 && found.chance_lower <= doubt))
            };
            alone += worse(apart(&a), apart(&b));
            blocks += worse(a, b);
        }
        assert!(alone >= 10 && blocks <= 4, "alone {alone}, in blocks {blocks}, of 40");
    }

    /// A tenth more on every reply, with the noise that a quiet machine has.
    #[test]
    fn a_tenth_is_found() {
        let mut found = 0;
        for trial in 0..20 {
            let random = &mut StdRng::seed_from_u64(trial);
            let mut side = |slower: f64| {
                let mut one = run(random, 60, slower);
                // Without the stalls.
                one.retain(|window| window.values[30].0 < 1_800_000);
                one
            };
            let (a, b) = (side(1.0), side(1.1));
            let ratio = ratios(&[a], &[b], &FIGURES[..1], draws(200)).unwrap()[0];
            assert!(ratio.low < 1.2 && ratio.high > 1.0, "{ratio:?}");
            found += u32::from(ratio.low > 1.0 && ratio.chance_higher <= 0.025);
        }
        assert!(found >= 18, "{found} of 20");
    }

    #[test]
    fn ratios_of_plain_windows() {
        let run = |value: u64, count: u64| {
            vec![Window { values: vec![(value, count)], seconds: 1.0 }; 10]
        };
        let found = ratios(&[run(100, 10)], &[run(150, 5)], &FIGURES, draws(100)).unwrap();
        let [p50, _, rate] = found[..] else { panic!("{found:?}") };
        assert_eq!((p50.a, p50.b), (100.0, 150.0));
        assert!((p50.low - 1.5).abs() < 1e-9 && (p50.high - 1.5).abs() < 1e-9);
        assert!((rate.a, rate.b) == (10.0, 5.0) && (rate.high - 0.5).abs() < 1e-9);
        assert_eq!(ratios(&[run(100, 1)], &[Vec::new()], &FIGURES, draws(10)), None);
        let silent = vec![Window { values: Vec::new(), seconds: 1.0 }; 10];
        assert_eq!(
            ratios(
                std::slice::from_ref(&silent),
                std::slice::from_ref(&silent),
                &FIGURES,
                draws(10)
            ),
            None
        );
    }

    /// Runs of which each is slower than all of the other side, by far more than they differ.
    #[test]
    fn a_difference_of_runs_is_found() {
        let random = &mut StdRng::seed_from_u64(7);
        for runs in [3, 5] {
            let mut side = |slower| (0..runs).map(|_| run(random, 20, slower)).collect::<Vec<_>>();
            let (a, b) = (side(1.0), side(2.0));
            let found = ratios(&a, &b, &FIGURES[..1], draws(400)).unwrap()[0];
            assert!(found.low > 1.0 && found.chance_higher <= 0.025, "{found:?}");
            // Of 5 and 5 runs each share-out is dealt, once; of 3 and 3 one of 20 is not rare.
            let least = if runs == 5 { 1.0 / 252.0 } else { 1.0 / 401.0 };
            assert!((found.least_chance - least).abs() < 1e-12, "{found:?}");
        }
    }

    #[test]
    fn every_choice_comes_once() {
        let mut chosen = vec![0, 1, 2];
        let mut all = vec![chosen.clone()];
        while next_choice(&mut chosen, 6) {
            all.push(chosen.clone());
        }
        assert!(all.is_sorted() && all.len() == share_outs(6, 3) as usize, "{all:?}");
        all.dedup();
        assert_eq!((all.len(), all.last()), (20, Some(&vec![3, 4, 5])));
    }

    #[test]
    fn a_level_is_reached_with_draws_and_windows_enough() {
        for confidence in [0.5, 0.95, 0.999] {
            let level = Level::of(confidence);
            assert!(1.0 / (level.draws + 1) as f64 <= level.doubt(), "{level:?}");
            let windows = windows_needed(level.doubt());
            let run = [vec![Window { values: vec![(1, 1)], seconds: 1.0 }; windows]];
            let found = ratios(&run, &run, &FIGURES[..1], level).unwrap()[0];
            assert!(found.least_chance <= level.doubt(), "{confidence} {found:?}");
        }
        assert_eq!(windows_needed(0.012_5), 5);
    }

    #[test]
    fn few_blocks_widen_as_t_does() {
        // t of 9 degrees of freedom at 95 % is 2.262.
        let expected = 2.262 / 1.960 * (10.0_f64 / 9.0).sqrt();
        assert!((widening(10, 0.95) - expected).abs() < 5e-3);
    }
}
