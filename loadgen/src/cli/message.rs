//! What flags say of the words of messages: a template, a file of lines, or neither.

use std::path::Path;
use std::sync::Arc;

use super::pattern::{Part, parts, unknown};
use super::plan::{Mode, PayloadKind};
use super::quantity::MAX_SIZE;
use super::sizes::Sizes;
use super::usage::{UsageError, refuse};
use super::{Args, ProtocolName, input};
use crate::payload::stamp_bytes;

/// Digits of the longest number of a connection or a message.
const MAX_DIGITS: usize = 10;

/// Digits of a time in milliseconds since 1970, from 2001 to 2286.
const TIME_DIGITS: usize = 13;

/// A message with placeholders, each filled when the message is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    pub(crate) pieces: Vec<Piece>,
    /// The lines of `--data`; none without it.
    pub(crate) data: Arc<[String]>,
    /// Whether a line is drawn for each message; else each connection goes through them in turn.
    pub(crate) random: bool,
}

/// A part of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// Itself.
    Literal(String),
    /// The connection's number in the run, from 0.
    Connection,
    /// The message's number on its connection, from 0.
    Sequence,
    /// When the message is due, in milliseconds since 1970.
    Time,
    /// Connection and number (and in a broadcast the time), by which the reply is found.
    Stamp,
    /// A line of the data file.
    Data,
}

/// The order in which the lines of a data file are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum DataOrder {
    /// Each connection goes through the file line by line, connection 1 from the second line on
    RoundRobin,
    /// A line is drawn for each message, by the seed
    Random,
}

impl Template {
    /// Whether messages carry what their replies are paired by; else it is first in, first out.
    pub fn is_stamped(&self) -> bool {
        self.pieces.contains(&Piece::Stamp)
    }

    /// Bytes of the shortest and of the longest message.
    fn sizes(&self, timed: bool) -> Sizes {
        let stamp = stamp_bytes(PayloadKind::Text, timed);
        let lines = self.data.iter().map(String::len);
        let (short, long) = (lines.clone().min().unwrap_or(0), lines.max().unwrap_or(0));
        let (mut min, mut max) = (0, 0);
        for piece in &self.pieces {
            let (least, most) = match piece {
                Piece::Literal(text) => (text.len(), text.len()),
                Piece::Connection | Piece::Sequence => (1, MAX_DIGITS),
                Piece::Time => (TIME_DIGITS, TIME_DIGITS),
                Piece::Stamp => (stamp, stamp),
                Piece::Data => (short, long),
            };
            (min, max) = (min + least, max + most);
        }
        Sizes::even(min, max)
    }
}

/// Whether messages are text: filler only if that is asked for, words unless binary is.
pub(super) fn is_text(args: &Args) -> bool {
    args.text || (!args.binary && is_given(args))
}

fn is_given(args: &Args) -> bool {
    args.message.is_some() || args.message_file.is_some() || args.data.is_some()
}

/// The template, if flags give one, and the sizes of what it makes.
pub(super) fn template(args: &Args, mode: Mode) -> Result<Option<(Template, Sizes)>, UsageError> {
    if !is_given(args) {
        return match args.data_order {
            None => Ok(None),
            Some(_) => refuse("--data-order without --data", "there are no lines", "add --data"),
        };
    }
    if args.size.is_some() {
        return refuse(
            "--size with --message or --data",
            "messages are as long as their words",
            "drop one of them",
        );
    }
    if args.protocol.protocol != ProtocolName::Raw {
        return refuse(
            "--message or --data with --protocol centrifugo",
            "its messages are commands around data that is made up",
            "drop one of them",
        );
    }
    let (flag, text) = text(args)?;
    let pieces = pieces(&flag, &text)?;
    let data = match &args.data {
        Some(path) => input::lines("--data", path)?,
        None => Vec::new(),
    };
    let wants_data = pieces.contains(&Piece::Data);
    if wants_data != args.data.is_some() {
        let (rule, remedy) = if wants_data {
            ("{data} stands for a line of --data", "add --data FILE")
        } else {
            ("no {data} in it stands for the lines of --data", "write {data} where they belong")
        };
        return refuse(flag, rule, remedy);
    }
    let random = args.data_order == Some(DataOrder::Random);
    let template = Template { pieces, data: data.into(), random };
    if matches!(mode, Mode::Broadcast(_)) && !template.is_stamped() {
        return refuse(
            format!("{flag} with --mode broadcast"),
            "deliveries are counted by the publisher and number in the payload",
            "write {stamp} into the message",
        );
    }
    let sizes = template.sizes(matches!(mode, Mode::Broadcast(_)));
    if sizes.max > MAX_SIZE {
        let rule = format!("its longest message has {} bytes, over 64 MiB", sizes.max);
        return refuse(flag, rule, "use shorter ones");
    }
    Ok(Some((template, sizes)))
}

/// The template's text, and how an error names it.
fn text(args: &Args) -> Result<(String, String), UsageError> {
    match (&args.message, &args.message_file) {
        (Some(text), None) => Ok((format!("--message '{}'", text.escape_debug()), text.clone())),
        (None, Some(path)) => Ok((format!("--message-file {}", path.display()), file(path)?)),
        (None, None) => Ok(("--data".to_owned(), "{data}".to_owned())),
        (Some(_), Some(_)) => refuse(
            "--message with --message-file",
            "both are the one template of all messages",
            "drop one of them; several messages are lines of --data",
        ),
    }
}

/// A file that an editor ended with a newline is not meant to send it.
fn file(path: &Path) -> Result<String, UsageError> {
    let mut text = input::text("--message-file", path)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

fn pieces(flag: &str, text: &str) -> Result<Vec<Piece>, UsageError> {
    let piece = |part| match part {
        Part::Literal(text) => Ok(Piece::Literal(text)),
        Part::Placeholder { name: "connection", argument: None } => Ok(Piece::Connection),
        Part::Placeholder { name: "sequence", argument: None } => Ok(Piece::Sequence),
        Part::Placeholder { name: "time", argument: None } => Ok(Piece::Time),
        Part::Placeholder { name: "stamp", argument: None } => Ok(Piece::Stamp),
        Part::Placeholder { name: "data", argument: None } => Ok(Piece::Data),
        Part::Placeholder { name, .. } => {
            unknown(flag, name, "{stamp}, {connection}, {sequence}, {time} or {data}")
        }
    };
    let pieces = parts(text).into_iter().map(piece).collect::<Result<Vec<_>, _>>()?;
    if pieces.iter().filter(|piece| **piece == Piece::Stamp).count() > 1 {
        return refuse(flag, "{stamp} stands there twice", "write it once");
    }
    Ok(pieces)
}
