//! The command line. It reads flags and hands back a [`Plan`]; it opens nothing but the files that
//! flags name as input, and prints nothing.

mod address;
mod check;
mod command;
mod difference;
mod fragments;
mod heartbeat;
mod input;
mod life;
pub mod matrix;
pub mod message;
mod outputs;
pub mod pattern;
mod phase;
pub mod plan;
mod protocol;
pub mod quantity;
mod request;
mod results;
pub mod scenario;
pub mod sizes;
mod target;
mod usage;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::slo::Slo;
pub use command::{Axis, Cli, Command, DoctorArgs, Find, FindArgs};
pub use difference::{Difference, differences};
pub use life::LifeArgs;
use matrix::Matrix;
use message::DataOrder;
pub use outputs::Documents;
pub use plan::Plan;
use plan::{Arrival, HeartbeatKind, HeartbeatPhase, Live, Switch};
pub use protocol::{Centrifugo, Protocol, ProtocolArgs, ProtocolName};
use quantity::{OrAuto, OrOff};
pub use results::{CompareArgs, MergeArgs, ReportArgs};
pub use scenario::{PhaseArgs, ReadError};
use sizes::Sizes;
pub use usage::UsageError;

/// Puts a WebSocket server under load and measures its latency, open loop or closed.
///
/// Without a URL it starts a server inside itself, on loopback.
#[derive(Parser, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(name = "loadgen", version, max_term_width = 100)]
pub struct Args {
    /// Server under load, such as `ws://127.0.0.1:9001/echo`; several share the connections, or the
    /// rooms of a broadcast, in turn [default: a server of its own]
    #[arg(value_name = "URL")]
    pub url: Vec<String>,

    /// Connections in all, such as 100k [default: 1000]
    #[arg(short, long, value_name = "N", value_parser = quantity::positive)]
    pub connections: Option<u32>,
    /// Generator threads; auto is one per core, and more where the open-file limit asks for it
    #[arg(short, long, value_name = "auto|N", default_value = "auto",
        value_parser = quantity::threads)]
    pub threads: OrAuto,
    /// Length of the measured window [default: 10s]
    #[arg(short, long, value_name = "TIME", value_parser = quantity::positive_duration)]
    pub duration: Option<Duration>,

    /// Messages sent a second, total over all connections (open loop)
    #[arg(short = 'R', long, value_name = "PER-SECOND", value_parser = quantity::rate)]
    pub rate: Option<f64>,
    /// Messages sent a second at the window's end, total: from --rate there in a straight line
    #[arg(long, value_name = "PER-SECOND", value_parser = quantity::rate)]
    pub ramp_to: Option<f64>,
    /// Messages sent a second by each sending connection (open loop)
    #[arg(long, value_name = "PER-SECOND", value_parser = quantity::rate)]
    pub rate_per_connection: Option<f64>,
    /// How the send times of an open loop lie [default: uniform]
    #[arg(long, value_enum)]
    pub arrival: Option<Arrival>,
    /// Messages that each connection keeps unanswered (closed loop) [default: 1]
    #[arg(long, value_name = "N", value_parser = quantity::positive)]
    pub pipeline: Option<u32>,

    /// What the connections do
    #[arg(long, value_enum, default_value = "echo")]
    pub mode: ModeName,
    /// Rooms (broadcast) [default: 1]
    #[arg(long, value_name = "N", value_parser = quantity::positive)]
    pub rooms: Option<u32>,
    /// Connections that publish, in all rooms together (broadcast) [default: one for each room]
    #[arg(long, value_name = "N", value_parser = quantity::positive)]
    pub publishers: Option<u32>,
    /// Connections that only listen, in all rooms together (broadcast) [default: the others]
    #[arg(long, value_name = "N", value_parser = quantity::count)]
    pub subscribers: Option<u32>,

    /// What is spoken in rooms.
    #[command(flatten)]
    pub protocol: ProtocolArgs,

    /// Connections begun a second, total; off begins them as fast as they complete
    #[arg(long, value_name = "PER-SECOND|off", default_value = "20k/s",
        value_parser = quantity::rate_or_off)]
    pub ramp: OrOff<f64>,
    /// Load before the measured window, not reported
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = quantity::duration)]
    pub warmup: Duration,
    /// Wait for late replies after the last send
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = quantity::duration)]
    pub drain: Duration,
    /// Longest time from a connect to its 101
    #[arg(long, value_name = "TIME", default_value = "30s",
        value_parser = quantity::positive_duration)]
    pub timeout: Duration,
    /// Seed of send times, sizes and payloads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Time between the pings of one connection
    #[arg(long, value_name = "TIME|off", default_value = "30s",
        value_parser = quantity::duration_or_off)]
    pub heartbeat: OrOff<Duration>,
    /// Protocol pings, or text messages as a browser's script sends them [default: ping]
    #[arg(long, value_enum)]
    pub heartbeat_kind: Option<HeartbeatKind>,
    /// How the connections' heartbeats lie to each other [default: spread]
    #[arg(long, value_enum)]
    pub heartbeat_phase: Option<HeartbeatPhase>,
    /// What text heartbeats say [default: a number, by which the reply is found]
    #[arg(long, value_name = "BODY", allow_hyphen_values = true)]
    pub heartbeat_text: Option<String>,
    /// The text message that answers such a heartbeat [default: the same]
    #[arg(long, value_name = "BODY", allow_hyphen_values = true)]
    pub heartbeat_reply: Option<String>,

    /// Payload bytes of a message: 128, 64..4096, `64:90%,4KiB:10%`, normal:MEAN:SD, exp:MEAN,
    /// lognormal:MEDIAN:SIGMA, the last three also with :MIN..MAX behind them [default: 125]
    #[arg(long, value_name = "BYTES", value_parser = sizes::size)]
    pub size: Option<Sizes>,
    /// Send this instead of made-up bytes. Placeholders: {stamp}, by which the reply is found
    /// (else first in, first out), {connection}, {sequence}, {time} in ms since 1970, {data}
    #[arg(long, value_name = "TEMPLATE", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Read that template from a file
    #[arg(long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// Lines to send, one a message, or in place of {data} in the template
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The order of those lines [default: round-robin]
    #[arg(long, value_enum)]
    pub data_order: Option<DataOrder>,
    /// Send text messages (default with --message and --data)
    #[arg(long, conflicts_with = "binary")]
    pub text: bool,
    /// Send binary messages (default)
    #[arg(long)]
    pub binary: bool,
    /// Frames of one message [default: 1]
    #[arg(long, value_name = "N", value_parser = quantity::positive)]
    pub fragments: Option<u32>,
    /// Time between the frames of one message
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub fragment_gap: Option<Duration>,
    /// Send a ping between the frames of each message
    #[arg(long)]
    pub interleave_ping: bool,
    /// Run every combination, each for --duration, such as 'fragments=1,4,16 gap=0,5ms ping=off,on'
    #[arg(long, value_name = "LISTS", value_parser = matrix::matrix)]
    pub fragment_matrix: Option<Matrix>,
    /// Compare each byte of every reply with what was sent
    #[arg(long)]
    pub verify: bool,

    /// What becomes of connections during the run.
    #[command(flatten)]
    pub life: LifeArgs,

    /// Local addresses to connect from, separated by commas; auto takes as many as loopback needs
    #[arg(long, value_name = "LIST|auto", default_value = "auto")]
    pub source_ip: String,
    /// Further field of the upgrade request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Cookie to send. Its value, like a header's, may hold {connection}, the connection's number,
    /// as the URL's path may, and {line:FILE}, its line of a file
    #[arg(long = "cookie", value_name = "NAME=VALUE")]
    pub cookies: Vec<String>,
    /// Subprotocol to offer; several in order of preference
    #[arg(long, value_name = "NAME")]
    pub subprotocol: Vec<String>,
    /// Origin to send
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Option<String>,

    /// Read flags by their names, and phases, from this file; flags given here override it
    #[arg(long, value_name = "FILE.toml")]
    pub scenario: Option<PathBuf>,
    /// What that file's phases say.
    #[arg(skip)]
    pub phases: Vec<PhaseArgs>,
    /// Of one of several phases, how long all of them last.
    #[arg(skip)]
    pub window: Option<Duration>,

    /// Objectives that the run must keep, such as `response.p99<20ms,errors<0.1%`; exit 3 if not
    #[arg(long, value_name = "CLAUSES", value_parser = Slo::parse)]
    pub slo: Option<Slo>,

    /// Process id of a local server, whose CPU and memory are then measured too
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Page of metrics (Prometheus text) on which the server, wherever it runs, tells its CPU and
    /// memory, such as `http://127.0.0.1:9002/metrics`
    #[arg(long, value_name = "URL")]
    pub server_metrics: Option<String>,
    /// Threads of the server inside; auto as for the generator
    #[arg(long, value_name = "auto|N", value_parser = quantity::threads)]
    pub server_threads: Option<OrAuto>,
    /// Measure before the run what an echo that costs nothing would be reported as
    #[arg(long, value_enum, default_value = "on")]
    pub floor: Switch,
    /// Leave the threads unbound to cores
    #[arg(long)]
    pub no_pin: bool,

    /// Documents of the result.
    #[command(flatten)]
    pub documents: Documents,
    /// What to show while the run lasts
    #[arg(long, value_enum, default_value = "auto")]
    pub live: Live,
    /// Serve the run so far to Prometheus while it lasts, at `/metrics` of this address
    #[arg(long, value_name = "ADDR")]
    pub prometheus: Option<SocketAddr>,
    /// No progress and no report
    #[arg(long)]
    pub quiet: bool,
}

/// The modes' names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ModeName {
    /// Every message comes back to its sender
    Echo,
    /// Every message comes back to everyone in its room
    Broadcast,
    /// Connections and heartbeats only
    Idle,
}

impl Args {
    /// Checks what flags say together. Every contradiction is refused.
    pub fn plan(&self) -> Result<Plan, UsageError> {
        check::plan(self)
    }

    /// The addresses of `--source-ip`; `None` is `auto`.
    fn source_list(&self) -> Result<Option<Vec<IpAddr>>, String> {
        if self.source_ip == "auto" {
            return Ok(None);
        }
        let address = |text: &str| {
            text.trim().parse::<IpAddr>().map_err(|_| format!("'{text}' is not an IP address"))
        };
        self.source_ip.split(',').map(address).collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests;
