//! Quantiles of the normal distribution and of Student's t.

use std::f64::consts::{FRAC_PI_2, PI};

/// Halvings of an angle: beyond what a double can tell apart.
const HALVINGS: u32 = 60;

/// The normal distribution's quantile for a share above a half, to 0.00045 (Abramowitz and Stegun
/// 26.2.23).
pub(super) fn normal(share: f64) -> f64 {
    let t = (-2.0 * (1.0 - share).max(f64::MIN_POSITIVE).ln()).sqrt();
    let above = 2.515_517 + 0.802_853 * t + 0.010_328 * t * t;
    t - above / (1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t.powi(3))
}

/// How far from 0 Student's t of `free` degrees of freedom (at least 1) stays with a `confidence`
/// of 0 to 1, on both sides.
pub(super) fn student(free: usize, confidence: f64) -> f64 {
    // t is the tangent of an angle, in units of the root of `free`.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..HALVINGS {
        let angle = f64::midpoint(low, high);
        if within(free, angle) < confidence { low = angle } else { high = angle }
    }
    low.tan() * (free as f64).sqrt()
}

/// The share of t whose angle is no more than this, on both sides (Abramowitz and Stegun 26.7.3 and
/// 26.7.4).
fn within(free: usize, angle: f64) -> f64 {
    let (sin, cos) = angle.sin_cos();
    let odd = free % 2 == 1;
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    let first = if odd { 3 } else { 2 };
    for power in (first..=free).step_by(2) {
        sum += term;
        term *= cos * cos * (power - 1) as f64 / power as f64;
    }
    if odd { (angle + sin * sum) * 2.0 / PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        for (share, z) in [(0.975, 1.959_96), (0.95, 1.644_85), (0.995, 2.575_83)] {
            assert!((normal(share) - z).abs() < 5e-4, "{share}");
        }
    }

    /// From the printed tables.
    #[test]
    fn quantiles_of_t() {
        for (free, confidence, t) in [
            (1, 0.95, 12.706),
            (1, 0.999, 636.619),
            (2, 0.95, 4.303),
            (3, 0.99, 5.841),
            (4, 0.95, 2.776),
            (9, 0.95, 2.262),
            (30, 0.999, 3.646),
            (120, 0.95, 1.980),
        ] {
            let found = student(free, confidence);
            assert!((found / t - 1.0).abs() < 5e-4, "{free} {confidence}: {found}");
        }
    }
}
