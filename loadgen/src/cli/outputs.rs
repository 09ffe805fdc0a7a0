//! The documents that are asked for beside the report.

use super::Args;
use super::plan::{Format, Output, Place};
use super::usage::{UsageError, refuse};

/// Documents and where they go: no two to one place.
pub(super) fn outputs(args: &Args) -> Result<Vec<Output>, UsageError> {
    let given = [
        (Format::Json, &args.json),
        (Format::Csv, &args.csv),
        (Format::Hgrm, &args.hgrm),
        (Format::Hlog, &args.hlog),
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
