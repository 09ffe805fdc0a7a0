//! The plan of a run: plain data, checked, without contradictions. Nothing here reads a flag.

mod life;
mod servers;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Parser as _;
use serde::{Deserialize, Serialize};

use super::Args;
pub use super::message::Template;
pub use super::outputs::{Format, Live, Output, Place};
pub use super::pattern::Pattern;
pub use super::phase::PhasePlan;
use super::protocol::Protocol;
use super::request::CONNECTION;
use super::sizes::Sizes;
use crate::nanos;
use crate::slo::Slo;
pub use life::{Dribble, Farewell, Life, Retry, Slow, Storm};

/// Payload bytes that hold the connection's id and the message's sequence number, in binary and in
/// text. A shorter message is opaque: its reply is paired first in, first out.
pub const STAMP_BYTES: usize = 16;

/// Everything a run needs. In a file a field that is missing has its flag's default, so that
/// one which was written before the field came is still read; what concerns the process alone, or
/// may be secret, is not written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// The server under load.
    pub target: Target,
    /// Connections in all, at least 1. In broadcast mode publishers + subscribers.
    pub connections: u32,
    /// Generator threads; `None` lets the connections and the open-file limit decide.
    pub threads: Option<usize>,
    /// Whether threads are bound to cores.
    pub pin: bool,
    /// Length of the measured window.
    #[serde(with = "nanos")]
    pub duration: Duration,
    /// From the last connection to the measured window. Its samples are not reported.
    #[serde(with = "nanos")]
    pub warmup: Duration,
    /// From the last send to the end: replies still count.
    #[serde(with = "nanos")]
    pub drain: Duration,
    /// Connections begun a second in all; `None` is as fast as they go.
    pub ramp: Option<f64>,
    /// From the start of a connect to its checked 101.
    #[serde(with = "nanos")]
    pub connect_timeout: Duration,
    /// Seed of every random choice but the masks' keys.
    pub seed: u64,
    /// What the connections do.
    pub mode: Mode,
    /// What is spoken in a broadcast's rooms; else raw.
    pub protocol: Protocol,
    /// When messages are sent. In idle mode [`Pace::Silent`], and only there.
    pub pace: Pace,
    /// Pings of every connection.
    pub heartbeat: Option<Heartbeat>,
    /// What text heartbeats say; `None` lets them carry their number.
    pub heartbeat_words: Option<HeartbeatWords>,
    /// Payload bytes of a message.
    pub size: Sizes,
    /// What messages say; `None` is filler that is made up.
    #[serde(skip)]
    pub template: Option<Template>,
    /// Text or binary.
    pub payload: PayloadKind,
    /// Frames of one message, and what stands between them.
    pub fragmentation: Fragmentation,
    /// What becomes of connections during the run.
    pub life: Life,
    /// Messages a second at the window's end, to which the rate grows or falls in a straight line.
    pub ramp_to: Option<f64>,
    /// The window's phases, none if it is one. `duration` is their sum, the load above the first's.
    pub phases: Vec<PhasePlan>,
    /// The lists whose combinations the phases are, if they are a fragment matrix.
    pub fragment_matrix: Option<String>,
    /// Local addresses.
    pub sources: Sources,
    /// Whether each byte of a reply is compared with what was sent.
    pub verify: bool,
    /// What the upgrade request carries.
    pub request: RequestExtras,
    /// What the run must keep.
    pub slo: Option<Slo>,
    /// The process whose CPU and memory are read, when the server is not embedded.
    #[serde(skip)]
    pub server_pid: Option<u32>,
    /// The page on which the server tells them instead.
    #[serde(skip)]
    pub server_metrics: Option<Endpoint>,
    /// Whether the generator's own floor is measured first.
    #[serde(skip)]
    pub floor: Switch,
    /// Documents besides the report; one at most on standard output.
    #[serde(skip)]
    pub outputs: Vec<Output>,
    /// No progress and no report.
    #[serde(skip)]
    pub quiet: bool,
    /// What is shown while the run lasts.
    #[serde(skip)]
    pub live: Live,
    /// Where the run's figures can be scraped while it lasts.
    #[serde(skip)]
    pub prometheus: Option<SocketAddr>,
}

impl Default for Plan {
    /// What no flag at all asks for.
    fn default() -> Self {
        Args::parse_from(["loadgen"]).plan().expect("no flag contradicts another")
    }
}

/// What can only be on or off.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub enum Switch {
    /// It is done.
    On,
    /// It is not.
    #[default]
    Off,
}

/// The server under load.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The generator starts a server inside itself, on loopback.
    Embedded {
        /// Its shards; `None` lets the connections and the open-file limit decide.
        threads: Option<usize>,
    },
    /// A server that runs already.
    Url(Endpoint),
    /// Several that run already, two at least: connections, or a broadcast's rooms, take turns.
    Urls(Vec<Endpoint>),
}

/// A `ws://` URL in its parts; of a page of metrics an `http://` one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// 1-65535.
    pub port: u16,
    /// Path and query, beginning with `/`; `{connection}` in it is each connection's number.
    pub path: String,
}

impl Endpoint {
    /// The `Host` header's value (RFC 9110 7.2): the port is left out when it is 80.
    pub fn host_header(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.host_header(), self.path)
    }
}

/// What the connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every message comes back to its sender.
    Echo,
    /// Every message comes back to everyone in its room.
    Broadcast(Rooms),
    /// Connections and heartbeats only.
    Idle,
}

/// Who is in the rooms: connection `i` is in room `i % rooms`, and the first `publishers` publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rooms {
    /// Rooms, at least 1.
    pub rooms: u32,
    /// Connections that publish, in all rooms together; at least one for each room.
    pub publishers: u32,
    /// Connections that only listen, in all rooms together.
    pub subscribers: u32,
}

/// When messages are sent.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Never (idle mode).
    Silent,
    /// Each connection keeps this many messages unanswered, and sends the next upon a reply.
    Closed {
        /// At least 1.
        in_flight: u32,
    },
    /// At times fixed in advance, whatever the server does.
    Open {
        /// Messages a second, all senders together; above 0.
        rate: f64,
        /// How the times lie.
        arrival: Arrival,
    },
}

impl Pace {
    /// Messages a second that an open loop sends.
    pub fn rate(self) -> Option<f64> {
        match self {
            Self::Open { rate, .. } => Some(rate),
            Self::Closed { .. } | Self::Silent => None,
        }
    }
}

/// How an open loop's send times lie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// At equal distances, each connection with a phase of its own.
    Uniform,
    /// With exponential gaps, as independent users arrive.
    Poisson,
}

/// Pings of every connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// From one ping of a connection to its next.
    #[serde(with = "nanos")]
    pub interval: Duration,
    /// What a ping is.
    pub kind: HeartbeatKind,
    /// How the connections' pings lie to each other.
    pub phase: HeartbeatPhase,
}

/// How the heartbeats of all connections lie to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatPhase {
    /// Evenly over the interval, as those of users who came one by one.
    Spread,
    /// All at once each interval, as after an outage: the first time when the window begins.
    Sync,
}

/// A text heartbeat of the user's own. Neither body nor reply carries a number, so the oldest
/// heartbeat of its connection is the one that a reply answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeartbeatWords {
    /// What is sent.
    pub body: String,
    /// The text message that answers it.
    pub reply: String,
}

/// What a heartbeat is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatKind {
    /// A ping frame, answered by a pong (RFC 6455 5.5.2).
    Ping,
    /// A text message, answered by its echo: what a browser's script can send.
    Text,
}

/// Type of the messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadKind {
    /// Opcode 1, ASCII.
    Text,
    /// Opcode 2.
    Binary,
}

/// Frames of one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fragmentation {
    /// At least 1; 1 is a message in one frame.
    pub fragments: u32,
    /// From one fragment's send to the next.
    #[serde(with = "nanos")]
    pub gap: Duration,
    /// A ping stands between the fragments.
    pub interleave_ping: bool,
}

impl Fragmentation {
    /// From a message's first fragment to its last.
    pub fn lasts(&self) -> Duration {
        self.gap.saturating_mul(self.fragments.saturating_sub(1))
    }
}

/// Local addresses that connections start from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// On loopback as many as the connections need, elsewhere the one the kernel picks.
    Auto,
    /// These, in turn.
    List(Vec<IpAddr>),
}

/// What the upgrade request carries beside the handshake's own fields.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestExtras {
    /// Further header fields, in order. They may hold secrets, and are in no file.
    #[serde(skip)]
    pub headers: Vec<(String, Pattern)>,
    /// `Sec-WebSocket-Protocol`, in order of preference.
    pub subprotocols: Vec<String>,
    /// `Origin`.
    pub origin: Option<String>,
}

impl Plan {
    /// The path that connection `index` asks for. Rooms lie under the URL's path, or under
    /// `/broadcast` when the URL names none. Channels have all the same path.
    pub fn path(&self, index: u32) -> String {
        let given = self.endpoint_of(index).map_or("/", |endpoint| &endpoint.path);
        let given = &*given.replace(CONNECTION, &index.to_string());
        let Mode::Broadcast(rooms) = self.mode else { return given.to_owned() };
        let (path, query) = given.split_at(given.find('?').unwrap_or(given.len()));
        if self.protocol != Protocol::Raw {
            let path = if path == "/" { "/connection/websocket" } else { path };
            return format!("{path}{query}");
        }
        let path = if path == "/" { "/broadcast" } else { path.trim_end_matches('/') };
        match rooms.rooms {
            1 => format!("{path}{query}"),
            n => format!("{path}/{}{query}", index % n),
        }
    }
}
