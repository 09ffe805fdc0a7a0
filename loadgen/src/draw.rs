//! Draws the size of a message from 64 random bits: no logarithm, no allocation, no state.
//!
//! A distribution becomes a table of its quantiles when the run begins; between two of them a size
//! is drawn evenly. So a seed fixes every size, whichever thread sends the message.

use crate::cli::sizes::{Shape, Sizes};

/// Cells of a table: 16 KiB, half of the nearest cache.
const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 12;

/// The table ends where one draw in 262,144 would lie beyond: a longer last cell, drawn from
/// evenly, would weigh more than the tail that it stands for.
const BEYOND: f64 = 1.0 / (1 << 18) as f64;

/// The sizes of one run or phase, ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) enum Draw {
    /// Always this one.
    One(usize),
    /// Each from the first on is equally likely: the first, and how many there are.
    Even(usize, u64),
    /// Up to these 64 random bits, this size.
    Weighted(Box<[(u64, usize)]>),
    /// Sizes at equally likely steps, `CELLS` + 1 of them.
    Curve(Box<[u32]>),
}

impl Draw {
    /// Makes the table.
    pub(crate) fn new(sizes: &Sizes) -> Self {
        if sizes.min == sizes.max {
            return Self::One(sizes.min);
        }
        match &sizes.shape {
            Shape::Even => Self::Even(sizes.min, (sizes.max - sizes.min + 1) as u64),
            Shape::Weighted(items) => Self::Weighted(weighted(items)),
            shape => {
                let within = |size: f64| (size.round() as usize).clamp(sizes.min, sizes.max);
                Self::Curve(quantiles(shape).map(|size| within(size) as u32).collect())
            }
        }
    }

    /// The size that these random bits stand for.
    #[inline]
    pub(crate) fn at(&self, random: impl FnOnce() -> u64) -> usize {
        match self {
            Self::One(size) => *size,
            Self::Even(first, span) => first + share(random(), *span) as usize,
            Self::Weighted(items) => {
                let random = random();
                let found = items.iter().find(|(upto, _)| random <= *upto).or(items.last());
                found.map_or(0, |(_, size)| *size)
            }
            Self::Curve(quantiles) => {
                let random = random();
                let cell = (random >> (u64::BITS - CELL_BITS)) as usize;
                let (low, high) = (quantiles[cell], quantiles[cell + 1]);
                low as usize + share(random << CELL_BITS, u64::from(high - low) + 1) as usize
            }
        }
    }
}

/// An even draw below `span`.
#[inline]
pub(crate) fn share(random: u64, span: u64) -> u64 {
    ((u128::from(random) * u128::from(span)) >> 64) as u64
}

/// Cumulated shares as the greatest random bits that still mean the size.
fn weighted(items: &[(usize, f64)]) -> Box<[(u64, usize)]> {
    let mut sum = 0.0;
    let upto = items.iter().map(|(size, share)| {
        sum += share;
        // A float beyond the greatest number becomes the greatest.
        ((sum * u64::MAX as f64) as u64, *size)
    });
    upto.collect()
}

/// Smallest and largest size that a distribution is drawn to, before any bounds.
pub(crate) fn reach(shape: &Shape) -> (f64, f64) {
    let mut ends = quantiles(shape);
    let low = ends.next().unwrap_or(0.0);
    (low, ends.last().unwrap_or(low))
}

/// The sizes at the ends of all cells.
fn quantiles(shape: &Shape) -> Box<dyn Iterator<Item = f64> + '_> {
    match *shape {
        Shape::Normal { mean, deviation } => {
            Box::new(normal().into_iter().map(move |z| mean + deviation * z))
        }
        Shape::LogNormal { median, sigma } => {
            Box::new(normal().into_iter().map(move |z| median * (sigma * z).exp()))
        }
        Shape::Exponential { mean } => Box::new(steps().map(move |u| -mean * (1.0 - u).ln())),
        Shape::Even | Shape::Weighted(_) => Box::new(std::iter::empty()),
    }
}

/// The probabilities at the ends of all cells.
fn steps() -> impl Iterator<Item = f64> {
    (0..=CELLS).map(|cell| (cell as f64 / CELLS as f64).clamp(BEYOND, 1.0 - BEYOND))
}

/// Quantiles of the standard normal distribution at [`steps`]: its density, added up.
fn normal() -> Vec<f64> {
    /// Fine enough for the quantiles to be right to a millionth; 1 in 10^9 lies beyond 6.
    const STEP: f64 = 1.0 / 2048.0;
    const END: f64 = 6.0;
    let density = |z: f64| (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut z, mut sum) = (-END, 0.0);
    let next = |u: f64| {
        loop {
            let slice = density(z).midpoint(density(z + STEP)) * STEP;
            if sum + slice >= u || z >= END {
                return z + (u - sum) / slice * STEP;
            }
            (sum, z) = (sum + slice, z + STEP);
        }
    };
    steps().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sizes::size;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    /// So many sizes, sorted.
    fn drawn(text: &str, count: usize, seed: u64) -> Vec<usize> {
        let (draw, mut random) = (Draw::new(&size(text).unwrap()), StdRng::seed_from_u64(seed));
        let mut sizes: Vec<_> = (0..count).map(|_| draw.at(|| random.next_u64())).collect();
        sizes.sort_unstable();
        sizes
    }

    fn mean(sizes: &[usize]) -> f64 {
        sizes.iter().sum::<usize>() as f64 / sizes.len() as f64
    }

    #[test]
    fn quantiles_of_the_normal_distribution() {
        let normal = normal();
        // From any table: 2.5 % lie below -1.96, 15.87 % below -1, half below 0.
        for (u, z) in [(0.025, -1.959_964), (0.158_655_25, -1.0), (0.5, 0.0), (0.975, 1.959_964)] {
            let at = u * CELLS as f64;
            let (low, high) = (normal[at as usize], normal[at as usize + 1]);
            let found = low + (high - low) * at.fract();
            assert!((found - z).abs() < 1e-4, "{u}: {found}, not {z}");
        }
        assert!(normal.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn weights_are_kept() {
        let sizes = drawn("64:90%,4096:9%,65536:1%", 200_000, 3);
        for (size, expected) in [(64, 180_000.0), (4096, 18_000.0), (65536, 2_000.0)] {
            let count = sizes.iter().filter(|n| **n == size).count() as f64;
            // Five deviations of a binomial count.
            assert!((count - expected).abs() < 5.0 * expected.sqrt(), "{size}: {count}");
        }
        assert_eq!(Draw::new(&size("64:1,65:2").unwrap()).at(|| u64::MAX), 65);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Mean, deviation and percentiles, whatever the parameters.
        #[test]
        fn a_normal_is_normal(mean_of in 2_000usize..9_000, width in 50usize..400, seed: u64) {
            let sizes = drawn(&format!("normal:{mean_of}:{width}"), 50_000, seed);
            let (centre, width) = (mean_of as f64, width as f64);
            prop_assert!((mean(&sizes) - centre).abs() < 0.03 * width);
            let variance = sizes.iter().map(|n| (*n as f64 - centre).powi(2)).sum::<f64>();
            let deviation = (variance / sizes.len() as f64).sqrt();
            prop_assert!((deviation / width - 1.0).abs() < 0.03, "{}", deviation);
            for (share, z) in [(0.158_655, -1.0), (0.5, 0.0), (0.977_25, 2.0)] {
                let found = sizes[(share * 50_000.0) as usize] as f64;
                prop_assert!((found - centre - z * width).abs() < 0.08 * width, "{}", share);
            }
        }

        #[test]
        fn an_exponential_is_exponential(mean_of in 1_000usize..50_000, seed: u64) {
            let sizes = drawn(&format!("exp:{mean_of}"), 50_000, seed);
            let centre = mean_of as f64;
            prop_assert!((mean(&sizes) / centre - 1.0).abs() < 0.03, "{}", mean(&sizes));
            for share in [0.5, 0.9, 0.99] {
                let quantile = -f64::ln(1.0 - share);
                let found = sizes[(share * 50_000.0) as usize] as f64;
                prop_assert!((found / centre / quantile - 1.0).abs() < 0.08, "{}", share);
            }
        }

        #[test]
        fn a_log_normal_is_log_normal(
            median in 1_000usize..9_000,
            tenths in 2u32..15,
            seed: u64,
        ) {
            let sigma = f64::from(tenths) / 10.0;
            let sizes = drawn(&format!("lognormal:{median}:{sigma}"), 50_000, seed);
            for (share, z) in [(0.158_655, -1.0), (0.5, 0.0), (0.841_345, 1.0), (0.977_25, 2.0)] {
                let found = sizes[(share * 50_000.0) as usize] as f64;
                let expected = median as f64 * f64::exp(sigma * z);
                prop_assert!((found / expected).ln().abs() < 0.08 * sigma.max(0.5), "{}", share);
            }
        }

        /// No draw is outside the bounds, and what would be is at them.
        #[test]
        fn bounds_hold(
            text in prop_oneof![
                Just("normal:500:300:400..600"),
                Just("exp:100:50..150"),
                Just("lognormal:100:2:90..110"),
                Just("1..7"),
            ],
            seed: u64,
        ) {
            let bounds = size(text).unwrap();
            let sizes = drawn(text, 2_000, seed);
            prop_assert_eq!(sizes.first(), Some(&bounds.min));
            prop_assert_eq!(sizes.last(), Some(&bounds.max));
        }
    }

    /// The ends of the random bits are sizes like any other.
    #[test]
    fn the_ends_of_the_table() {
        for text in ["normal:1000:100", "exp:300", "lognormal:300:1", "5..9", "3:1,9:1"] {
            let sizes = size(text).unwrap();
            let draw = Draw::new(&sizes);
            assert_eq!((draw.at(|| 0), draw.at(|| u64::MAX)), (sizes.min, sizes.max), "{text}");
        }
    }
}
