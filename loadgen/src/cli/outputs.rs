//! What a run shows while it lasts, and the documents that are asked for beside the report.

use std::path::PathBuf;

use super::usage::{UsageError, refuse};

/// What is shown on standard error while a run lasts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub enum Live {
    /// The full view on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A view that fills the terminal
    Full,
    /// A line at the end of each part and every five seconds
    Plain,
    /// Nothing
    Off,
}

/// One document that is made of the result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// What it looks like.
    pub format: Format,
    /// Where it goes.
    pub to: Place,
}

/// What a document of the result looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Everything, schema `plimsoll.loadgen/1`: it can be rendered, merged and compared again.
    Json,
    /// The same without `record`: what people and programs read, a few kilobytes.
    Summary,
    /// One page for a browser, which holds the JSON and draws it.
    Html,
    /// A row for each second and kind.
    Csv,
    /// Percentiles of the answering kind, as `HdrHistogram`'s plotters read them.
    Hgrm,
    /// Interval log of all kinds (`HdrHistogram` V2).
    Hlog,
}

impl Format {
    /// Its flag.
    pub fn flag(self) -> &'static str {
        match self {
            Self::Json => "--json",
            Self::Summary => "--json-summary",
            Self::Html => "--html",
            Self::Csv => "--csv",
            Self::Hgrm => "--hgrm",
            Self::Hlog => "--hlog",
        }
    }
}

/// Where a document goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Standard output; the report goes to standard error.
    Stdout,
    /// A file, replaced in one step when the run is over.
    File(PathBuf),
}

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
