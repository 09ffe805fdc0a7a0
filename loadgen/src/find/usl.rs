//! The Universal Scalability Law (Gunther, 1993) fitted to a curve, and what it says of loads that
//! were not tried: an extrapolation, and marked as one.
//!
//! Throughput at concurrency N is `X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))`: lambda
//! is what one request at a time would give, sigma the share that waits for its turn, kappa the
//! cost of keeping each other informed. Concurrency is not chosen in an open loop, it is what
//! Little's law gives: N = X R with R the mean response. So `R = N / X` is linear in `1`, `N - 1`
//! and `N (N - 1)`, and least squares need no start value.

/// A step's throughput, in messages a second, and mean response, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Sample {
    /// Messages a second.
    pub throughput: f64,
    /// Mean response, in seconds.
    pub response: f64,
}

/// The fitted law. An extrapolation: nothing beyond the measured loads was seen.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Usl {
    /// Messages a second at a concurrency of 1.
    pub lambda: f64,
    /// Contention, 0 to 1.
    pub sigma: f64,
    /// Coherency, 0 and above.
    pub kappa: f64,
    /// Share of the response's variance that the fit explains; 1 is all of it.
    pub r_squared: f64,
    /// Highest throughput of the law; `None` if it has no peak.
    pub peak: Option<f64>,
    /// 95 % interval of the peak by the jackknife over the points; `None` without a peak in each.
    pub peak_interval: Option<[f64; 2]>,
    /// Always true: the peak lies beyond what was measured.
    pub extrapolation: bool,
}

/// Fewest points that a fit of three parameters is shown for.
const ENOUGH: usize = 6;
/// Standard deviations of a normal distribution to either side of 95 %.
const Z95: f64 = 1.96;

/// Least share of the variance that a law must explain to be one.
const FITS: f64 = 0.8;

/// Fits the law; `None` with too few points, or if they follow no such law.
pub(super) fn fit(samples: &[Sample]) -> Option<Usl> {
    if samples.len() < ENOUGH {
        return None;
    }
    let whole = Law::fit(samples).filter(|law| law.r_squared(samples) >= FITS)?;
    let peak = whole.peak();
    let without = |at: usize| {
        let rest: Vec<Sample> =
            samples.iter().enumerate().filter(|(k, _)| *k != at).map(|(_, s)| *s).collect();
        Law::fit(&rest)?.peak()
    };
    let peaks: Option<Vec<f64>> = (0..samples.len()).map(without).collect();
    let interval = peak.zip(peaks).map(|(peak, peaks)| {
        let error = jackknife(&peaks);
        [(peak - Z95 * error).max(0.0), peak + Z95 * error]
    });
    Some(Usl {
        lambda: 1.0 / whole.base,
        sigma: whole.contention / whole.base,
        kappa: whole.coherency / whole.base,
        r_squared: whole.r_squared(samples),
        peak,
        peak_interval: interval,
        extrapolation: true,
    })
}

/// Standard error of a figure from its values without one point each (Tukey, 1958).
fn jackknife(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares * (n - 1.0) / n).sqrt()
}

/// `R = base + contention (N - 1) + coherency N (N - 1)`.
#[derive(Clone, Copy, Debug)]
struct Law {
    base: f64,
    contention: f64,
    coherency: f64,
}

impl Law {
    /// Least squares with parameters that cannot be negative: one that would be is left out.
    fn fit(samples: &[Sample]) -> Option<Self> {
        for columns in [&[0, 1, 2][..], &[0, 2], &[0, 1], &[0]] {
            let mut law = [0.0; 3];
            let Some(found) = solve(samples, columns) else { continue };
            for (column, value) in columns.iter().zip(found) {
                law[*column] = value;
            }
            let [base, contention, coherency] = law;
            if base > 0.0 && contention >= 0.0 && coherency >= 0.0 {
                return Some(Self { base, contention, coherency });
            }
        }
        None
    }

    fn response(&self, n: f64) -> f64 {
        self.base + self.contention * (n - 1.0) + self.coherency * n * (n - 1.0)
    }

    /// Highest throughput: at N = sqrt((1 - sigma) / kappa), or the asymptote without coherency.
    fn peak(&self) -> Option<f64> {
        if self.coherency > 0.0 && self.contention < self.base {
            let n = ((self.base - self.contention) / self.coherency).sqrt().max(1.0);
            return Some(n / self.response(n));
        }
        (self.contention > 0.0).then(|| 1.0 / self.contention)
    }

    fn r_squared(&self, samples: &[Sample]) -> f64 {
        let mean = samples.iter().map(|s| s.response).sum::<f64>() / samples.len() as f64;
        let square =
            |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|s| of(s).powi(2)).sum::<f64>();
        let left = square(&|s| s.response - self.response(concurrency(s)));
        let all = square(&|s| s.response - mean);
        if all > 0.0 { 1.0 - left / all } else { 1.0 }
    }
}

fn concurrency(sample: &Sample) -> f64 {
    sample.throughput * sample.response
}

/// Weighted least squares on the chosen columns of `1, N - 1, N (N - 1)`: relative errors count, as
/// responses span decades.
fn solve(samples: &[Sample], columns: &[usize]) -> Option<Vec<f64>> {
    let size = columns.len();
    let mut rows = vec![vec![0.0; size + 1]; size];
    for sample in samples.iter().filter(|sample| sample.response > 0.0) {
        let n = concurrency(sample);
        let all = [1.0, n - 1.0, n * (n - 1.0)];
        let weight = 1.0 / sample.response.powi(2);
        for (row, column) in rows.iter_mut().zip(columns) {
            for (cell, other) in row.iter_mut().zip(columns) {
                *cell += weight * all[*column] * all[*other];
            }
            row[size] += weight * all[*column] * sample.response;
        }
    }
    eliminate(rows)
}

/// Gaussian elimination with the largest pivot; `None` if the equations say too little.
fn eliminate(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for at in 0..size {
        let pivot = (at..size).max_by(|a, b| rows[*a][at].abs().total_cmp(&rows[*b][at].abs()))?;
        rows.swap(at, pivot);
        let scale = rows[at][at];
        if scale.abs() < f64::MIN_POSITIVE || !scale.is_finite() {
            return None;
        }
        let top = rows[at].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(k, _)| *k != at) {
            let factor = row[at] / scale;
            for (cell, above) in row.iter_mut().zip(&top) {
                *cell -= factor * above;
            }
        }
    }
    let found: Vec<f64> = (0..size).map(|at| rows[at][size] / rows[at][at]).collect();
    found.iter().all(|value| value.is_finite()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(lambda: f64, sigma: f64, kappa: f64) -> Vec<Sample> {
        let at = |n: f64| {
            let throughput = lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
            Sample { throughput, response: n / throughput }
        };
        [1.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0].map(at).to_vec()
    }

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 0.01 * expected.abs(), "{found}, not {expected}");
    }

    #[test]
    fn a_known_law_is_found_again() {
        let usl = fit(&law(995.6, 0.0267, 0.000_769)).unwrap();
        near(usl.lambda, 995.6);
        near(usl.sigma, 0.0267);
        near(usl.kappa, 0.000_769);
        near(usl.r_squared, 1.0);
        // Gunther's own example: the peak is at N = 35.
        near(usl.peak.unwrap(), 35.0 * 995.6 / (1.0 + 0.0267 * 34.0 + 0.000_769 * 35.0 * 34.0));
        let [low, high] = usl.peak_interval.unwrap();
        assert!(low <= usl.peak.unwrap() && usl.peak.unwrap() <= high);
        assert!(usl.extrapolation);
    }

    #[test]
    fn without_coherency_the_asymptote_is_the_peak() {
        near(fit(&law(1000.0, 0.1, 0.0)).unwrap().peak.unwrap(), 10_000.0);
        assert_eq!(fit(&law(1000.0, 0.0, 0.0)).unwrap().peak, None, "a line has no peak");
    }

    #[test]
    fn noise_widens_the_interval() {
        let width = |noise: f64| {
            let mut samples = law(1000.0, 0.05, 0.001);
            for (at, sample) in samples.iter_mut().enumerate() {
                sample.response *= if at % 2 == 0 { 1.0 + noise } else { 1.0 - noise };
            }
            let [low, high] = fit(&samples).unwrap().peak_interval.unwrap();
            high - low
        };
        assert!(width(0.02) > 2.0 * width(0.002), "{} {}", width(0.02), width(0.002));
    }

    #[test]
    fn what_follows_no_law_gets_none() {
        let mut samples = law(1000.0, 0.05, 0.001);
        for (at, sample) in samples.iter_mut().enumerate() {
            sample.response *= if at % 2 == 0 { 4.0 } else { 0.25 };
        }
        assert_eq!(fit(&samples), None);
    }

    #[test]
    fn too_little_gives_no_law() {
        assert_eq!(fit(&law(1000.0, 0.1, 0.001)[..5]), None);
        assert_eq!(fit(&[Sample { throughput: 0.0, response: 0.0 }; 8]), None);
    }
}
