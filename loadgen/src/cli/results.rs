//! The words that work on results of earlier runs.

use std::path::PathBuf;

use super::outputs::Documents;
use super::quantity;
use super::usage::{UsageError, refuse};
use crate::compare::{Metric, Terms};

/// `loadgen report`.
#[derive(clap::Args, Clone, Debug)]
pub struct ReportArgs {
    /// Files that --json wrote; - is standard input
    #[arg(required = true, value_name = "RESULT")]
    pub results: Vec<PathBuf>,
    /// What to make of it besides.
    #[command(flatten)]
    pub documents: Documents,
    /// Documents only
    #[arg(long)]
    pub quiet: bool,
}

impl ReportArgs {
    /// A document is that of one result.
    pub fn check(&self) -> Result<(), UsageError> {
        let outputs = self.documents.outputs()?;
        match (outputs.first(), self.results.len()) {
            (Some(output), 2..) => refuse(
                format!("{} with {} results", output.format.flag(), self.results.len()),
                "a document is that of one result",
                "name one result, or merge them",
            ),
            _ => Ok(()),
        }
    }
}

/// `loadgen merge`.
#[derive(clap::Args, Clone, Debug)]
pub struct MergeArgs {
    /// Files that --json wrote, one of each machine
    #[arg(required = true, num_args = 2.., value_name = "RESULT")]
    pub results: Vec<PathBuf>,
    /// What to make of the sum.
    #[command(flatten)]
    pub documents: Documents,
    /// Documents only
    #[arg(long)]
    pub quiet: bool,
}

/// `loadgen compare`.
#[derive(clap::Args, Clone, Debug)]
pub struct CompareArgs {
    /// A and B; or all of A's before -- and all of B's after it; or, with --baseline, B's
    #[arg(required = true, value_name = "RESULT")]
    pub results: Vec<PathBuf>,
    /// B's results, where A has several
    #[arg(last = true, value_name = "RESULT OF B")]
    pub against: Vec<PathBuf>,
    /// A result of A; may be given several times
    #[arg(long, value_name = "RESULT")]
    pub baseline: Vec<PathBuf>,
    /// Decide by rate, errors, KIND.pNN; several by commas [default: the answers' p99, errors]
    #[arg(long, value_name = "FIGURES", value_delimiter = ',', value_parser = Metric::parse)]
    pub metric: Vec<Metric>,
    /// That what is called worse is not chance's work
    #[arg(long, value_name = "PERCENT", default_value = "95%",
        value_parser = quantity::confidence)]
    pub confidence: f64,
    /// Differences up to this do not matter
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = quantity::share)]
    pub threshold: f64,
    /// Compare runs whose verdict is not valid, too
    #[arg(long)]
    pub any_verdict: bool,
    /// Write the comparison as JSON to standard output
    #[arg(long)]
    pub json: bool,
}

impl CompareArgs {
    /// The files of A and of B.
    pub fn sides(&self) -> Result<(&[PathBuf], &[PathBuf]), UsageError> {
        match (self.baseline.as_slice(), self.results.as_slice(), self.against.as_slice()) {
            ([], [a, b], []) => Ok((std::slice::from_ref(a), std::slice::from_ref(b))),
            ([], a, b @ [_, ..]) | (a @ [_, ..], b, []) => Ok((a, b)),
            ([_, ..], _, [_, ..]) => {
                refuse("--baseline with --", "both say which results are A's", "use one of them")
            }
            ([], given, []) => refuse(
                format!("compare of {}", given.len()),
                "which are A's and which are B's is not said",
                "write compare A B, or compare A1 A2 -- B1 B2",
            ),
        }
    }

    /// How they are compared.
    pub fn terms(&self) -> Terms {
        Terms {
            metrics: self.metric.clone(),
            confidence: self.confidence,
            threshold: self.threshold,
        }
    }
}
