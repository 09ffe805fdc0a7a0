//! The binary `loadgen`: arguments -> plan -> run -> verdict -> report -> exit code.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use loadgen::cli::plan::{JsonTo, Target};
use loadgen::cli::{Args, Plan};
use loadgen::interrupt;
use loadgen::judge::{Judgement, Verdict, judge};
use loadgen::report::{Finished, JsonSink, Style, to_json};
use loadgen::run::run_until;

/// The run could not be made, or its result not be written.
const FAILED: u8 = 1;
/// The command line cannot be run. clap uses the same for what it refuses itself.
const USAGE: u8 = 2;
/// The run measured the generator or the machine, not the server.
const INVALID: u8 = 4;

fn main() -> ExitCode {
    match drive() {
        Ok(Verdict::Valid) => ExitCode::SUCCESS,
        Ok(Verdict::GeneratorBound | Verdict::Inconclusive) => ExitCode::from(INVALID),
        Err(code) => ExitCode::from(code),
    }
}

/// The whole run; what went wrong has been said when an exit code comes back.
fn drive() -> Result<Verdict, u8> {
    let args = Args::parse();
    let plan = args.plan().map_err(|error| {
        // Printed as clap prints its own: the error, then where to read on.
        let shown = Args::command().error(ErrorKind::ArgumentConflict, error).print();
        shown.map_or(FAILED, |()| USAGE)
    })?;
    let sink = plan.json.as_ref().map(JsonSink::open).transpose().map_err(|e| fail(USAGE, &e))?;
    if !plan.quiet && matches!(plan.target, Target::Embedded { .. }) {
        say("no URL given: the server runs inside this process, on loopback");
    }
    let stop = interrupt::watch().map_err(|error| fail(FAILED, &error))?;
    let outcome = run_until(&plan, &stop).map_err(|error| fail(FAILED, &error))?;
    let judgement = judge(&plan, &outcome);
    let finished = Finished { plan: &plan, outcome: &outcome, judgement: &judgement };
    // The document first: a report that nobody can read must not cost the result.
    if let Some(sink) = sink {
        let document = to_json(finished).map_err(|error| fail(FAILED, &error))?;
        sink.write(&document).map_err(|error| fail(FAILED, &error))?;
    }
    show(&plan, &judgement, finished).map_err(|error| fail(FAILED, &error))?;
    Ok(judgement.verdict)
}

/// The report, on standard output unless the document goes there. Quiet runs say only why their
/// figures must not be used.
fn show(plan: &Plan, judgement: &Judgement, finished: Finished<'_>) -> io::Result<()> {
    if plan.quiet {
        for reason in &judgement.reasons {
            say(&format!("{}: {reason}", judgement.verdict.name()));
        }
        return Ok(());
    }
    match plan.json {
        Some(JsonTo::Stdout) => print(&mut io::stderr().lock(), finished),
        Some(JsonTo::File(_)) | None => print(&mut io::stdout().lock(), finished),
    }
}

fn print(to: &mut (impl Write + IsTerminal), finished: Finished<'_>) -> io::Result<()> {
    let text = finished.to_text(Style::of(to));
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        // A reader that has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn fail(code: u8, error: &impl Display) -> u8 {
    say(&format!("error: {error}"));
    code
}

/// One line on standard error. If nobody can be told, the exit code still stands.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "loadgen: {text}");
}
