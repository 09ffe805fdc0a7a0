//! What the user gets to see of a finished run: the report for people, the result file for
//! programs.
//!
//! Both are made from the same [`Outcome`] and [`Judgement`]. Nothing is computed here that the
//! verdict depends on.

mod answer;
mod hdr;
mod json;
mod life;
mod phases;
mod read;
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
use crate::page;
use crate::slo::Held;

pub use json::{to_document, to_json};
pub use read::{ReadError, Recorded};
pub use sink::{Sink, SinkError};
pub use style::Style;
pub(crate) use table::is_few;

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
    let outcome = finished.outcome;
    match format {
        Format::Json => to_json(finished, answer).map(String::into_bytes),
        Format::Summary => json::to_summary(finished, answer).map(String::into_bytes),
        Format::Html => to_json(finished, answer).map(|result| page::page(&result).into_bytes()),
        Format::Csv => return Ok(seconds::csv(outcome).into_bytes()),
        Format::Hgrm => return Ok(hdr::percentiles(outcome).into_bytes()),
        Format::Hlog => {
            return hdr::log(outcome).map_err(|cause| failed("interval log", &cause));
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
