//! How far two runs differ beyond their noise: a bootstrap over blocks of windows.
//!
//! Replies of one second share its stalls, and neighbouring seconds share theirs: neither are
//! independent draws, and an interval that took them for such would be far too narrow. What is
//! drawn again, with replacement, are therefore stretches of neighbouring windows (moving blocks;
//! Kuensch, 1989), one and a half times the cube root of their number long, circular so that none
//! counts less than others (Politis and Romano, 1992). Of several runs on one side whole runs are
//! drawn first, so that what differs from run to run counts too. The interval is that of the draws'
//! percentiles, widened for few blocks as a t interval is (Hesterberg, 2015, "expanded
//! percentile").
//!
//! A tail that a handful of stalls decide is too much even for that: such an interval leaves out 1
//! more often than it says. So chance is asked directly as well: if both sides were one, any other
//! share-out of all blocks among them would have been as likely (permutation test), and what is
//! found must be rare among those.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Seed of all draws: the same files give the same answer.
const SEED: u64 = 0x5EED;

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

/// Every figure's ratio at `confidence` (0 to 1), by so many draws. `None` if a side has no reply.
pub(super) fn ratios(
    a: &[Vec<Window>],
    b: &[Vec<Window>],
    figures: &[Figure],
    confidence: f64,
    draws: usize,
) -> Option<Vec<Ratio>> {
    let table = Table::new(a, b)?;
    let random = &mut StdRng::seed_from_u64(SEED);
    let mut sampled = vec![Vec::with_capacity(draws); figures.len()];
    let mut dealt = sampled.clone();
    for _ in 0..draws {
        let sums = [table.draw(&table.a, random), table.draw(&table.b, random)];
        table.log_ratios(&sums, figures, &mut sampled);
        table.log_ratios(&table.deal(random), figures, &mut dealt);
    }
    let whole = [table.whole(&table.a), table.whole(&table.b)];
    let widen = widening(table.a.blocks().min(table.b.blocks()), confidence);
    let beyond = (1.0 - confidence) / 2.0;
    let ratio = |(figure, (mut sampled, dealt)): (&Figure, (Vec<f64>, Vec<f64>))| {
        let [a, b] = [table.figure(&whole[0], *figure)?, table.figure(&whole[1], *figure)?];
        let centre = (b / a).ln();
        sampled.sort_by(f64::total_cmp);
        let end = |share: f64| {
            let at = (sampled.len().checked_sub(1)? as f64 * share).round() as usize;
            Some((centre + (sampled.get(at)? - centre) * widen).exp())
        };
        // What was found is one of the share-outs.
        let chance = |as_far: &dyn Fn(f64) -> bool| {
            let far = dealt.iter().filter(|log| as_far(**log)).count();
            (far + 1) as f64 / (dealt.len() + 1) as f64
        };
        Some(Ratio {
            a,
            b,
            low: end(beyond)?,
            high: end(1.0 - beyond)?,
            chance_higher: chance(&|log| log >= centre - EQUAL),
            chance_lower: chance(&|log| log <= centre + EQUAL),
        })
    };
    figures.iter().zip(sampled.into_iter().zip(dealt)).map(ratio).collect()
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

    /// All blocks of both sides, dealt among them by chance: each side gets as many as it has.
    fn deal(&self, random: &mut StdRng) -> [Sum; 2] {
        let mut sums = [self.nothing(), self.nothing()];
        let mut left = self.a.cut().count();
        let all: Vec<&[Counts]> = self.a.cut().chain(self.b.cut()).collect();
        for (at, block) in all.iter().enumerate() {
            // Selection sampling: each share-out is as likely as any other (Knuth, 3.4.2 S).
            let to_a = random.random_range(0..all.len() - at) < left;
            left -= usize::from(to_a);
            let sum = &mut sums[usize::from(!to_a)];
            block.iter().for_each(|window| sum.add(window));
        }
        sums
    }

    fn whole(&self, side: &Side) -> Sum {
        let mut sum = self.nothing();
        side.0.iter().flatten().for_each(|window| sum.add(window));
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

impl Side {
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
    let free = (blocks.saturating_sub(1)).max(1) as f64;
    let z = normal(f64::midpoint(1.0, confidence));
    // Student's t from the normal (Abramowitz and Stegun 26.7.5).
    let first = (z.powi(3) + z) / (4.0 * free);
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * free * free);
    (z + first + second) / z * ((free + 1.0) / free).sqrt()
}

/// The normal distribution's quantile for a share above a half, to 0.00045 (Abramowitz and Stegun
/// 26.2.23).
pub(super) fn normal(share: f64) -> f64 {
    let t = (-2.0 * (1.0 - share).max(f64::MIN_POSITIVE).ln()).sqrt();
    let above = 2.515_517 + 0.802_853 * t + 0.010_328 * t * t;
    t - above / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t.powi(3))
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

    /// Of so many pairs of runs, in how many B seems worse than A, by median and 99th percentile.
    fn alarms(trials: u64, runs: usize, windows: usize, slower: f64) -> [u64; 2] {
        let mut alarms = [0; 2];
        for trial in 0..trials {
            let random = &mut StdRng::seed_from_u64(trial);
            let mut side =
                |slower| (0..runs).map(|_| run(random, windows, slower)).collect::<Vec<_>>();
            let (a, b) = (side(1.0), side(slower));
            let found = ratios(&a, &b, &FIGURES, 0.95, 200).unwrap();
            for (alarms, ratio) in alarms.iter_mut().zip(found) {
                *alarms += u64::from(ratio.low > 1.0 && ratio.chance_higher <= 0.025);
            }
        }
        alarms
    }

    /// Two draws of one distribution seem different as seldom as the confidence says, although a
    /// stall spoils a whole second and often the next: 5 of 100, of which half would be worse.
    #[test]
    fn what_is_the_same_is_seldom_called_worse() {
        for (trials, runs, windows) in [(200, 1, 20), (60, 3, 10)] {
            let found = alarms(trials, runs, windows, 1.0);
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
                let found = ratios(&[a], &[b], &[Figure::Quantile(0.9)], 0.95, 100).unwrap()[0];
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
            let ratio = ratios(&[a], &[b], &FIGURES[..1], 0.95, 200).unwrap()[0];
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
        let found = ratios(&[run(100, 10)], &[run(150, 5)], &FIGURES, 0.95, 100).unwrap();
        let [p50, _, rate] = found[..] else { panic!("{found:?}") };
        assert_eq!((p50.a, p50.b), (100.0, 150.0));
        assert!((p50.low - 1.5).abs() < 1e-9 && (p50.high - 1.5).abs() < 1e-9);
        assert!((rate.a, rate.b) == (10.0, 5.0) && (rate.high - 0.5).abs() < 1e-9);
        assert_eq!(ratios(&[run(100, 1)], &[Vec::new()], &FIGURES, 0.95, 10), None);
        let silent = vec![Window { values: Vec::new(), seconds: 1.0 }; 10];
        assert_eq!(
            ratios(
                std::slice::from_ref(&silent),
                std::slice::from_ref(&silent),
                &FIGURES,
                0.95,
                10
            ),
            None
        );
    }

    #[test]
    fn quantiles_of_the_normal_distribution_and_of_t() {
        for (share, z) in [(0.975, 1.959_96), (0.95, 1.644_85), (0.995, 2.575_83)] {
            assert!((normal(share) - z).abs() < 5e-4, "{share}");
        }
        // t of 9 degrees of freedom at 95 % is 2.262.
        let expected = 2.262 / 1.960 * (10.0_f64 / 9.0).sqrt();
        assert!((widening(10, 0.95) - expected).abs() < 5e-3);
    }
}
