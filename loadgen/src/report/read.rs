//! A result file read again: everything that the run's own report was made of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::json::SCHEMA;
use crate::cli::{Axis, Plan};
use crate::find::{Answer, Interval, Limit, Point, Row, Run, Usl};
use crate::human::reason;
use crate::judge::{Judgement, Verdict};
use crate::measure::Outcome;
use crate::slo::Held;

/// A result file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {rule}; {remedy}", .path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub rule: String,
    /// What to do.
    pub remedy: &'static str,
}

/// A run, or a search with the run that its answer stands on, as it was written.
pub struct Recorded {
    /// Where it was read from.
    pub path: PathBuf,
    /// What was asked for, what was measured, and whether it may be believed.
    pub run: Run,
    /// The search's answer, without its steps.
    pub answer: Option<Answer>,
}

/// What the schema has to be before anything else is looked at.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

#[derive(Deserialize)]
struct File {
    verdict: Verdict,
    verdict_reasons: Vec<String>,
    #[serde(default)]
    slo: Vec<Held>,
    plan: Option<Plan>,
    record: Option<Outcome>,
    find: Option<Search>,
}

#[derive(Deserialize)]
struct Search {
    axis: Axis,
    highest_passing: Option<f64>,
    lowest_failing: Option<f64>,
    gave_way: Option<Limit>,
    gave_way_reason: Option<String>,
    interrupted: bool,
    #[serde(default)]
    curve_error: Option<String>,
    curve: Vec<Point>,
    usl: Option<Usl>,
    sizing: Vec<Row>,
}

impl From<Search> for Answer {
    fn from(search: Search) -> Self {
        Self {
            axis: search.axis,
            interval: Interval { passing: search.highest_passing, failing: search.lowest_failing },
            gave_way: search.gave_way.zip(search.gave_way_reason),
            curve: search.curve,
            usl: search.usl,
            sizing: search.sizing,
            steps: Vec::new(),
            interrupted: search.interrupted,
            curve_error: search.curve_error,
        }
    }
}

impl Recorded {
    /// Reads a file, or standard input where the path is `-`.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let refused = |rule: String, remedy| ReadError { path: path.to_owned(), rule, remedy };
        let bytes =
            if path.as_os_str() == "-" { all_of(&mut io::stdin().lock()) } else { fs::read(path) };
        let bytes = bytes.map_err(|error| {
            refused(format!("it cannot be read ({})", reason(&error)), "name a file that can")
        })?;
        Self::parse(path, bytes)
    }

    /// Reads the text of a file.
    pub fn parse(path: &Path, mut text: Vec<u8>) -> Result<Self, ReadError> {
        const NONE: &str = "name a file that loadgen wrote with --json";
        let refused = |rule: String, remedy| ReadError { path: path.to_owned(), rule, remedy };
        let foreign = |error: simd_json::Error| {
            refused(format!("it is no result of loadgen ({error})"), NONE)
        };
        // The parser writes into what it reads.
        let head: Head = simd_json::serde::from_slice(&mut text.clone()).map_err(foreign)?;
        if head.schema != SCHEMA {
            let rule = format!("its schema is {}, not {SCHEMA}", head.schema);
            return Err(refused(rule, "use the loadgen that wrote it"));
        }
        let file: File = simd_json::serde::from_slice(&mut text).map_err(foreign)?;
        let (Some(plan), Some(outcome)) = (file.plan, file.record) else {
            let rule = "it is a summary, without the histograms".to_owned();
            return Err(refused(rule, NONE));
        };
        Ok(Self {
            path: path.to_owned(),
            run: Run {
                plan,
                outcome,
                judgement: Judgement { verdict: file.verdict, reasons: file.verdict_reasons },
                held: file.slo,
            },
            answer: file.find.map(Answer::from),
        })
    }
}

fn all_of(from: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).map(|_| bytes)
}
