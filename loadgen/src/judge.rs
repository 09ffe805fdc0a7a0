//! Whether a run's figures may be believed: did it measure the server, or the generator?
//!
//! The rules look at the generator only. A slow server is a result, not a fault of the run.

use std::time::Duration;

use crate::cli::Plan;
use crate::cli::plan::Pace;
use crate::human::{decimal, grouped, time};
use crate::measure::{Kind, Outcome, PhaseResult};

/// Least share of the requested rate that must have been sent.
const RATE_SHARE: f64 = 0.99;

/// Least share of the requested connections that must have been established and stayed.
const CONNECTION_SHARE: f64 = 0.99;

/// A send lag (p99, in nanoseconds) up to this is no fault, however fast the replies are: 1 ms.
pub(crate) const LAG_FLOOR_NS: u64 = 1_000_000;

/// A send lag (p99) up to this share of the response (p99) is no fault, however long it is.
const LAG_SHARE: f64 = 0.1;

/// Most that the generator's threads may use of the cores they share, in percent.
const CORE_PERCENT: f64 = 85.0;

/// Whether the figures may be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
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
    unclear.extend(outcome.phase_results.iter().filter_map(too_slow_a_phase));
    unclear.extend(too_few_connections(outcome));
    unclear.extend(excused(outcome));
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
    // Not the lag that is reported: what a server did not take is late, but not by our doing.
    let own = Some(&outcome.tally.own_lag).filter(|lag| lag.count() > 0)?;
    let lag = own.quantile(0.99);
    // Broadcasts have no replies, and idle connections nothing but pings: their times count from
    // the intended one too.
    let (kind, answers) = outcome.answered()?;
    let (name, answer) = (kind.name(), answers.quantile(0.99));
    (lag > LAG_FLOOR_NS && lag as f64 > answer as f64 * LAG_SHARE).then(|| {
        format!(
            "messages left late: the generator's own lag p99 {} is over 1 ms and over a tenth of \
             the {name} p99 {}; {}",
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

/// Threads that never slept although their cores were not their own: the machine was full.
fn waiting_threads(outcome: &Outcome) -> Option<String> {
    let health = &outcome.generator;
    let alone = health.threads.iter().map(|thread| {
        let (ran, waited) = (health.percent(thread.cpu), health.percent(thread.waited));
        (thread.name.as_str(), thread.cores.as_slice(), ran, waited)
    });
    let ran = health.core_percents().into_iter();
    let together = ran.zip(health.waited_percents()).map(|((cores, ran), (_, waited))| {
        // Threads of one core wait for each other too: no core is more than full.
        ("the generator", cores, ran, waited.min(100.0 - ran))
    });
    let worst = together.chain(alone).max_by(|a, b| (a.2 + a.3).total_cmp(&(b.2 + b.3)))?;
    let (who, cores, ran, waited) = worst;
    (ran + waited > CORE_PERCENT).then(|| {
        format!(
            "the machine was full: {who} ran {ran:.0} % of the time and waited {waited:.0} % for \
             {}, over {CORE_PERCENT} % together; give server and generator cores of their own, or \
             ask for less with --rate",
            name_cores(cores)
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
            "{} messages a second were sent of the {} requested, under 99 %; {}",
            decimal(achieved),
            decimal(requested),
            if outcome.tally.held_back > 0 {
                "the server took no more bytes: lower the rate, or see its errors"
            } else {
                "see errors, connections and generator for what held them up"
            }
        )
    })
}

/// Churn excused too much: how long a connection takes to let go and to come back is the server's
/// doing too, and what falls due meanwhile is in no latency.
fn excused(outcome: &Outcome) -> Option<String> {
    let (due, life) = (outcome.tally.due, &outcome.tally.life);
    let excused = life.skipped_in_turn;
    (excused as f64 > (due + life.skipped) as f64 * (1.0 - RATE_SHARE)).then(|| {
        format!(
            "{} messages fell due on connections whose turn to leave it was, over 1 %: their waits \
             are in no latency; lower --churn, or see why leaving and coming back takes so long",
            grouped(excused)
        )
    })
}

/// The same of one phase of several: what one held back may vanish in the sum.
fn too_slow_a_phase(phase: &PhaseResult) -> Option<String> {
    let (seconds, due) = (phase.lasts.as_secs_f64(), phase.counts.due);
    let requested = phase.rate_requested.filter(|_| seconds > 0.0)?;
    let requested = if due > 0 { due as f64 / seconds } else { requested };
    let achieved = phase.rate_achieved();
    (achieved < requested * RATE_SHARE).then(|| {
        format!(
            "phase {}: {} messages a second were sent of the {} requested, under 99 %; lower its \
             rate, or see errors, connections and generator for what held them up",
            phase.name,
            decimal(achieved),
            decimal(requested)
        )
    })
}

/// Another number of connections was measured than was asked for.
fn too_few_connections(outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    // Who was dropped on purpose is none of them: churn and storms are what was asked for. Who did
    // not come back is.
    let stayed = tally.established.saturating_sub(tally.lost() + tally.life.still_away);
    ((stayed as f64) < tally.requested as f64 * CONNECTION_SHARE).then(|| {
        format!(
            "{} connections were established of the {} requested, {} of them ended early, {} froze \
             unanswered and {} that had left were not back at the end: under 99 %; see the errors \
             for the cause",
            grouped(tally.established),
            grouped(tally.requested),
            grouped(tally.closed_early),
            grouped(tally.frozen),
            grouped(tally.life.still_away)
        )
    })
}

/// Nothing was measured.
fn silence(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let tally = &outcome.tally;
    if plan.pace == Pace::Silent {
        let unheard = tally.pings_sent > 0 && outcome.latencies.get(Kind::Ping).is_none();
        unheard.then(|| {
            format!(
                "none of {} heartbeats was answered; does the server send pongs?",
                grouped(tally.pings_sent)
            )
        })
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
