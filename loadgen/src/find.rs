//! `loadgen find`: the highest load that keeps the objectives, the lowest that does not, and which
//! limit gave way.
//!
//! Each load is a run of its own, from the first connect to the last close, with its warm-up: no
//! step inherits another's queues. A run whose verdict is not `valid` does not pass, whatever its
//! figures say.

mod curve;
mod limit;
mod search;
mod sizing;
mod usl;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

pub use curve::Point;
pub use limit::Limit;
pub use search::{Interval, Span};
pub use sizing::{HEADROOM, Row};
pub use usl::Usl;

use crate::cli::{Axis, Find, Plan, UsageError};
use crate::floor;
use crate::judge::{Judgement, Verdict, judge};
use crate::measure::{Outcome, Summary};
use crate::run::{RunError, run_until};
use crate::slo::{Held, error_share};
use search::{Probe, search};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A load makes a command line that contradicts itself.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The first run could not be made, and none could.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// One run of the search, or the reason why it could not be made.
pub struct Step {
    /// Messages a second, or connections.
    pub load: f64,
    /// Whether it kept every objective and may be believed.
    pub passed: bool,
    /// What gave way, and the sentence that shows it; `None` if it passed.
    pub limit: Option<(Limit, String)>,
    /// What was measured; `None` if the run could not be made.
    pub run: Option<Run>,
}

/// A run that was made.
pub struct Run {
    /// What was asked for.
    pub plan: Plan,
    /// What was measured.
    pub outcome: Outcome,
    /// Whether it may be believed.
    pub judgement: Judgement,
    /// The objectives against what was measured.
    pub held: Vec<Held>,
}

/// The answer.
pub struct Answer {
    /// What was raised.
    pub axis: Axis,
    /// Highest load that passes, lowest that does not.
    pub interval: Interval,
    /// What gave way at the lowest failing load.
    pub gave_way: Option<(Limit, String)>,
    /// Latency against load, in the order of the loads.
    pub curve: Vec<Point>,
    /// The curve's law.
    pub usl: Option<Usl>,
    /// Users and machines.
    pub sizing: Vec<Row>,
    /// Every run, in the order in which they were made.
    pub steps: Vec<Step>,
    /// The search was cut short.
    pub interrupted: bool,
    /// Why the curve has fewer points than it should: a run after the search could not be made.
    pub curve_error: Option<String>,
}

impl Answer {
    /// The run that the answer stands on: the last that passed at the highest passing load, else
    /// the last that was made.
    pub fn standing(&self) -> Option<&Run> {
        let last = |wanted: &dyn Fn(&&Step) -> bool| {
            self.steps.iter().rev().filter(wanted).find_map(|step| step.run.as_ref())
        };
        let found = self.interval.passing;
        last(&|step| step.passed && Some(step.load.to_bits()) == found.map(f64::to_bits))
            .or_else(|| last(&|_| true))
    }
}

/// Searches. `say` hears of each step when it is over.
pub fn find(
    find: &Find,
    stop: &AtomicBool,
    say: impl FnMut(&Find, &Step),
) -> Result<Answer, FindError> {
    let floor = floor::measured(find.floor(), &find.first, stop);
    let mut steps = Steps { find, stop, say, floor, made: Vec::new(), error: None };
    let interval = search(find.span, |load| steps.probe(load));
    if let Some(error) = steps.error.take() {
        return Err(error);
    }
    if let Some(found) = interval.passing {
        for load in curve::missing(found, find.span, steps.made.iter().map(|step| step.load)) {
            if steps.probe(load) == Probe::Stopped {
                break;
            }
        }
    }
    let interrupted = stop.load(Relaxed);
    let curve_error = steps.error.take().map(|error| error.to_string());
    let made = steps.made;
    let failing = interval.failing;
    let gave_way = made
        .iter()
        .rev()
        .find(|step| Some(step.load.to_bits()) == failing.map(f64::to_bits) && !step.passed)
        .and_then(|step| step.limit.clone());
    let curve = curve::points(&made);
    let mut answer = Answer {
        axis: find.axis,
        interval,
        gave_way,
        usl: curve::law(find.axis, &curve),
        curve,
        sizing: Vec::new(),
        steps: made,
        interrupted,
        curve_error,
    };
    if interval.passing.is_some()
        && let Some(run) = answer.standing()
    {
        answer.sizing = sizing::table(curve::machine(find.axis, run));
    }
    Ok(answer)
}

struct Steps<'a, S> {
    find: &'a Find,
    stop: &'a AtomicBool,
    say: S,
    /// The generator's own, before the first step.
    floor: Option<Summary>,
    made: Vec<Step>,
    error: Option<FindError>,
}

impl<S: FnMut(&Find, &Step)> Steps<'_, S> {
    fn probe(&mut self, load: f64) -> Probe {
        if self.stop.load(Relaxed) || self.error.is_some() {
            return Probe::Stopped;
        }
        let step = match self.run(load) {
            Ok(step) => step,
            Err(error) => {
                self.error = Some(error);
                return Probe::Stopped;
            }
        };
        // A run that was cut short says nothing about its load.
        if self.stop.load(Relaxed) {
            return Probe::Stopped;
        }
        (self.say)(self.find, &step);
        let probe = match (step.passed, &step.run) {
            (true, _) => Probe::Passed,
            (false, Some(run)) if run.judgement.verdict != Verdict::Valid => Probe::Disturbed,
            (false, Some(_)) => Probe::Failed,
            (false, None) => Probe::Impossible,
        };
        self.made.push(step);
        probe
    }

    fn run(&self, load: f64) -> Result<Step, FindError> {
        let plan = self.find.plan(load)?;
        match run_until(&plan, self.stop) {
            Ok(outcome) => {
                let outcome = Outcome { floor: self.floor, ..outcome };
                let judgement = judge(&plan, &outcome);
                let held = self.find.slo.hold(&outcome);
                let passed =
                    judgement.verdict == Verdict::Valid && held.iter().all(|clause| clause.passed);
                let limit = (!passed).then(|| limit::of_run(&outcome, &judgement, &held));
                let run = Some(Run { plan, outcome, judgement, held });
                Ok(Step { load, passed, limit, run })
            }
            Err(error) if self.stop.load(Relaxed) && matches!(error, RunError::Interrupted) => {
                Ok(Step { load, passed: false, limit: None, run: None })
            }
            // Nothing has worked yet: there is no load to come down from.
            Err(error) if self.made.iter().all(|step| step.run.is_none()) => Err(error.into()),
            Err(error) => match limit::of_error(&error) {
                None => Err(error.into()),
                limit => Ok(Step { load, passed: false, limit, run: None }),
            },
        }
    }
}

/// Share of what was tried that went wrong.
pub(crate) fn errors(run: &Run) -> f64 {
    error_share(&run.outcome.tally)
}
