//! Service level objectives: what a run must keep to pass, such as
//! `response.p99<20ms,errors<0.1%,established>=99.9%`.
//!
//! Clauses are separated by commas and must all hold. A clause whose figure was not measured does
//! not hold: silence is no proof.

use std::fmt;
use std::time::Duration;

use crate::cli::quantity::plain;
use crate::human::{bytes, time};
use crate::measure::{BroadcastTally, Kind, Outcome, Tally};

/// All clauses of one `--slo`.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Slo {
    clauses: Vec<Clause>,
}

/// One figure, how it relates to its bound, and the bound.
#[derive(Clone, PartialEq, Debug)]
struct Clause {
    text: String,
    metric: Metric,
    relation: Relation,
    /// Nanoseconds, bytes or a share of 1, as the metric has it.
    bound: f64,
}

/// A figure that an objective or a comparison is about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Metric {
    /// Of one kind, in nanoseconds.
    Latency(Kind, Stat),
    /// Of 1.
    Share(Share),
    /// Memory of the server that one more connection takes, in bytes.
    BytesPerConnection,
}

/// What is read from a distribution.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Stat {
    /// Least.
    Min,
    /// Arithmetic mean.
    Mean,
    /// Greatest.
    Max,
    /// 0 to 1.
    Quantile(f64),
}

/// Shares of a whole, 0 to 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Share {
    /// What went wrong of what was tried.
    Errors,
    /// Of the connections.
    Established,
    /// Of a broadcast's deliveries.
    Reach,
    /// Achieved of requested.
    Rate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A clause held against a run.
#[derive(Clone, PartialEq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Held {
    /// The clause as it was written.
    pub clause: String,
    /// The figure: nanoseconds, bytes or a share of 1; `None` if it was not measured.
    pub value: Option<f64>,
    /// Whether it holds.
    pub passed: bool,
    /// Whether its figure is a latency.
    #[serde(default)]
    pub latency: bool,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { clause, value, .. } = self;
        match value {
            None => write!(f, "{clause}: not measured"),
            Some(ns) if self.latency => write!(f, "{clause}: {}", time(*ns as u64)),
            Some(value) if clause.starts_with(BYTES) => write!(f, "{clause}: {}", bytes(*value)),
            Some(share) => write!(f, "{clause}: {:.3} %", share * 100.0),
        }
    }
}

const BYTES: &str = "bytes_per_connection";

impl From<Slo> for String {
    fn from(slo: Slo) -> Self {
        slo.clauses.into_iter().map(|clause| clause.text).collect::<Vec<_>>().join(",")
    }
}

impl TryFrom<String> for Slo {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Slo {
    /// Reads the clauses; the error says which one is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let clauses = text.split(',').map(|clause| Clause::parse(clause.trim()));
        Ok(Self { clauses: clauses.collect::<Result<_, _>>()? })
    }

    /// Every clause against what was measured, in the order in which they were written.
    pub fn hold(&self, outcome: &Outcome) -> Vec<Held> {
        self.clauses.iter().map(|clause| clause.hold(outcome)).collect()
    }
}

impl Clause {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = |rule: &str| format!("'{text}': {rule}");
        let at = text.find(['<', '>']).ok_or_else(|| {
            wrong("write FIGURE<BOUND or FIGURE>=BOUND, such as response.p99<20ms")
        })?;
        let (name, rest) = text.split_at(at);
        let (relation, bound) = match rest.as_bytes() {
            [b'<', b'=', ..] => (Relation::AtMost, &rest[2..]),
            [b'>', b'=', ..] => (Relation::AtLeast, &rest[2..]),
            [b'<', ..] => (Relation::Below, &rest[1..]),
            _ => (Relation::Above, &rest[1..]),
        };
        let metric = Metric::parse(name.trim()).map_err(|rule| wrong(&rule))?;
        let bound = metric.bound(bound.trim()).map_err(|rule| wrong(&rule))?;
        Ok(Self { text: text.to_owned(), metric, relation, bound })
    }

    fn hold(&self, outcome: &Outcome) -> Held {
        let value = self.metric.value(outcome);
        // 99.9 % of 1,000 is 999, whatever the last bit of the quotient says.
        let equal = |value: f64| (value - self.bound).abs() <= self.bound.abs() * 1e-9;
        let holds = |value: f64| match self.relation {
            Relation::Below => value < self.bound && !equal(value),
            Relation::AtMost => value <= self.bound || equal(value),
            Relation::Above => value > self.bound && !equal(value),
            Relation::AtLeast => value >= self.bound || equal(value),
        };
        Held {
            clause: self.text.clone(),
            value,
            passed: value.is_some_and(holds),
            latency: matches!(self.metric, Metric::Latency(..)),
        }
    }
}

impl Metric {
    /// Reads its name; the error says which names there are.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let share = match name {
            "errors" => Some(Share::Errors),
            "established" => Some(Share::Established),
            "reach" => Some(Share::Reach),
            "rate" => Some(Share::Rate),
            _ => None,
        };
        if let Some(share) = share {
            return Ok(Self::Share(share));
        }
        if name == BYTES {
            return Ok(Self::BytesPerConnection);
        }
        let unknown = || {
            let kinds = Kind::ALL.map(Kind::name).join(", ");
            format!(
                "no such figure; there are errors, established, reach, rate, {BYTES}, and \
                 KIND.STAT with KIND one of {kinds} and STAT min, mean, max or a percentile such \
                 as p99.9"
            )
        };
        let (kind, stat) = name.split_once('.').ok_or_else(unknown)?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind);
        Ok(Self::Latency(kind.ok_or_else(unknown)?, Stat::parse(stat).ok_or_else(unknown)?))
    }

    fn bound(self, text: &str) -> Result<f64, String> {
        match self {
            Self::Latency(..) => humantime::parse_duration(text)
                .map(|bound: Duration| bound.as_nanos() as f64)
                .map_err(|_| format!("'{text}' is no time; write a number with its unit: 20ms")),
            Self::Share(_) => {
                let (digits, scale) =
                    text.strip_suffix('%').map_or((text, 1.0), |digits| (digits.trim(), 0.01));
                let share = plain(digits).map(|value| value * scale);
                share
                    .filter(|share| *share <= 1.0)
                    .ok_or_else(|| format!("'{text}' is no share; write a percentage such as 0.1%"))
            }
            Self::BytesPerConnection => {
                let units = [("KiB", 1024.0), ("MiB", 1024.0 * 1024.0), ("B", 1.0)];
                let unit = units
                    .iter()
                    .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?.trim(), *scale)));
                let (digits, scale) = unit.unwrap_or((text, 1.0));
                let size = plain(digits).map(|value| value * scale);
                size.ok_or_else(|| format!("'{text}' is no size; write bytes such as 12KiB"))
            }
        }
    }

    fn value(self, outcome: &Outcome) -> Option<f64> {
        match self {
            Self::Latency(kind, stat) => {
                let latency = outcome.latencies.get(kind)?;
                let summary = latency.summary();
                Some(match stat {
                    Stat::Min => summary.min,
                    Stat::Mean => summary.mean,
                    Stat::Max => summary.max,
                    Stat::Quantile(quantile) => latency.quantile(quantile),
                } as f64)
            }
            Self::Share(share) => share.of(outcome),
            Self::BytesPerConnection => {
                outcome.server.as_ref()?.bytes_per_connection(outcome.tally.established)
            }
        }
    }
}

impl Stat {
    /// `p50`, `p99.9` and, as the result file writes them, `p999` and `p9999`.
    fn parse(text: &str) -> Option<Self> {
        let digits = match text {
            "min" => return Some(Self::Min),
            "mean" => return Some(Self::Mean),
            "max" => return Some(Self::Max),
            "p999" => "99.9",
            "p9999" => "99.99",
            percentile => percentile.strip_prefix('p')?,
        };
        plain(digits).filter(|p| *p <= 100.0).map(|percent| Self::Quantile(percent / 100.0))
    }
}

impl Share {
    fn of(self, outcome: &Outcome) -> Option<f64> {
        let tally = &outcome.tally;
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        match self {
            Self::Errors => Some(error_share(tally)),
            // Who left on purpose and did not come back is not there.
            Self::Established => {
                share(tally.established.saturating_sub(tally.life.still_away), tally.requested)
            }
            Self::Reach => tally.broadcast.as_ref().map(BroadcastTally::reach),
            Self::Rate => Some(outcome.rate_achieved() / outcome.rate_due()?),
        }
    }
}

/// The share of [`errors`], 0 to 1.
pub fn error_share(tally: &Tally) -> f64 {
    let (wrong, tried) = errors(tally);
    if tried == 0 { 0.0 } else { wrong as f64 / tried as f64 }
}

/// What went wrong, and everything that was tried: connections that failed, ended early, could not
/// come back or were not back at the end, messages and pings unanswered, replies corrupt, doubled
/// or out of order, deliveries lost.
pub fn errors(tally: &Tally) -> (u64, u64) {
    let lost = tally.broadcast.as_ref().map_or(0, BroadcastTally::lost);
    let expected = tally.broadcast.as_ref().map_or(0, |b| b.expected);
    let wrong = tally.failed
        + tally.closed_early
        + tally.unanswered
        + tally.pings_unanswered
        + tally.corrupt
        + tally.duplicate
        + tally.reordered
        + tally.life.failures()
        + tally.life.still_away
        + lost;
    let returns = tally.life.returns() + tally.life.failures() + tally.life.still_away;
    let tried = tally.requested + returns + tally.due + tally.pings_sent + expected;
    // A connection's one fault may spoil more than was tried on it.
    (wrong.min(tried), tried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Phases;

    fn outcome() -> Outcome {
        let mut outcome = Outcome {
            rate_requested: Some(1000.0),
            phases: Phases { measure: Duration::from_secs(1), ..Phases::default() },
            ..Outcome::default()
        };
        (1..=1000).for_each(|k| outcome.latencies.record(Kind::Response, k * 1_000));
        let tally = &mut outcome.tally;
        (tally.requested, tally.established, tally.failed) = (1000, 999, 1);
        (tally.due, tally.sent, tally.received, tally.unanswered) = (1000, 995, 999, 1);
        outcome
    }

    #[track_caller]
    fn passes(text: &str) -> bool {
        let held = Slo::parse(text).unwrap().hold(&outcome());
        held.iter().all(|clause| clause.passed)
    }

    #[test]
    fn figures_and_bounds() {
        for text in [
            "response.p99<1ms",
            "response.p50 <= 501us",
            "response.p99.9>900us",
            "response.p999>=999us",
            "response.max<=1001us,response.min<2us,response.mean<600us",
            "errors<=0.1%, errors<=0.001",
            "established>=99.9%",
            "rate>99%",
        ] {
            assert!(passes(text), "{text}");
        }
        for text in [
            "response.p99<900us",
            "errors<0.1%",
            "established>99.9%",
            "rate>=99.6%",
            "response.p50<1ms,response.p50<1us",
        ] {
            assert!(!passes(text), "{text}");
        }
    }

    #[test]
    fn what_was_not_measured_does_not_hold() {
        for text in ["ping.p99<1s", "reach>=0%", "bytes_per_connection<1MiB"] {
            let held = Slo::parse(text).unwrap().hold(&outcome());
            assert_eq!((held[0].value, held[0].passed), (None, false), "{text}");
            assert!(held[0].to_string().ends_with("not measured"));
        }
    }

    #[test]
    fn everything_that_goes_wrong_is_an_error() {
        let mut tally = outcome().tally;
        assert!((error_share(&tally) - 0.001).abs() < 1e-12);
        tally.broadcast =
            Some(BroadcastTally { expected: 2000, received: 1000, ..BroadcastTally::default() });
        assert!((error_share(&tally) - 1002.0 / 4000.0).abs() < 1e-12);
        assert!(error_share(&Tally::default()).abs() < f64::EPSILON);
    }

    #[test]
    fn bad_clauses_are_named() {
        for (text, part) in [
            ("", "write FIGURE<BOUND"),
            ("response.p99", "write FIGURE<BOUND"),
            ("response.p99<20ms,", "write FIGURE<BOUND"),
            ("latency.p99<20ms", "no such figure"),
            ("response<20ms", "no such figure"),
            ("response.p101<20ms", "no such figure"),
            ("response.px<20ms", "no such figure"),
            ("response.p99<20", "is no time"),
            ("response.p99=<20ms", "no such figure"),
            ("errors<nan", "is no share"),
            ("errors<101%", "is no share"),
            ("bytes_per_connection<-1", "is no size"),
        ] {
            let error = Slo::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_held_clause_reads_well() {
        let slo = Slo::parse("response.p99<1ms,errors<1%").unwrap();
        let lines: Vec<String> = slo.hold(&outcome()).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["response.p99<1ms: 990us", "errors<1%: 0.100 %"]);
    }
}
