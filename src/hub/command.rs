//! What a client of rooms may say, read from JSON: Centrifugo's client protocol, version 2.
//!
//! A message is one command, or several joined by newlines. A command is parsed by simd-json in
//! place, on a scratch copy; where its `data` stands in the original is found beside it, so that
//! data goes out again as it came in, byte for byte.
//!
//! Refused as a whole (3501): what is not JSON or not an object, an id that is no number of 32
//! bits, a known field of another type, a field that stands twice, JSON nested deeper than
//! [`limits::JSON_DEPTH`]. Fields that nobody knows are passed over, as clients of later versions
//! send them.

mod value;

use simd_json::{Buffers, Node, Tape};

use crate::limits;
use value::Value;

/// A command, borrowed from the message or from the parser.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Command<'m> {
    /// Comes back with the reply; 0 asks for none.
    pub id: u32,
    /// What is asked for.
    pub ask: Ask<'m>,
}

/// What a command asks for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Ask<'m> {
    /// Nothing: the answer to a ping.
    Pong,
    /// To be let in.
    Connect(Connect<'m>),
    /// To get what is published in a channel.
    Subscribe(Subscribe<'m>),
    /// To get no more of it.
    Unsubscribe(&'m str),
    /// To publish; the data as it stands in the message.
    Publish(&'m str, Option<&'m [u8]>),
    /// Who is in a channel.
    Presence(&'m str),
    /// How many are in a channel.
    PresenceStats(&'m str),
    /// What was published in a channel.
    History(History<'m>),
    /// A new token for the connection.
    Refresh(&'m str),
    /// A new token for a subscription: channel and token.
    SubRefresh(&'m str, &'m str),
    /// A reply, and nothing else.
    Ping,
    /// A call of the application's, which has no handler here.
    Rpc,
    /// Something without an answer, which has no handler here.
    Send,
    /// A method that nobody knows.
    Unknown,
    /// No method at all.
    Nothing,
}

/// See [`Ask::Connect`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Connect<'m> {
    /// A JWT, or empty.
    pub token: &'m str,
}

/// See [`Ask::Subscribe`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Subscribe<'m> {
    /// The channel's name.
    pub channel: &'m str,
    /// A JWT, or empty.
    pub token: &'m str,
    /// Whether what was missed since the position is asked for.
    pub recover: bool,
    /// The position's epoch.
    pub epoch: &'m str,
    /// The position's offset.
    pub offset: u64,
    /// 0 is a plain subscription; the others are not served.
    pub kind: u64,
    /// Bit 1: rather an error than a subscription that did not recover.
    pub flags: u64,
}

/// See [`Ask::History`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct History<'m> {
    /// The channel's name.
    pub channel: &'m str,
    /// Publications at most; 0 asks for the position alone, a negative one for all.
    pub limit: i64,
    /// Only what came after this position, offset and epoch.
    pub since: Option<(u64, &'m str)>,
    /// The newest first.
    pub reverse: bool,
}

/// Why a message is no command: it is closed with 3501, and this is for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Not valid JSON, not UTF-8, or nested too deep.
    #[error("a command is not JSON, or nested deeper than {} levels", limits::JSON_DEPTH)]
    Json,
    /// Not an object.
    #[error("a command is not an object")]
    NotAnObject,
    /// An id that is none.
    #[error("a command's id is not a number of 32 bits")]
    Id,
    /// A known field of the wrong type.
    #[error("a command's field has the wrong type")]
    Type,
    /// A field twice.
    #[error("a command has the same field twice")]
    Twice,
    /// Too many at once.
    #[error("a message holds more than {} commands", limits::COMMANDS_PER_MESSAGE)]
    TooMany,
}

/// Reads commands. Keeps its buffers, so that in steady state nothing is allocated.
pub struct Parser {
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Vec<Node<'static>>,
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser").field("scratch", &self.scratch.capacity()).finish_non_exhaustive()
    }
}

impl Default for Parser {
    fn default() -> Self {
        let buffers = Buffers::with_max_depth(4096, limits::JSON_DEPTH);
        Self { scratch: Vec::new(), buffers, tape: Vec::new() }
    }
}

/// Capacity of scratch space that is kept, in bytes: one large command does not hold its memory.
const KEEP: usize = 64 * 1024;

impl Parser {
    /// The commands of one message, in order. The first malformed one ends it, and so does `see`
    /// by answering false: then that command was not taken. Says how many bytes were.
    ///
    /// # Errors
    /// [`Malformed`]; what came before it was seen.
    pub fn message(
        &mut self,
        message: &[u8],
        mut see: impl FnMut(Command<'_>) -> bool,
    ) -> Result<usize, Malformed> {
        // One newline at the end is allowed, as the protocol's own decoders have it.
        let text = message.strip_suffix(b"\n").unwrap_or(message);
        let lines = memchr::memchr_iter(b'\n', text).count() + 1;
        if lines > limits::COMMANDS_PER_MESSAGE {
            return Err(Malformed::TooMany);
        }
        let mut taken = 0;
        for line in text.split(|byte| *byte == b'\n') {
            if !self.command(line, &mut see)? {
                return Ok(taken);
            }
            taken += line.len() + 1;
        }
        Ok(message.len())
    }

    fn command(
        &mut self,
        line: &[u8],
        see: &mut impl FnMut(Command<'_>) -> bool,
    ) -> Result<bool, Malformed> {
        self.scratch.clear();
        self.scratch.extend_from_slice(line);
        let mut tape = Tape(std::mem::take(&mut self.tape)).reset();
        let parsed = simd_json::fill_tape(&mut self.scratch, &mut self.buffers, &mut tape);
        let outcome = match parsed {
            Ok(()) => read(&tape.0, line).map(see),
            Err(_) => Err(Malformed::Json),
        };
        self.tape = tape.reset().0;
        if self.scratch.capacity() > KEEP {
            *self = Self::default();
        }
        outcome
    }
}

/// Each field of an object once: where it is written to, and whether it was.
macro_rules! fields {
    ($value:expr, { $($key:literal => $place:expr, $read:ident;)* }) => {{
        let mut seen = 0_u32;
        for (key, value) in $value.members()? {
            let mut bit = 1_u32;
            $(
                if key == $key {
                    if seen & bit != 0 {
                        return Err(Malformed::Twice);
                    }
                    seen |= bit;
                    $place = value.$read()?;
                    continue;
                }
                bit <<= 1;
            )*
            let _ = bit;
        }
    }};
}

fn read<'m>(nodes: &[Node<'m>], text: &'m [u8]) -> Result<Command<'m>, Malformed> {
    let whole = Value { nodes, text };
    if !matches!(nodes.first(), Some(Node::Object { .. })) {
        return Err(Malformed::NotAnObject);
    }
    let (mut id, mut ask, mut unknown) = (None, None, false);
    for (key, value) in whole.members()? {
        if key == "id" {
            let number = Some(value).filter(|value| !value.is_null());
            let number =
                number.and_then(|value| value.number().ok()).and_then(|id| u32::try_from(id).ok());
            if id.replace(number.ok_or(Malformed::Id)?).is_some() {
                return Err(Malformed::Twice);
            }
        } else if value.is_null() {
            // As if it were not there.
        } else if let Some(this) = method(key, value)? {
            if ask.replace(this).is_some() {
                return Err(Malformed::Twice);
            }
        } else {
            unknown |= matches!(value.nodes.first(), Some(Node::Object { .. }));
        }
    }
    let id = id.unwrap_or_default();
    let ask = match ask {
        // A pong is whatever has no id and is no message of its own.
        Some(Ask::Send) => Ask::Send,
        _ if id == 0 => Ask::Pong,
        Some(ask) => ask,
        None if unknown => Ask::Unknown,
        None => Ask::Nothing,
    };
    Ok(Command { id, ask })
}

/// What a method asks for; `None` if there is no such method.
fn method<'m>(name: &str, value: Value<'_, 'm>) -> Result<Option<Ask<'m>>, Malformed> {
    let mut channel = "";
    let mut token = "";
    Ok(Some(match name {
        "connect" => {
            fields!(value, { "token" => token, str; });
            Ask::Connect(Connect { token })
        }
        "subscribe" => Ask::Subscribe(subscribe(value)?),
        "unsubscribe" => {
            fields!(value, { "channel" => channel, str; });
            Ask::Unsubscribe(channel)
        }
        "publish" => {
            let mut data = None;
            fields!(value, { "channel" => channel, str; "data" => data, span; });
            Ask::Publish(channel, data)
        }
        "presence" => {
            fields!(value, { "channel" => channel, str; });
            Ask::Presence(channel)
        }
        "presence_stats" => {
            fields!(value, { "channel" => channel, str; });
            Ask::PresenceStats(channel)
        }
        "history" => Ask::History(history(value)?),
        "refresh" => {
            fields!(value, { "token" => token, str; });
            Ask::Refresh(token)
        }
        "sub_refresh" => {
            fields!(value, { "channel" => channel, str; "token" => token, str; });
            Ask::SubRefresh(channel, token)
        }
        "ping" => Ask::Ping,
        "rpc" => Ask::Rpc,
        "send" => Ask::Send,
        _ => return Ok(None),
    }))
}

fn subscribe<'m>(value: Value<'_, 'm>) -> Result<Subscribe<'m>, Malformed> {
    let mut ask = Subscribe::default();
    fields!(value, {
        "channel" => ask.channel, str;
        "token" => ask.token, str;
        "recover" => ask.recover, bool;
        "epoch" => ask.epoch, str;
        "offset" => ask.offset, number;
        "type" => ask.kind, number;
        "flag" => ask.flags, number;
    });
    Ok(ask)
}

fn history<'m>(value: Value<'_, 'm>) -> Result<History<'m>, Malformed> {
    let mut ask = History::default();
    let (mut since, mut offset, mut epoch) = (None, 0, "");
    fields!(value, {
        "channel" => ask.channel, str;
        "limit" => ask.limit, signed;
        "since" => since, some;
        "reverse" => ask.reverse, bool;
    });
    if let Some(since) = since {
        fields!(since, { "offset" => offset, number; "epoch" => epoch, str; });
        ask.since = Some((offset, epoch));
    }
    Ok(ask)
}

#[cfg(test)]
mod tests;
