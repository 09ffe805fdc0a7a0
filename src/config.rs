//! What was asked for: raw options (flags, environment) into one validated [`Config`].
//!
//! A leaf: it opens nothing and asks the machine nothing. What depends on the machine (shards,
//! connections, memory) is worked out by [`Config::plan`] from a [`Machine`] that the caller fills.

mod error;
#[cfg(feature = "server")]
mod file;
mod machine;
mod options;
mod plan;
mod rooms;
mod secret;
mod units;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use error::ConfigError;
pub use machine::{Machine, System, Use, kib_line, reserved_descriptors};
pub use options::Options;
pub use plan::Plan;
pub use rooms::{Allow, Namespace, Rooms, Slow, Tokens};
pub use secret::Secret;
pub use units::{parse_count, parse_duration, parse_size};

use crate::limits::{self, MAX_SHARDS};

/// How many shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// One for each core, and more when the asked-for connections need more descriptor tables.
    Auto,
    /// Exactly so many.
    Count(usize),
}

/// The validated configuration of one server. Plain data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where WebSocket connections are accepted; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Where the admin HTTP listens; `None`: nowhere.
    pub admin: Option<SocketAddr>,
    /// How many shards.
    pub threads: Threads,
    /// Whether each shard stays on one core of the process's affinity mask.
    pub pin: bool,
    /// Open connections at most; `None`: what one shard's table for each core can hold.
    pub max_connections: Option<usize>,
    /// Open connections of one address, or of one IPv6 /64, at most; `None`: any number.
    pub max_per_address: Option<u32>,
    /// Bytes of one message, all fragments together.
    pub max_message: usize,
    /// Bytes that one peer has not taken yet.
    pub max_pending: usize,
    /// Bytes held for all peers; `None`: [`limits::MAX_BUFFERED`] or a quarter of the machine.
    pub max_buffered: Option<usize>,
    /// Origins that browsers may come from; empty: any.
    pub allow_origin: Vec<String>,
    /// Subprotocols the server speaks, the most wanted first.
    pub subprotocols: Vec<String>,
    /// From accept to the 101.
    pub handshake_timeout: Duration,
    /// From the last byte heard to the server's ping; `None`: no pings.
    pub ping_interval: Option<Duration>,
    /// Pings that the shards of one core begin in a second in the mean: with more connections than
    /// that allows the interval grows. `None`: never.
    pub ping_rate: Option<u32>,
    /// From the server's ping to any byte.
    pub pong_timeout: Duration,
    /// From the last message to the close; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// From our close frame to the peer's.
    pub close_timeout: Duration,
    /// From SIGTERM to the end, whoever is still there.
    pub drain_timeout: Duration,
    /// TCP congestion control by its kernel name; `None`: the system's.
    pub congestion: Option<String>,
    /// A shard's one read buffer, in bytes.
    pub read_buffer: usize,
    /// Who is let into rooms, and what may be done there.
    pub rooms: Rooms,
    /// What callers of the admin API show; `None`: there is no API.
    pub api_key: Option<Secret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9001)),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9002))),
            threads: Threads::Auto,
            pin: true,
            max_connections: None,
            max_per_address: None,
            max_message: limits::MAX_MESSAGE,
            max_pending: limits::MAX_PENDING,
            max_buffered: None,
            allow_origin: Vec::new(),
            subprotocols: Vec::new(),
            handshake_timeout: limits::HANDSHAKE_TIMEOUT,
            ping_interval: Some(limits::PING_INTERVAL),
            ping_rate: Some(limits::PINGS_PER_CORE),
            pong_timeout: limits::PONG_TIMEOUT,
            idle_timeout: None,
            close_timeout: limits::CLOSE_TIMEOUT,
            drain_timeout: limits::DRAIN_TIMEOUT,
            congestion: None,
            read_buffer: limits::READ_BUFFER,
            rooms: Rooms::default(),
            api_key: None,
        }
    }
}

/// A message that a length of 32 bits can count, with room for its head.
const MAX_MAX_MESSAGE: usize = 1 << 30;
/// The least pending bound: the reserve for a full pong queue.
const MIN_PENDING: usize = limits::PONG_QUEUE * 127;
/// The least read buffer: a whole head and a byte more.
const MIN_READ_BUFFER: usize = 2 * limits::MAX_HEAD;
/// Beyond it a read buffer only falls out of the caches.
const MAX_READ_BUFFER: usize = 16 << 20;
/// The longest deadline, a day: longer ones are `off`.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);
/// Bytes of a congestion algorithm's name (`TCP_CA_NAME_MAX` of Linux, with its zero).
const MAX_CONGESTION_NAME: usize = 15;

impl Config {
    /// Checks raw options and fills in the defaults.
    ///
    /// # Errors
    /// The first option that breaks a rule: its text, the rule, and what to do.
    pub fn from_options(raw: &Options) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.set_addresses(raw)?;
        config.set_sizes(raw)?;
        config.set_times(raw)?;
        config.set_names(raw)?;
        config.set_rooms(raw)?;
        if let Some(text) = &raw.threads {
            config.threads = threads(text)?;
        }
        config.pin = !raw.no_pin;
        Ok(config)
    }

    fn set_addresses(&mut self, raw: &Options) -> Result<(), ConfigError> {
        if let Some(text) = &raw.listen {
            self.listen = address("--listen", text, "")?;
        }
        if let Some(text) = &raw.admin {
            let off = matches!(text.as_str(), "off" | "none");
            self.admin = if off { None } else { Some(address("--admin", text, ", or off")?) };
        }
        if self.listen.port() != 0 && self.admin == Some(self.listen) {
            let text = self.listen.to_string();
            return Err(ConfigError::new(
                "--admin",
                &text,
                "the same address as --listen",
                "give the two listeners different ports, or --admin off",
            ));
        }
        Ok(())
    }

    fn set_sizes(&mut self, raw: &Options) -> Result<(), ConfigError> {
        if let Some(text) = raw.max_connections.as_deref().filter(|text| *text != "auto") {
            let count = parse_count("--max-connections", text)?;
            self.max_connections =
                Some(within("--max-connections", text, count, 1, u32::MAX as usize)?);
        }
        if let Some(text) = raw.max_per_address.as_deref().filter(|text| *text != "off") {
            let count = parse_count("--max-per-address", text)?;
            let most = u32::MAX as usize / 2;
            self.max_per_address = Some(within("--max-per-address", text, count, 1, most)? as u32);
        }
        set_size(
            &mut self.max_message,
            "--max-message",
            raw.max_message.as_deref(),
            1,
            MAX_MAX_MESSAGE,
        )?;
        set_size(
            &mut self.max_pending,
            "--max-pending",
            raw.max_pending.as_deref(),
            MIN_PENDING,
            MAX_MAX_MESSAGE,
        )?;
        set_size(
            &mut self.read_buffer,
            "--read-buffer",
            raw.read_buffer.as_deref(),
            MIN_READ_BUFFER,
            MAX_READ_BUFFER,
        )?;
        if let Some(text) = raw.max_buffered.as_deref().filter(|text| *text != "auto") {
            let bytes = parse_size("--max-buffered", text)?;
            self.max_buffered = Some(bytes);
        }
        Ok(())
    }

    fn set_times(&mut self, raw: &Options) -> Result<(), ConfigError> {
        set_timeout(
            &mut self.handshake_timeout,
            "--handshake-timeout",
            raw.handshake_timeout.as_deref(),
        )?;
        set_timeout(&mut self.pong_timeout, "--pong-timeout", raw.pong_timeout.as_deref())?;
        set_timeout(&mut self.close_timeout, "--close-timeout", raw.close_timeout.as_deref())?;
        set_timeout(&mut self.drain_timeout, "--drain-timeout", raw.drain_timeout.as_deref())?;
        if let Some(text) = &raw.ping_interval {
            self.ping_interval = deadline("--ping-interval", text)?;
            // Who asks for an interval gets it.
            self.ping_rate = None;
        }
        if let Some(text) = &raw.idle_timeout {
            self.idle_timeout = deadline("--idle-timeout", text)?;
        }
        Ok(())
    }

    fn set_names(&mut self, raw: &Options) -> Result<(), ConfigError> {
        for text in &raw.allow_origin {
            self.allow_origin.push(origin(text)?);
        }
        for text in &raw.subprotocol {
            token("--subprotocol", text, "chat.v1")?;
            self.subprotocols.push(text.clone());
        }
        if let Some(text) = &raw.congestion {
            let name =
                text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !name || text.is_empty() || text.len() > MAX_CONGESTION_NAME {
                return Err(ConfigError::new(
                    "--congestion",
                    text,
                    "not the name of a congestion control",
                    "take one of sysctl net.ipv4.tcp_available_congestion_control, such as cubic",
                ));
            }
            self.congestion = Some(text.clone());
        }
        Ok(())
    }
}

fn address(option: &'static str, text: &str, also: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        ConfigError::new(
            option,
            text,
            "not an IP address with a port",
            format!("write it like 127.0.0.1:9001, 0.0.0.0:9001 or [::1]:9001{also}"),
        )
    })
}

fn threads(text: &str) -> Result<Threads, ConfigError> {
    if text == "auto" {
        return Ok(Threads::Auto);
    }
    match text.parse() {
        Ok(count) if (1..=MAX_SHARDS).contains(&count) => Ok(Threads::Count(count)),
        _ => Err(ConfigError::new(
            "--threads",
            text,
            format!("neither auto nor a number from 1 to {MAX_SHARDS}"),
            "leave it out for one shard for each core, or write a number such as 2",
        )),
    }
}

fn within(
    option: &'static str,
    text: &str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<usize, ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let rule = format!("not from {least} to {most}");
    Err(ConfigError::new(option, text, rule, "choose a value in that range"))
}

fn set_size(
    to: &mut usize,
    option: &'static str,
    text: Option<&str>,
    least: usize,
    most: usize,
) -> Result<(), ConfigError> {
    if let Some(text) = text {
        *to = within(option, text, parse_size(option, text)?, least, most)?;
    }
    Ok(())
}

/// A duration or `off`; what is not off lies between the timer's resolution and a day.
fn deadline(option: &'static str, text: &str) -> Result<Option<Duration>, ConfigError> {
    match parse_duration(option, text)? {
        Some(time) if time < limits::TICK || time > MAX_TIMEOUT => Err(ConfigError::new(
            option,
            text,
            format!("not from {} ms (the timer's resolution) to 24h", limits::TICK.as_millis()),
            "choose a duration in that range, such as 25s",
        )),
        time => Ok(time),
    }
}

fn set_timeout(
    to: &mut Duration,
    option: &'static str,
    text: Option<&str>,
) -> Result<(), ConfigError> {
    let Some(text) = text else { return Ok(()) };
    *to = deadline(option, text)?.ok_or_else(|| {
        ConfigError::new(
            option,
            text,
            "this deadline can not be off: a silent peer would hold its socket for ever",
            "give a duration, such as 10s",
        )
    })?;
    Ok(())
}

/// An origin as browsers send it (RFC 6454 6.2): scheme, host, port, nothing after it; or `*`.
fn origin(text: &str) -> Result<String, ConfigError> {
    let host = text.split_once("://").map(|(_, host)| host);
    let ends_there = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '*']);
    let visible = text.bytes().all(|b| b.is_ascii_graphic());
    if matches!(text, "null" | "*") || (visible && host.is_some_and(ends_there)) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(ConfigError::new(
        "--allow-origin",
        text,
        "not an origin",
        "write scheme, host and port as browsers send them, such as https://example.org, or *",
    ))
}

/// The name of a subprotocol or a cookie is a token (RFC 6455 4.1, RFC 6265 4.1.1, RFC 9110 5.6.2).
fn token(option: &'static str, text: &str, such_as: &str) -> Result<(), ConfigError> {
    let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.bytes().all(of_token) {
        return Ok(());
    }
    let remedy = format!("use letters, digits and !#$%&'*+-.^_`|~ only, such as {such_as}");
    Err(ConfigError::new(option, text, "not a token", remedy))
}

#[cfg(test)]
mod tests;
