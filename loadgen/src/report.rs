//! What the user gets to see of a finished run: the report for people, the result file for
//! programs.
//!
//! Both are made from the same [`Outcome`] and [`Judgement`]. Nothing is computed here that the
//! verdict depends on.

mod answer;
mod hdr;
mod json;
mod seconds;
mod sink;
mod style;
mod table;
mod text;

use crate::cli::plan::Format;
use crate::cli::{Find, Plan};
use crate::find::{Answer, Run, Step};
use crate::judge::Judgement;
use crate::measure::Outcome;
use crate::slo::Held;

pub use json::{answer_to_json, findings_to_json, to_json};
pub use sink::{Sink, SinkError};
pub use style::Style;

/// A finished run with its verdict.
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// What was asked for.
    pub plan: &'a Plan,
    /// What was measured.
    pub outcome: &'a Outcome,
    /// Whether it may be believed.
    pub judgement: &'a Judgement,
    /// The objectives, held against it.
    pub held: &'a [Held],
}

impl<'a> From<&'a Run> for Finished<'a> {
    fn from(run: &'a Run) -> Self {
        let Run { plan, outcome, judgement, held } = run;
        Self { plan, outcome, judgement, held }
    }
}

/// A document that cannot be made of a result.
#[derive(Debug, thiserror::Error)]
#[error("the {what} cannot be written: {cause}")]
pub struct DocumentError {
    what: &'static str,
    cause: String,
}

/// A document of a run, or of a search and the run that its answer stands on.
pub fn document(
    format: Format,
    finished: Finished<'_>,
    answer: Option<&Answer>,
) -> Result<Vec<u8>, DocumentError> {
    let failed =
        |what, cause: &dyn std::fmt::Display| DocumentError { what, cause: cause.to_string() };
    match (format, answer) {
        (Format::Json, None) => to_json(finished).map(String::into_bytes),
        (Format::Json, Some(answer)) => answer_to_json(finished, answer).map(String::into_bytes),
        (Format::Csv, _) => return Ok(seconds::csv(finished.outcome).into_bytes()),
        (Format::Hgrm, _) => return Ok(hdr::percentiles(finished.outcome).into_bytes()),
        (Format::Hlog, _) => {
            return hdr::log(finished.outcome).map_err(|cause| failed("interval log", &cause));
        }
    }
    .map_err(|cause| failed("JSON", &cause))
}

/// One step of a search, in a line without an end.
pub fn step_line(find: &Find, step: &Step, style: Style) -> String {
    answer::step_line(find.axis, step, style)
}

/// The answer of a search for people, in front of the report of the run that it stands on.
pub fn answer_text(answer: &Answer, style: Style) -> String {
    answer::text(answer, style)
}

impl Finished<'_> {
    /// The report for people: several lines, the last one ended too.
    pub fn to_text(self, style: Style) -> String {
        text::report(self, style)
    }

    /// Messages that CPU time is divided by: replies or deliveries, which both sides handled.
    fn messages(self) -> u64 {
        self.outcome.tally.received
    }
}

#[cfg(test)]
mod tests;
