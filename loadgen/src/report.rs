//! What the user gets to see of a finished run: the report for people, the result file for
//! programs.
//!
//! Both are made from the same [`Outcome`] and [`Judgement`]. Nothing is computed here that the
//! verdict depends on.

mod json;
mod sink;
mod style;
mod table;
mod text;

use crate::cli::Plan;
use crate::judge::Judgement;
use crate::measure::Outcome;

pub use json::to_json;
pub use sink::{JsonSink, SinkError};
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
