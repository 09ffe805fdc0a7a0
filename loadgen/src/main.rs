//! The binary `loadgen`: arguments -> plan -> run -> verdict -> report -> exit code.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{CommandFactory, error::ErrorKind};
use loadgen::cli::plan::{Live, Output, Place, Target};
use loadgen::cli::{Args, Cli, Command, CompareArgs, DoctorArgs, FindArgs, MergeArgs, Plan};
use loadgen::cli::{ReadError, ReportArgs, UsageError};
use loadgen::compare::{self, Finding, compare};
use loadgen::doctor::{self, Findings, Kernel, State};
use loadgen::find::{Answer, FindError, find};
use loadgen::interrupt;
use loadgen::judge::{Judgement, Verdict, judge};
use loadgen::merge::merge;
use loadgen::report::{
    Finished, Recorded, Sink, Style, answer_text, document, step_line, to_document,
};
use loadgen::run::run_until;
use plimsoll::server::this_machine;

/// The run could not be made, or its result not be written.
const FAILED: u8 = 1;
/// The command line cannot be run. clap uses the same for what it refuses itself.
const USAGE: u8 = 2;
/// An objective was not kept.
const MISSED: u8 = 3;
/// The run measured the generator or the machine, not the server.
const INVALID: u8 = 4;
/// B is worse than A.
const WORSE: u8 = 5;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(ReadError::Flag(error)) => error.exit(),
        Err(ReadError::Usage(error)) => return ExitCode::from(refuse(&error)),
    };
    let result = match &cli.command {
        None => drive(&cli.args),
        Some(Command::Find(args)) => search(args),
        Some(Command::Doctor(args)) => consult(args),
        Some(Command::Report(args)) => render(args),
        Some(Command::Merge(args)) => add_up(args),
        Some(Command::Compare(args)) => weigh(args),
    };
    ExitCode::from(result.unwrap_or_else(|code| code))
}

/// The whole run; what went wrong has been said when an error's exit code comes back.
fn drive(args: &Args) -> Result<u8, u8> {
    let plan = args.plan().map_err(|error| refuse(&error))?;
    let (sinks, stop) = prepare(&plan, plan.quiet)?;
    let outcome = run_until(&plan, &stop).map_err(|error| fail(FAILED, &error))?;
    let judgement = judge(&plan, &outcome);
    let held = plan.slo.as_ref().map(|slo| slo.hold(&outcome)).unwrap_or_default();
    let finished = Finished { plan: &plan, outcome: &outcome, judgement: &judgement, held: &held };
    // The document first: a report that nobody can read must not cost the result.
    write(sinks, finished, None)?;
    show(&plan, &judgement, finished).map_err(|error| fail(FAILED, &error))?;
    Ok(code_of(finished))
}

/// The exit code of a run.
fn code_of(finished: Finished<'_>) -> u8 {
    match finished.judgement.verdict {
        Verdict::GeneratorBound | Verdict::Inconclusive => INVALID,
        Verdict::Valid if finished.held.iter().any(|clause| !clause.passed) => MISSED,
        Verdict::Valid => 0,
    }
}

/// The search for the highest load.
fn search(args: &FindArgs) -> Result<u8, u8> {
    let quiet = args.args.quiet;
    let wanted = args.find().map_err(|error| refuse(&error))?;
    let (sinks, stop) = prepare(&wanted.first, quiet)?;
    let style = Style::of(&io::stderr());
    let answer = find(&wanted, &stop, |find, step| {
        if !quiet {
            say(&step_line(find, step, style));
        }
    });
    let answer = answer.map_err(|error| match error {
        FindError::Usage(error) => refuse(&error),
        FindError::Run(error) => fail(FAILED, &error),
    })?;
    let Some(run) = answer.standing() else {
        return Err(fail(FAILED, &"interrupted before anything was measured"));
    };
    write(sinks, run.into(), Some(&answer))?;
    if !quiet {
        let text = |style| answer_text(&answer, style) + &Finished::from(run).to_text(style);
        print(&wanted.first.outputs, text).map_err(|error| fail(FAILED, &error))?;
    }
    Ok(if answer.interval.passing.is_some() { 0 } else { MISSED })
}

/// Whether this machine can carry a run.
fn consult(args: &DoctorArgs) -> Result<u8, u8> {
    let plan = args.plan().map_err(|error| refuse(&error))?;
    let findings = doctor::examine(&plan, &this_machine(), &Kernel::this());
    let text = |style| doctor::report(&findings, style);
    let shown = if args.json {
        let document =
            to_document(&Findings::of(&findings)).map_err(|error| fail(FAILED, &error))?;
        print_to(&mut io::stdout().lock(), |_| document)
    } else {
        print_to(&mut io::stdout().lock(), text)
    };
    shown.map_err(|error| fail(FAILED, &error))?;
    let short = findings.iter().any(|finding| finding.state == State::Short);
    Ok(if short { FAILED } else { 0 })
}

/// Results of earlier runs once more.
fn render(args: &ReportArgs) -> Result<u8, u8> {
    args.check().map_err(|error| refuse(&error))?;
    let outputs = args.documents.outputs().map_err(|error| refuse(&error))?;
    let sinks = open(&outputs)?;
    let results = read(&args.results)?;
    if let [result] = results.as_slice() {
        write(sinks, (&result.run).into(), result.answer.as_ref())?;
    }
    let text = |style| {
        let each = |result: &Recorded| {
            let name = match results.len() {
                1 => String::new(),
                _ => format!("==> {} <==\n", result.path.display()),
            };
            let answer = result.answer.as_ref().map(|answer| answer_text(answer, style));
            name + &answer.unwrap_or_default() + &Finished::from(&result.run).to_text(style)
        };
        results.iter().map(each).collect::<Vec<_>>().join("\n")
    };
    if !args.quiet {
        print(&outputs, text).map_err(|error| fail(FAILED, &error))?;
    }
    Ok(0)
}

/// Results of several machines as one.
fn add_up(args: &MergeArgs) -> Result<u8, u8> {
    let outputs = args.documents.outputs().map_err(|error| refuse(&error))?;
    let sinks = open(&outputs)?;
    let sum = merge(&read(&args.results)?).map_err(|error| fail(FAILED, &error))?;
    let Some(sum) = sum else { return Err(fail(FAILED, &"there is nothing to add")) };
    let finished = Finished::from(&sum);
    write(sinks, finished, None)?;
    if !args.quiet {
        print(&outputs, |style| finished.to_text(style)).map_err(|error| fail(FAILED, &error))?;
    }
    Ok(code_of(finished))
}

/// B against A.
fn weigh(args: &CompareArgs) -> Result<u8, u8> {
    let (a, b) = args.sides().map_err(|error| refuse(&error))?;
    let comparison = compare(&read(a)?, &read(b)?, &args.terms());
    let shown = if args.json {
        let document = to_document(&comparison).map_err(|error| fail(FAILED, &error))?;
        print_to(&mut io::stdout().lock(), |_| document)
    } else {
        print_to(&mut io::stdout().lock(), |style| compare::report(&comparison, style))
    };
    shown.map_err(|error| fail(FAILED, &error))?;
    if comparison.invalid && !args.any_verdict {
        let why = "a run is invalid, so its figures are not compared; --any-verdict does so anyway";
        return Err(fail(INVALID, &why));
    }
    Ok(match comparison.finding {
        Finding::Worse => WORSE,
        Finding::Unknown => INVALID,
        Finding::Better | Finding::Same => 0,
    })
}

fn read(paths: &[PathBuf]) -> Result<Vec<Recorded>, u8> {
    let results = paths.iter().map(|path| Recorded::read(path)).collect::<Result<_, _>>();
    results.map_err(|error| fail(FAILED, &error))
}

/// Places for the documents, tried.
fn open(outputs: &[Output]) -> Result<Vec<Sink>, u8> {
    let sinks = outputs.iter().map(Sink::open).collect::<Result<_, _>>();
    sinks.map_err(|error| fail(USAGE, &error))
}

/// What must stand before the first thread: places for the documents, and who hears of Ctrl-C.
fn prepare(plan: &Plan, quiet: bool) -> Result<(Vec<Sink>, Arc<AtomicBool>), u8> {
    if plan.live == Live::Full && !io::stderr().is_terminal() {
        return Err(refuse(&UsageError {
            input: "--live full".to_owned(),
            rule: "standard error is no terminal".to_owned(),
            remedy: "use --live plain, or drop it".to_owned(),
        }));
    }
    let sinks = open(&plan.outputs)?;
    if !quiet && matches!(plan.target, Target::Embedded { .. }) {
        say("no URL given: the server runs inside this process, on loopback");
    }
    let stop = interrupt::watch().map_err(|error| fail(FAILED, &error))?;
    Ok((sinks, stop))
}

/// Every document. One that cannot be written does not keep the others back.
fn write(sinks: Vec<Sink>, finished: Finished<'_>, answer: Option<&Answer>) -> Result<(), u8> {
    let mut result = Ok(());
    for sink in sinks {
        let written = document(sink.format(), finished, answer)
            .map_err(|error| fail(FAILED, &error))
            .and_then(|text| sink.write(&text).map_err(|error| fail(FAILED, &error)));
        result = result.and(written);
    }
    result
}

/// Printed as clap prints its own: the error, then where to read on.
fn refuse(error: &UsageError) -> u8 {
    let shown = Cli::command().error(ErrorKind::ArgumentConflict, error).print();
    shown.map_or(FAILED, |()| USAGE)
}

/// The report. Quiet runs say only why their figures must not be used.
fn show(plan: &Plan, judgement: &Judgement, finished: Finished<'_>) -> io::Result<()> {
    if plan.quiet {
        for reason in &judgement.reasons {
            say(&format!("{}: {reason}", judgement.verdict.name()));
        }
        for clause in finished.held.iter().filter(|clause| !clause.passed) {
            say(&format!("objective not kept: {clause}"));
        }
        return Ok(());
    }
    print(&plan.outputs, |style| finished.to_text(style))
}

/// On standard output, unless a document goes there.
fn print(outputs: &[Output], text: impl FnOnce(Style) -> String) -> io::Result<()> {
    if outputs.iter().any(|output| output.to == Place::Stdout) {
        print_to(&mut io::stderr().lock(), text)
    } else {
        print_to(&mut io::stdout().lock(), text)
    }
}

fn print_to(
    to: &mut (impl Write + IsTerminal),
    text: impl FnOnce(Style) -> String,
) -> io::Result<()> {
    let text = text(Style::of(to));
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
