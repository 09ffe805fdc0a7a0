//! `loadgen compare`: whether B is worse than A beyond the noise of both.
//!
//! Worse is a figure whose whole interval lies on the bad side of A, that chance alone would hardly
//! bring about, and that differs by more than the threshold. A figure that is not worse may still
//! be: the interval says by how much it could be without being seen.

mod bootstrap;
mod student;
mod text;

use crate::cli::differences;
use crate::human::counted;
use crate::judge::Verdict;
use crate::measure::{Kind, Latency, Outcome};
use crate::report::Recorded;
use crate::slo::{Metric as Clause, Stat, errors};
use bootstrap::{Figure, Level, Ratio, Window, ratios, windows_needed};
use student::normal;
pub use text::report;

/// Fewest windows of each side that say anything of noise.
const ENOUGH: usize = 5;
/// Errors that nobody asked about decide from this difference of their shares on: one connection
/// that is lost takes all its messages along, which chance does to any run.
const ERRORS_DIFFER: f64 = 0.001;
/// Percentiles that the table always has.
const SHOWN: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A figure that is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Metric {
    /// A percentile, 0 to 1, of one kind; longer is worse.
    Latency(Kind, f64),
    /// Answers a second; fewer are worse.
    Rate,
    /// Share of what was tried that went wrong; more is worse.
    Errors,
}

impl Metric {
    /// Reads `response.p99`, `rate` or `errors`, named as objectives are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "rate" => return Ok(Self::Rate),
            "errors" => return Ok(Self::Errors),
            _ => {}
        }
        match Clause::parse(text) {
            Ok(Clause::Latency(kind, Stat::Quantile(quantile))) if quantile < 1.0 => {
                Ok(Self::Latency(kind, quantile))
            }
            _ => Err(format!(
                "'{text}' is no figure that has an interval: write rate, errors or KIND.pNN, such \
                 as response.p99"
            )),
        }
    }

    /// As it is written.
    pub fn name(self) -> String {
        match self {
            Self::Latency(kind, quantile) => {
                // 0.999 x 100 is a little more than 99.9.
                let percent = format!("{:.4}", quantile * 100.0);
                let percent = percent.trim_end_matches('0').trim_end_matches('.');
                format!("{}.p{percent}", kind.name())
            }
            Self::Rate => "rate".to_owned(),
            Self::Errors => "errors".to_owned(),
        }
    }
}

/// How the comparison is made.
#[derive(Clone, PartialEq, Debug)]
pub struct Terms {
    /// What decides; empty is the 99th percentile of the answers, and errors from a difference of
    /// 0.1 percentage point on.
    pub metrics: Vec<Metric>,
    /// That a difference which chance made is not called one, 0 to 1, all that decide together.
    pub confidence: f64,
    /// Differences up to this share do not matter.
    pub threshold: f64,
}

/// What became of one figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// B is worse than A, beyond noise and threshold.
    Worse,
    /// B is better than A, likewise.
    Better,
    /// Neither can be said.
    Same,
    /// There is too little to say anything.
    Unknown,
}

/// A figure of both sides: latencies in nanoseconds, rates in answers a second, errors as a share.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Row {
    /// Its name.
    pub metric: String,
    /// Of all of A's runs together; `None` if it was not measured.
    pub a: Option<f64>,
    /// Of B's.
    pub b: Option<f64>,
    /// B over A; `None` if A is 0.
    pub ratio: Option<f64>,
    /// Interval of the ratio; of errors, that of the difference B - A.
    pub interval: Option<[f64; 2]>,
    /// What became of it.
    pub finding: Finding,
    /// Whether it decides.
    pub decides: bool,
    /// Whether fewer than 100 samples of a side lie beyond it.
    pub few: bool,
    /// Why nothing could be said of it however much it differed, and what would help.
    pub too_little: Option<String>,
}

/// Everything that was found.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Comparison {
    /// Name and version.
    pub schema: &'static str,
    /// A's files.
    pub a: Vec<String>,
    /// B's.
    pub b: Vec<String>,
    /// Of every interval: what decides shares the doubt that the user allowed.
    pub confidence: f64,
    /// As asked for.
    pub threshold: f64,
    /// The figures.
    pub rows: Vec<Row>,
    /// The worst of what decides; unknown before same.
    pub finding: Finding,
    /// What speaks against comparing these at all.
    pub doubts: Vec<String>,
    /// Whether a run measured its generator or its machine.
    pub invalid: bool,
}

/// Compares B with A; each side has one run or several of the same load.
pub fn compare(a: &[Recorded], b: &[Recorded], terms: &Terms) -> Comparison {
    let kind = answered(a).or_else(|| answered(b)).unwrap_or(Kind::Response);
    let deciding = match terms.metrics.as_slice() {
        [] => vec![Metric::Latency(kind, 0.99), Metric::Errors],
        given => given.to_vec(),
    };
    let mut metrics: Vec<Metric> = SHOWN.map(|q| Metric::Latency(kind, q)).to_vec();
    metrics.extend([Metric::Rate, Metric::Errors]);
    metrics.extend(
        deciding.iter().filter(|metric| !metrics.contains(metric)).copied().collect::<Vec<_>>(),
    );
    // The more is asked, the likelier chance answers once: each gets its share (Bonferroni).
    let confidence = 1.0 - (1.0 - terms.confidence) / deciding.len() as f64;
    let least_errors = if terms.metrics.is_empty() { ERRORS_DIFFER } else { 0.0 };
    let judge = Judge { a, b, confidence, threshold: terms.threshold, kind, least_errors };
    let rows: Vec<Row> = metrics
        .into_iter()
        .map(|metric| Row { decides: deciding.contains(&metric), ..judge.row(metric) })
        .collect();
    let found = |finding| rows.iter().any(|row| row.decides && row.finding == finding);
    let order = [Finding::Worse, Finding::Unknown, Finding::Better];
    let finding = order.into_iter().find(|finding| found(*finding)).unwrap_or(Finding::Same);
    let names = |side: &[Recorded]| side.iter().map(|run| run.path.display().to_string()).collect();
    let runs = a.iter().chain(b);
    Comparison {
        schema: "plimsoll.compare/1",
        a: names(a),
        b: names(b),
        confidence,
        threshold: terms.threshold,
        rows,
        finding,
        doubts: doubts(a, b),
        invalid: runs.into_iter().any(|run| run.run.judgement.verdict != Verdict::Valid),
    }
}

fn answered(side: &[Recorded]) -> Option<Kind> {
    side.iter().find_map(|run| run.run.outcome.answered()).map(|(kind, _)| kind)
}

struct Judge<'a> {
    a: &'a [Recorded],
    b: &'a [Recorded],
    confidence: f64,
    threshold: f64,
    /// What is answered.
    kind: Kind,
    /// Differences of the errors' shares up to this do not matter.
    least_errors: f64,
}

impl Judge<'_> {
    fn row(&self, metric: Metric) -> Row {
        match metric {
            Metric::Latency(kind, quantile) => {
                let few = [self.a, self.b].iter().any(|side| is_few(side, kind, quantile));
                let ratio = self.ratio(kind, Figure::Quantile(quantile));
                Row { few, ..self.judged(metric, ratio, 1.0) }
            }
            Metric::Rate => self.judged(metric, self.ratio(self.kind, Figure::Rate), -1.0),
            Metric::Errors => self.errors(),
        }
    }

    fn ratio(&self, kind: Kind, figure: Figure) -> Option<Ratio> {
        let side = |runs: &[Recorded]| {
            runs.iter().map(|run| windows(&run.run.outcome, kind)).collect::<Vec<_>>()
        };
        let (a, b) = (side(self.a), side(self.b));
        let enough = |side: &[Vec<Window>]| side.iter().map(Vec::len).sum::<usize>() >= ENOUGH;
        if !enough(&a) || !enough(&b) {
            return None;
        }
        ratios(&a, &b, &[figure], Level::of(self.confidence))?.into_iter().next()
    }

    /// `worse` is 1 where more is worse and -1 where less is.
    fn judged(&self, metric: Metric, ratio: Option<Ratio>, worse: f64) -> Row {
        let mut row = Row {
            metric: metric.name(),
            a: None,
            b: None,
            ratio: None,
            interval: None,
            finding: Finding::Unknown,
            decides: false,
            few: false,
            too_little: None,
        };
        let Some(found) = ratio else { return row };
        let ratio = found.b / found.a;
        (row.a, row.b, row.ratio) = (Some(found.a), Some(found.b), Some(ratio));
        row.interval = Some([found.low, found.high]);
        let doubt = Level::of(self.confidence).doubt();
        if found.least_chance > doubt {
            row.too_little = Some(format!(
                "chance cannot be ruled out so surely from so few windows; runs need at least {} \
                 each, or ask for less --confidence or fewer figures",
                windows_needed(doubt)
            ));
            return row;
        }
        let more = found.low > 1.0 && found.chance_higher <= doubt && ratio > 1.0 + self.threshold;
        let less = found.high < 1.0 && found.chance_lower <= doubt && ratio < 1.0 - self.threshold;
        row.finding = match (more, less) {
            (true, _) if worse > 0.0 => Finding::Worse,
            (_, true) if worse < 0.0 => Finding::Worse,
            (false, false) => Finding::Same,
            _ => Finding::Better,
        };
        row
    }

    /// Errors have no windows: they are held as two shares, as if each came by itself.
    fn errors(&self) -> Row {
        let sum = |side: &[Recorded]| {
            side.iter()
                .map(|run| errors(&run.run.outcome.tally))
                .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let ((wrong_a, tried_a), (wrong_b, tried_b)) = (sum(self.a), sum(self.b));
        let mut row = self.judged(Metric::Errors, None, 1.0);
        if tried_a == 0 || tried_b == 0 {
            return row;
        }
        let (a, b) = (wrong_a as f64 / tried_a as f64, wrong_b as f64 / tried_b as f64);
        let z = normal(f64::midpoint(1.0, self.confidence));
        let [low, high] = difference((a, tried_a as f64), (b, tried_b as f64), z);
        (row.a, row.b, row.interval) = (Some(a), Some(b), Some([low, high]));
        row.ratio = (a > 0.0).then(|| b / a);
        let matters = (b - a).abs() > self.least_errors;
        row.finding = if matters && low > 0.0 && b > a * (1.0 + self.threshold) {
            Finding::Worse
        } else if matters && high < 0.0 && b < a * (1.0 - self.threshold) {
            Finding::Better
        } else {
            Finding::Same
        };
        row
    }
}

/// The interval of a difference of two shares, each with what it is a share of (Newcombe, 1998,
/// method 10: from Wilson's intervals).
fn difference((a, all_a): (f64, f64), (b, all_b): (f64, f64), z: f64) -> [f64; 2] {
    let wilson = |share: f64, all: f64| {
        let centre = share + z * z / (2.0 * all);
        let half = z * (share * (1.0 - share) / all + z * z / (4.0 * all * all)).sqrt();
        let scale = 1.0 + z * z / all;
        [(centre - half) / scale, (centre + half) / scale]
    };
    let ([low_a, high_a], [low_b, high_b]) = (wilson(a, all_a), wilson(b, all_b));
    let apart = |x: f64, y: f64| x.hypot(y);
    [b - a - apart(b - low_b, high_a - a), b - a + apart(high_b - b, a - low_a)]
}

/// The windows of the measured time; the last one holds what came in the drain too.
fn windows(outcome: &Outcome, kind: Kind) -> Vec<Window> {
    let (length, measured) =
        (outcome.timeline.window_s as f64, outcome.phases.measure.as_secs_f64());
    if length <= 0.0 || measured <= 0.0 {
        return Vec::new();
    }
    // A rest of less than half a window belongs to the one before it.
    let count = (measured / length).round().max(1.0) as usize;
    let mut windows = vec![Window { values: Vec::new(), seconds: length }; count];
    if let Some(last) = windows.last_mut() {
        last.seconds = measured - length * (count - 1) as f64;
    }
    for (at, latencies) in outcome.timeline.windows.iter().enumerate() {
        let Some(latency) = latencies.get(kind) else { continue };
        let recorded = latency.histogram().iter_recorded();
        let values = recorded.map(|v| (v.value_iterated_to(), v.count_at_value()));
        windows[at.min(count - 1)].values.extend(values);
    }
    windows
}

/// Whether a few stalls decide a percentile of a side.
fn is_few(side: &[Recorded], kind: Kind, quantile: f64) -> bool {
    let latencies = side.iter().filter_map(|run| run.run.outcome.latencies.get(kind));
    crate::report::is_few(latencies.map(Latency::count).sum(), 1.0 - quantile)
}

/// Verdicts, and loads that were not the same.
fn doubts(a: &[Recorded], b: &[Recorded]) -> Vec<String> {
    let mut doubts = Vec::new();
    for run in a.iter().chain(b) {
        let judgement = &run.run.judgement;
        if judgement.verdict != Verdict::Valid {
            let why = judgement.reasons.first().map_or("", String::as_str);
            let path = run.path.display();
            doubts.push(format!("{path} is {}: {why}", judgement.verdict.name()));
        }
        let windows = windows(&run.run.outcome, Kind::Response).len();
        if windows < ENOUGH {
            let windows = counted(windows as u64, "window");
            doubts.push(format!(
                "{} has {windows}: the noise of one run is seen in {ENOUGH} or more, better 30",
                run.path.display()
            ));
        }
    }
    if let Some(run) = a.iter().chain(b).find(|run| !run.run.outcome.phase_results.is_empty()) {
        let phases = counted(run.run.outcome.phase_results.len() as u64, "phase");
        doubts.push(format!(
            "{} has {phases}: the figures here mix the loads of all of them, so look at the phases \
             in its report",
            run.path.display()
        ));
    }
    let Some((first, others)) = a.split_first() else { return doubts };
    for other in others.iter().chain(b) {
        for found in differences(&first.run.plan, &other.run.plan) {
            // Where the server is, and whether its addresses are ours, is what differs by design.
            if ["plan.seed", "plan.slo"].contains(&found.field.as_str())
                || found.field.starts_with("plan.target")
                || found.field.starts_with("plan.sources")
            {
                continue;
            }
            doubts.push(format!(
                "{} was not asked for the same as {}: {} is {}, not {}",
                other.path.display(),
                first.path.display(),
                found.field,
                found.second,
                found.first
            ));
        }
    }
    doubts
}

#[cfg(test)]
mod tests;
