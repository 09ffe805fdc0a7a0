//! Latency against load: the runs of a search, and as many more as a curve needs.

use super::sizing::Machine;
use super::usl::{self, Sample, Usl};
use super::{Run, Span, Step, errors};
use crate::cli::Axis;
use crate::cost::us_per_message;
use crate::judge::Verdict;
use crate::measure::{Kind, Summary};

/// Points between nothing and the found load, the found load included.
const POINTS: u32 = 8;
/// A run this near to a point's load, as a share of it, serves as that point.
const NEAR: f64 = 0.07;

/// One run of the curve.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Point {
    /// Messages a second, or connections.
    pub load: f64,
    /// Whether it kept the objectives.
    pub passed: bool,
    /// Whether it may be believed.
    pub verdict: Verdict,
    /// Connections established.
    pub established: u64,
    /// Messages a second that were sent.
    pub rate_achieved: f64,
    /// What the latencies below are of: `response`, `delivery` or `ping`.
    pub kind: Option<Kind>,
    /// Nanoseconds.
    pub latency: Option<Summary>,
    /// Share of what was tried that went wrong, 0 to 1.
    pub errors: f64,
    /// Server CPU, in microseconds.
    pub server_cpu_us_per_message: Option<f64>,
    /// Server memory, its own.
    pub bytes_per_connection: Option<f64>,
}

/// The loads that a curve up to `found` lacks.
pub(super) fn missing(found: f64, span: Span, have: impl Iterator<Item = f64>) -> Vec<f64> {
    let have: Vec<f64> = have.collect();
    let load = |k: u32| {
        let load = found * f64::from(k) / f64::from(POINTS);
        if span.whole { load.round() } else { load }
    };
    let mut loads: Vec<f64> = (1..POINTS).map(load).filter(|load| *load >= span.least).collect();
    loads.dedup_by(|a, b| a.to_bits() == b.to_bits());
    loads.retain(|load| !have.iter().any(|had| (had - load).abs() <= load * NEAR));
    loads
}

/// Every run that was made, in the order of the loads; of several at one load the last.
pub(super) fn points(steps: &[Step]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for step in steps {
        let Some(run) = &step.run else { continue };
        let point = point(step, run);
        match points.iter_mut().find(|known| known.load.to_bits() == point.load.to_bits()) {
            Some(known) => *known = point,
            None => points.push(point),
        }
    }
    points.sort_by(|a, b| a.load.total_cmp(&b.load));
    points
}

fn point(step: &Step, run: &Run) -> Point {
    let outcome = &run.outcome;
    let answered = outcome.answered();
    let established = outcome.tally.established;
    let server = outcome.server.as_ref();
    Point {
        load: step.load,
        passed: step.passed,
        verdict: run.judgement.verdict,
        established,
        rate_achieved: outcome.rate_achieved(),
        kind: answered.map(|(kind, _)| kind),
        latency: answered.map(|(_, latency)| latency.summary()),
        errors: errors(run),
        server_cpu_us_per_message: server
            .and_then(|cost| us_per_message(cost.cpu, outcome.tally.received)),
        bytes_per_connection: server.and_then(|cost| cost.bytes_per_connection(established)),
    }
}

/// The law that throughput follows, from the points that may be believed.
pub(super) fn law(axis: Axis, points: &[Point]) -> Option<Usl> {
    if axis != Axis::Rate {
        return None;
    }
    let sample = |point: &Point| {
        let response = point.latency.filter(|_| point.kind == Some(Kind::Response))?;
        Some(Sample { throughput: point.rate_achieved, response: response.mean as f64 / 1e9 })
    };
    let believed = points.iter().filter(|point| point.verdict == Verdict::Valid);
    usl::fit(&believed.filter_map(sample).collect::<Vec<_>>())
}

/// What the machine carried in the run that the answer stands on.
pub(super) fn machine(axis: Axis, run: &Run) -> Machine {
    let outcome = &run.outcome;
    let established = outcome.tally.established;
    let user = outcome.server.as_ref().and_then(|cost| cost.bytes_per_connection(established));
    // On loopback the kernel's memory is that of both ends: half of it is the server's.
    let ends = if outcome.loopback { 2.0 } else { 1.0 };
    let kernel = outcome.server.as_ref().map_or(0, |cost| cost.kernel.slab_bytes).max(0) as f64;
    let kernel_each = kernel / ends / established.max(1) as f64;
    Machine {
        connections: established as f64,
        messages: outcome.rate_achieved(),
        by_connections: axis == Axis::Connections,
        bytes_each: user.map(|user| user + kernel_each),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start: 1.0, least: 1.0, most: 1e6, tolerance: 0.05, whole: true };

    #[test]
    fn a_curve_has_eight_points_at_least() {
        assert_eq!(missing(8000.0, SPAN, [8000.0].into_iter()).len(), 7);
        let have = [1000.0, 2000.0, 4000.0, 8000.0];
        let lacking = missing(8000.0, SPAN, have.into_iter());
        assert_eq!(lacking, [3000.0, 5000.0, 6000.0, 7000.0]);
        assert_eq!(missing(3.0, SPAN, [3.0].into_iter()), [1.0, 2.0]);
    }
}
