//! Whether a run's figures may be believed: did it measure the server, or the generator?
//!
//! The rules look at the generator only. A slow server is a result, not a fault of the run.

use std::time::Duration;

use crate::cli::Plan;
use crate::cli::plan::Pace;
use crate::human::{decimal, grouped, time};
use crate::measure::{Kind, Outcome};

/// Least share of the requested rate that must have been sent.
const RATE_SHARE: f64 = 0.99;

/// Least share of the requested connections that must have been established and stayed.
const CONNECTION_SHARE: f64 = 0.99;

/// A send lag (p99, in nanoseconds) up to this is no fault, however fast the replies are: 1 ms.
const LAG_FLOOR_NS: u64 = 1_000_000;

/// A send lag (p99) up to this share of the response (p99) is no fault, however long it is.
const LAG_SHARE: f64 = 0.1;

/// Most that the generator's threads may use of the cores they share, in percent.
const CORE_PERCENT: f64 = 85.0;

/// Whether the figures may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The figures are the server's.
    Valid,
    /// The figures are the generator's: it was the slower side.
    GeneratorBound,
    /// The figures are neither's: the run was not what was asked for, or both fought for the cores.
    Inconclusive,
}

impl Verdict {
    /// The name in the result file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::GeneratorBound => "generator_bound",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A verdict and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Whether the figures may be believed.
    pub verdict: Verdict,
    /// One sentence for each rule that was broken; none if valid.
    pub reasons: Vec<String>,
}

/// Judges a finished run.
pub fn judge(plan: &Plan, outcome: &Outcome) -> Judgement {
    let mut bound = Vec::new();
    bound.extend(late_sends(outcome));
    bound.extend(busy_cores(outcome));
    let mut unclear = Vec::new();
    if bound.is_empty() {
        unclear.extend(waiting_threads(outcome));
    }
    unclear.extend(too_slow(outcome));
    unclear.extend(too_few_connections(outcome));
    unclear.extend(silence(plan, outcome));
    let verdict = match (bound.is_empty(), unclear.is_empty()) {
        (true, true) => Verdict::Valid,
        (false, _) => Verdict::GeneratorBound,
        (true, false) => Verdict::Inconclusive,
    };
    bound.append(&mut unclear);
    Judgement { verdict, reasons: bound }
}

/// Messages left so late that the response time is the generator's own.
fn late_sends(outcome: &Outcome) -> Option<String> {
    let p99 = |kind| outcome.latencies.get(kind).map(|latency| latency.quantile(0.99));
    let lag = p99(Kind::SendLag)?;
    // Broadcasts have no replies: their deliveries count from the intended time too.
    let (name, answer) = match (p99(Kind::Response), p99(Kind::Delivery)) {
        (Some(response), _) => ("response", response),
        (None, Some(delivery)) => ("delivery", delivery),
        (None, None) => return None,
    };
    (lag > LAG_FLOOR_NS && lag as f64 > answer as f64 * LAG_SHARE).then(|| {
        format!(
            "messages left late: send lag p99 {} is over 1 ms and over a tenth of the {name} p99 \
             {}; {}",
            time(lag),
            time(answer),
            lag_remedy(outcome)
        )
    })
}

/// A generator that waits longer than it runs is not slow: something else has its cores.
fn lag_remedy(outcome: &Outcome) -> &'static str {
    let threads = &outcome.generator.threads;
    if threads.iter().map(|thread| thread.waited).sum::<Duration>() > outcome.generator.cpu() {
        "the generator waited for its cores longer than it ran: stop what else runs on them, or \
         give it cores of its own"
    } else {
        "lower the load or give the generator more cores"
    }
}

/// Cores that the generator's threads filled together, or a thread that filled one by itself.
fn busy_cores(outcome: &Outcome) -> Vec<String> {
    let health = &outcome.generator;
    let sentence = |who: &str, percent: f64, of: &str| {
        format!(
            "{who} used {percent:.0} % of {of}, over {CORE_PERCENT} %; lower the load or give the \
             generator more cores"
        )
    };
    let cores = health.core_percents().into_iter();
    let together = cores
        .filter(|(_, percent)| *percent > CORE_PERCENT)
        .map(|(cores, percent)| sentence("the generator", percent, &name_cores(cores)));
    let mut reasons: Vec<String> = together.collect();
    let alone = health.threads.iter().find(|thread| health.percent(thread.cpu) > CORE_PERCENT);
    if let Some(thread) = alone.filter(|_| reasons.is_empty()) {
        reasons.push(sentence(&thread.name, health.percent(thread.cpu), "a core"));
    }
    reasons
}

/// A thread that never slept although its cores were not its own: the machine was full.
fn waiting_threads(outcome: &Outcome) -> Option<String> {
    let health = &outcome.generator;
    let runnable = |thread: &crate::cost::ThreadUse| health.percent(thread.cpu + thread.waited);
    let worst = health.threads.iter().max_by(|a, b| runnable(a).total_cmp(&runnable(b)))?;
    (runnable(worst) > CORE_PERCENT).then(|| {
        format!(
            "the machine was full: {} ran {:.0} % of the time and waited {:.0} % for {}, over \
             {CORE_PERCENT} % together; give server and generator cores of their own, or ask for \
             less with --rate",
            worst.name,
            health.percent(worst.cpu),
            health.percent(worst.waited),
            name_cores(&worst.cores)
        )
    })
}

fn name_cores(cores: &[usize]) -> String {
    match cores {
        [] => "its cores".to_owned(),
        [core] => format!("core {core}"),
        cores => format!("{} cores", cores.len()),
    }
}

/// Less was sent than was asked for.
fn too_slow(outcome: &Outcome) -> Option<String> {
    let requested = outcome.rate_due()?;
    let achieved = outcome.rate_achieved();
    (achieved < requested * RATE_SHARE).then(|| {
        format!(
            "{} messages a second were sent of the {} requested, under 99 %; see errors, \
             connections and generator for what held them up",
            decimal(achieved),
            decimal(requested)
        )
    })
}

/// Another number of connections was measured than was asked for.
fn too_few_connections(outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    let stayed = tally.established.saturating_sub(tally.closed_early);
    ((stayed as f64) < tally.requested as f64 * CONNECTION_SHARE).then(|| {
        format!(
            "{} connections were established of the {} requested, and {} of them ended early: \
             under 99 %; see the errors for the cause",
            grouped(tally.established),
            grouped(tally.requested),
            grouped(tally.closed_early)
        )
    })
}

/// Nothing was measured.
fn silence(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    if plan.pace == Pace::Silent {
        None
    } else if tally.sent == 0 {
        Some("no message was sent; use a longer --duration or a higher --rate".to_owned())
    } else if tally.received == 0 {
        Some(format!(
            "none of {} messages was answered; does the server echo on this path?",
            grouped(tally.sent)
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
