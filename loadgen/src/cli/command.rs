//! The command line as a whole: a run, or a word first and what belongs to it.

use std::time::Duration;

use clap::{Parser, Subcommand};

use super::plan::{Live, Mode, Pace, Plan, Switch};
use super::quantity::OrAuto;
use super::results::{CompareArgs, MergeArgs, ReportArgs};
use super::usage::{UsageError, refuse};
use super::{Args, quantity};
use crate::find::Span;
use crate::slo::Slo;

/// Puts a WebSocket server under load and measures its latency, open loop or closed.
///
/// Without a URL it starts a server inside itself, on loopback.
#[derive(Parser, Clone, Debug)]
#[command(name = "loadgen", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 0 pass, 1 runtime error, 2 usage, 3 an objective (--slo) was \
    not kept, 4 the run is invalid (it measured the generator or the machine, not the server), \
    5 worse (compare). \
    Ctrl-C ends the measured window early and reports it; before that window it ends with 1, and a \
    second one at once with 130.")]
pub struct Cli {
    /// Without one it is a run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run.
    #[command(flatten)]
    pub args: Args,
}

/// What else it does.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Find the highest load that keeps the objectives, and which limit gives way above it
    #[command(
        after_help = "Exit codes: 0 there is an answer, 1 runtime error, 2 usage, 3 no load \
        kept the objectives."
    )]
    Find(Box<FindArgs>),
    /// Say whether this machine can carry a run, and what to do where it cannot
    #[command(after_help = "Changes nothing. Exit codes: 0 enough, 1 something is short, 2 usage.")]
    Doctor(DoctorArgs),
    /// Render results of earlier runs again
    Report(ReportArgs),
    /// Add up the results of several machines that drove one server together
    #[command(after_help = "Histograms and counts are added, percentiles read from the sum; the \
        verdict is the worst. Runs that asked for different things are refused. Exit codes: those \
        of a run.")]
    Merge(MergeArgs),
    /// Say whether B is worse than A beyond noise
    #[command(
        after_help = "Exit codes: 0 not worse, 1 a file cannot be used, 2 usage, 4 a run is \
        invalid or too short to say, 5 worse."
    )]
    Compare(CompareArgs),
}

/// `loadgen doctor`.
#[derive(clap::Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Connections of the run, such as 100k
    #[arg(short, long, value_name = "N", default_value = "1000", value_parser = quantity::positive)]
    pub connections: u32,
    /// Server of the run, or each of several [default: one inside loadgen, on loopback]
    #[arg(long)]
    pub url: Vec<String>,
    /// Local addresses to connect from, as in a run
    #[arg(long, value_name = "LIST|auto", default_value = "auto")]
    pub source_ip: String,
    /// Generator threads, as in a run
    #[arg(short, long, value_name = "auto|N", default_value = "auto",
        value_parser = quantity::threads)]
    pub threads: OrAuto,
    /// Write the findings as JSON to standard output
    #[arg(long)]
    pub json: bool,
}

impl DoctorArgs {
    /// The run that is asked about.
    pub fn plan(&self) -> Result<Plan, UsageError> {
        let mut args = Args::parse_from(["loadgen"]);
        args.url.clone_from(&self.url);
        args.connections = Some(self.connections);
        args.source_ip.clone_from(&self.source_ip);
        args.threads = self.threads;
        args.plan()
    }
}

/// What a search raises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Messages a second, total over all connections
    Rate,
    /// Connections
    Connections,
}

impl Axis {
    /// The name on the command line and in the result file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Connections => "connections",
        }
    }
}

/// `loadgen find`.
#[derive(clap::Args, Clone, Debug)]
pub struct FindArgs {
    /// What is raised until something gives way
    #[arg(value_enum)]
    pub axis: Axis,
    /// Each step as a run; --rate or --connections is where the search begins
    #[command(flatten)]
    pub args: Args,
    /// Length of each step's measured window [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = quantity::positive_duration)]
    pub step: Option<Duration>,
    /// How near the lowest failing load must come to the highest passing one
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = quantity::tolerance)]
    pub tolerance: f64,
    /// Highest load to try [default: 10M messages a second, 1M connections]
    #[arg(long, value_name = "LOAD", value_parser = quantity::rate)]
    pub max: Option<f64>,
}

/// A search without contradictions.
#[derive(Clone, Debug)]
pub struct Find {
    /// What is raised.
    pub axis: Axis,
    /// From where, how far, how close.
    pub span: Span,
    /// What each step must keep.
    pub slo: Slo,
    /// The first step's plan; also where the result goes.
    pub first: Plan,
    args: Args,
}

/// A step's measured window when nothing says how long.
const STEP: Duration = Duration::from_secs(5);
/// First load when nothing says which.
const START: f64 = 1000.0;
const MOST_RATE: f64 = 10e6;
const MOST_CONNECTIONS: f64 = 1e6;

impl FindArgs {
    /// Checks what flags say together.
    pub fn find(&self) -> Result<Find, UsageError> {
        let mut args = self.args.clone();
        if let (Some(step), Some(_)) = (self.step, args.duration) {
            return refuse(
                format!("--step {} with --duration", humantime::format_duration(step)),
                "both set the length of a step",
                "drop one of them",
            );
        }
        let flags = [
            ("--scenario", args.scenario.is_some()),
            ("--fragment-matrix", args.fragment_matrix.is_some()),
            ("--ramp-to", args.ramp_to.is_some()),
        ];
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
            return refuse(
                format!("find with {flag}"),
                "each step of a search is one load from beginning to end",
                "drop it, and give the load as flags",
            );
        }
        args.duration = self.step.or(args.duration).or(Some(STEP));
        let (start, most) = self.bounds(&args)?;
        if start > most {
            return refuse(
                format!("--max {most}"),
                format!("the search begins at {start}"),
                "raise it, or begin lower",
            );
        }
        let whole = self.axis == Axis::Connections;
        let span = Span { start, least: 1.0, most, tolerance: self.tolerance, whole };
        let first = plan_at(self.axis, &args, start)?;
        let slo = match &args.slo {
            Some(slo) => slo.clone(),
            None => usual(&first),
        };
        Ok(Find { axis: self.axis, span, slo, first, args })
    }

    /// Where the search begins and ends.
    fn bounds(&self, args: &Args) -> Result<(f64, f64), UsageError> {
        match self.axis {
            Axis::Rate => {
                let flags = [
                    ("--rate-per-connection", args.rate_per_connection.is_some()),
                    ("--pipeline", args.pipeline.is_some()),
                    ("--mode idle", args.mode == super::ModeName::Idle),
                ];
                if let Some((flag, _)) = flags.iter().find(|(_, given)| *given) {
                    return refuse(
                        format!("find rate with {flag}"),
                        "the search sets the rate, in total",
                        "drop it, or find connections",
                    );
                }
                Ok((args.rate.unwrap_or(START), self.max.unwrap_or(MOST_RATE)))
            }
            Axis::Connections => {
                let start = args.connections.map_or(START, f64::from);
                Ok((start, self.max.unwrap_or(MOST_CONNECTIONS).floor().max(1.0)))
            }
        }
    }
}

impl Find {
    /// Whether the generator's own floor is measured first.
    pub fn floor(&self) -> Switch {
        self.args.floor
    }

    /// The plan of one step.
    pub fn plan(&self, load: f64) -> Result<Plan, UsageError> {
        plan_at(self.axis, &self.args, load)
    }
}

fn plan_at(axis: Axis, args: &Args, load: f64) -> Result<Plan, UsageError> {
    let mut args = args.clone();
    match axis {
        Axis::Rate => args.rate = Some(load),
        Axis::Connections => args.connections = Some(load as u32),
    }
    let plan = args.plan()?;
    // Each step tells of itself when it is over; the floor is that of all of them.
    Ok(Plan { quiet: true, live: Live::Off, floor: Switch::Off, ..plan })
}

/// The objectives when nothing says which.
fn usual(plan: &Plan) -> Slo {
    let text = match (plan.mode, plan.pace) {
        (Mode::Idle, _) | (_, Pace::Silent) => "ping.p99<20ms,errors<0.1%,established>=99.9%",
        (Mode::Broadcast(_), _) => "delivery.p99<20ms,errors<0.1%,established>=99.9%",
        (Mode::Echo, _) => "response.p99<20ms,errors<0.1%,established>=99.9%",
    };
    Slo::parse(text).expect("these are well-formed")
}
