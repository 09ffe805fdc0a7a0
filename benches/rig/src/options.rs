//! The rig's command line. Only `scripts/bench-peers` writes it, so it is plain pairs.

use std::error::Error;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What is printed for a command that is none.
pub const USAGE: &str = "usage: rig raw [--listen ADDR]
       rig client ws://ADDR[/PATH] | tcp://ADDR [--connections N] [--in-flight K] [--size BYTES]
           [--fragments N] [--payload binary|ascii|letters] [--warmup-ms MS] [--window-ms MS]
           [--messages N] [--server-pid PID] [--mode echo|broadcast|hold]
           [--gated true|false]";

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Any bytes, sent as binary.
    Binary,
    /// Text of one-byte characters, the fast path of every validator.
    Ascii,
    /// Text of two-byte characters, which has none.
    Letters,
}

/// What the connections do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each sends and awaits its own messages.
    Echo,
    /// The first publishes, and all await what it published.
    Broadcast,
    /// Each sends one message, then all are idle and the server's memory is read.
    Hold,
}

/// One run of the client.
#[derive(Debug)]
pub struct Options {
    /// The server.
    pub addr: SocketAddr,
    /// The request's path; none asks for bare TCP, where the answer is what was sent.
    pub path: Option<String>,
    /// Connections.
    pub connections: usize,
    /// Messages that each connection has on the way, sent in one write.
    pub in_flight: usize,
    /// Payload bytes of one message.
    pub size: usize,
    /// Frames of one message.
    pub fragments: usize,
    /// What the payload is.
    pub payload: Payload,
    /// Time before the measured window.
    pub warmup: Duration,
    /// The measured window.
    pub window: Duration,
    /// Ends after this many messages in all, whatever the time.
    pub messages: Option<u64>,
    /// Whose processor time is read at both ends of the window, or whose memory.
    pub server_pid: Option<u32>,
    /// What the connections do.
    pub mode: Mode,
    /// Waits for a line on its input before the loop and after it, while all is connected.
    pub gated: bool,
}

impl Options {
    /// Reads a client's command line.
    ///
    /// # Errors
    /// Names the flag or the value that is not understood.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let url = args.next().ok_or(USAGE)?;
        let (addr, path) = parse_url(&url)?;
        let mut options = Self {
            addr,
            path,
            connections: 200,
            in_flight: 1,
            size: 20,
            fragments: 1,
            payload: Payload::Binary,
            warmup: Duration::from_millis(300),
            window: Duration::from_secs(1),
            messages: None,
            server_pid: None,
            mode: Mode::Echo,
            gated: false,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            options.set(&flag, &value)?;
        }
        if options.connections == 0 || options.in_flight == 0 || options.fragments == 0 {
            return Err("--connections, --in-flight and --fragments start at 1".into());
        }
        if !options.size.is_multiple_of(options.fragments) {
            return Err("--size must be a multiple of --fragments".into());
        }
        Ok(options)
    }

    fn set(&mut self, flag: &str, value: &str) -> Result<(), Box<dyn Error>> {
        match flag {
            "--connections" => self.connections = number(flag, value)?,
            "--in-flight" => self.in_flight = number(flag, value)?,
            "--size" => self.size = number(flag, value)?,
            "--fragments" => self.fragments = number(flag, value)?,
            "--warmup-ms" => self.warmup = Duration::from_millis(number(flag, value)?),
            "--window-ms" => self.window = Duration::from_millis(number(flag, value)?),
            "--messages" => self.messages = Some(number(flag, value)?),
            "--server-pid" => self.server_pid = Some(number(flag, value)?),
            "--gated" => {
                self.gated = value
                    .parse()
                    .map_err(|_| format!("--gated {value} is neither true nor false\n{USAGE}"))?;
            }
            "--mode" => {
                self.mode = match value {
                    "echo" => Mode::Echo,
                    "broadcast" => Mode::Broadcast,
                    "hold" => Mode::Hold,
                    _ => return Err(format!("--mode {value} is none\n{USAGE}").into()),
                }
            }
            "--payload" => {
                self.payload = match value {
                    "binary" => Payload::Binary,
                    "ascii" => Payload::Ascii,
                    "letters" => Payload::Letters,
                    _ => return Err(format!("--payload {value} is no kind\n{USAGE}").into()),
                }
            }
            _ => return Err(format!("{flag} is no option\n{USAGE}").into()),
        }
        Ok(())
    }
}

fn parse_url(url: &str) -> Result<(SocketAddr, Option<String>), Box<dyn Error>> {
    let bad = || format!("{url} is neither ws://ADDR[/PATH] nor tcp://ADDR");
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let (addr, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = match scheme {
        "ws" if path.is_empty() => Some("/".to_owned()),
        "ws" => Some(path.to_owned()),
        "tcp" => None,
        _ => return Err(bad().into()),
    };
    Ok((addr.parse().map_err(|_| bad())?, path))
}

fn number<T: FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} {value} is no number in range"))
}
