//! Which limit gave way in a step that did not pass.

use crate::judge::{Judgement, Verdict};
use crate::measure::Outcome;
use crate::run::RunError;
use crate::slo::Held;

/// Server CPU in the window, of all the machine's cores, from which there is none left.
const FULL: f64 = 0.9;

/// What could take no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Replies took longer than the objective allows.
    Latency,
    /// Connections failed or ended, or messages were not answered.
    Errors,
    /// The generator could not make the load: the server may carry more.
    Generator,
    /// A process may open no more files.
    Descriptors,
    /// Local addresses have no ports left.
    Ports,
    /// A memory bound of the server or the kernel.
    Memory,
    /// The server had no CPU left.
    Cpu,
}

impl Limit {
    /// The name in the result file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Errors => "errors",
            Self::Generator => "generator",
            Self::Descriptors => "descriptors",
            Self::Ports => "ports",
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// The limit of a step that ran, and the sentence that shows it.
pub(super) fn of_run(outcome: &Outcome, judgement: &Judgement, held: &[Held]) -> (Limit, String) {
    if let Some((cause, limit)) = outcome.tally.errors.keys().find_map(|c| Some((c, named(c)?))) {
        return (limit, cause.clone());
    }
    let reason = || judgement.reasons.first().cloned().unwrap_or_default();
    let broken = held.iter().find(|clause| !clause.passed);
    match (judgement.verdict, broken) {
        (Verdict::GeneratorBound, _) => (Limit::Generator, reason()),
        _ if server_share(outcome).is_some_and(|share| share > FULL) => {
            let share = server_share(outcome).unwrap_or_default() * 100.0;
            let why = broken.map_or_else(reason, ToString::to_string);
            (Limit::Cpu, format!("the server used {share:.0} % of all cores; {why}"))
        }
        (_, Some(clause)) if clause.latency => (Limit::Latency, clause.to_string()),
        (_, Some(clause)) => (Limit::Errors, clause.to_string()),
        (_, None) if reason().starts_with("the machine was full") => (Limit::Cpu, reason()),
        (_, None) => (Limit::Errors, reason()),
    }
}

/// The limit that kept a step from running at all; `None` if the run could never have worked.
pub(super) fn of_error(error: &RunError) -> Option<(Limit, String)> {
    let limit = match error {
        RunError::Shards(_) | RunError::Config(_) | RunError::System(_) => Limit::Descriptors,
        RunError::Sources(_) => Limit::Ports,
        RunError::NothingConnected { cause, .. } => named(cause).unwrap_or(Limit::Errors),
        RunError::Memory(_) | RunError::Server(_) | RunError::Thread(_) => Limit::Memory,
        RunError::Target(_)
        | RunError::Request(_)
        | RunError::Cost(_)
        | RunError::Prometheus(_)
        | RunError::Interrupted => return None,
    };
    Some((limit, error.to_string()))
}

/// A cause of failed connections that names its limit.
fn named(cause: &str) -> Option<Limit> {
    let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if has(&["open-file limit", "too many open files", "Too many open files"]) {
        Some(Limit::Descriptors)
    } else if has(&["no local port"]) {
        Some(Limit::Ports)
    } else if has(&["out of memory", "No buffer space", "Cannot allocate memory"]) {
        Some(Limit::Memory)
    } else {
        None
    }
}

/// Share of the machine's cores that the server used.
fn server_share(outcome: &Outcome) -> Option<f64> {
    let cost = outcome.server.as_ref()?;
    let window = outcome.phases.measure.as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    (window > 0.0).then(|| cost.cpu.as_secs_f64() / (window * cores))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::ServerCost;
    use crate::measure::{Kind, Phases};
    use crate::slo::Slo;
    use std::time::Duration;

    fn outcome() -> Outcome {
        let mut outcome = Outcome {
            phases: Phases { measure: Duration::from_secs(10), ..Phases::default() },
            ..Outcome::default()
        };
        outcome.latencies.record(Kind::Response, 30_000_000);
        (outcome.tally.requested, outcome.tally.established) = (10, 9);
        outcome
    }

    fn judged(verdict: Verdict, reason: &str) -> Judgement {
        Judgement { verdict, reasons: vec![reason.to_owned()] }
    }

    fn limit(outcome: &Outcome, judgement: &Judgement, slo: &str) -> Limit {
        of_run(outcome, judgement, &Slo::parse(slo).unwrap().hold(outcome)).0
    }

    #[test]
    fn each_limit_is_told_from_the_others() {
        let valid = judged(Verdict::Valid, "");
        let mut run = outcome();
        assert_eq!(limit(&run, &valid, "response.p99<20ms"), Limit::Latency);
        assert_eq!(limit(&run, &valid, "established>=99%"), Limit::Errors);
        let bound = judged(Verdict::GeneratorBound, "late");
        assert_eq!(limit(&run, &bound, "response.p99<20ms"), Limit::Generator);
        let full = judged(Verdict::Inconclusive, "the machine was full: all ran");
        assert_eq!(limit(&run, &full, "response.p99<1s"), Limit::Cpu);
        let cores = std::thread::available_parallelism().unwrap().get() as u32;
        let cpu = Duration::from_millis(9_500) * cores;
        run.server = Some(ServerCost { cpu, ..ServerCost::default() });
        assert_eq!(limit(&run, &valid, "response.p99<20ms"), Limit::Cpu);
        for (cause, expected) in [
            ("open-file limit 1024: raise it", Limit::Descriptors),
            ("no local port left for 127.0.0.1: add source addresses", Limit::Ports),
            ("No buffer space available", Limit::Memory),
        ] {
            run.tally.errors = [(cause.to_owned(), 1)].into();
            assert_eq!(limit(&run, &valid, "response.p99<20ms"), expected, "{cause}");
        }
    }
}
