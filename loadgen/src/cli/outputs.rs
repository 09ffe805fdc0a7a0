//! The documents that are asked for beside the report.

use std::path::PathBuf;

use super::plan::{Format, Output, Place};
use super::usage::{UsageError, refuse};

/// Documents and where they go.
#[derive(clap::Args, Clone, Default, Debug)]
pub struct Documents {
    /// Write the result as JSON (schema plimsoll.loadgen/1); - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// The same without histograms: small, but cannot be rendered, merged or compared again
    #[arg(long, value_name = "FILE|-")]
    pub json_summary: Option<PathBuf>,
    /// Write the result as one page for a browser, which needs no network; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub html: Option<PathBuf>,
    /// Write latencies second by second as CSV; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// Write the percentiles of the answers in `HdrHistogram` form (.hgrm); - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub hgrm: Option<PathBuf>,
    /// Write all latencies by the second as an `HdrHistogram` V2 log (.hlog); - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub hlog: Option<PathBuf>,
}

impl Documents {
    /// No two to one place.
    pub fn outputs(&self) -> Result<Vec<Output>, UsageError> {
        let given = [
            (Format::Json, &self.json),
            (Format::Summary, &self.json_summary),
            (Format::Html, &self.html),
            (Format::Csv, &self.csv),
            (Format::Hgrm, &self.hgrm),
            (Format::Hlog, &self.hlog),
        ];
        let mut outputs: Vec<Output> = Vec::new();
        for (format, path) in given {
            let Some(path) = path else { continue };
            let dash = path.as_os_str() == "-";
            let to = if dash { Place::Stdout } else { Place::File(path.clone()) };
            if let Some(other) = outputs.iter().find(|other| other.to == to) {
                return refuse(
                    format!("{} {} with {}", format.flag(), path.display(), other.format.flag()),
                    "two documents would be mixed in one place",
                    "give each a file of its own",
                );
            }
            outputs.push(Output { format, to });
        }
        Ok(outputs)
    }
}
