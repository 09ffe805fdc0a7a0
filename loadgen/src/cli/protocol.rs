//! What the connections of a broadcast speak: plain messages, or rooms in a client protocol.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::plan::Rooms;
use super::usage::{UsageError, refuse};
use super::{Args, ModeName};
use crate::token::Token;

/// The channel of the first room when nothing names it.
const CHANNEL: &str = "loadgen";

/// Longest name of a channel: what Centrifugo takes when nothing else is configured.
const LONGEST_CHANNEL: usize = 255;

/// `--protocol`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolName {
    /// A room is a path; what is sent to it comes back to everyone there
    Raw,
    /// A room is a channel of the Centrifugo v2 JSON client protocol
    Centrifugo,
}

/// Flags of a broadcast's protocol.
#[derive(clap::Args, Clone, Debug)]
pub struct ProtocolArgs {
    /// What is spoken in the rooms of a broadcast
    #[arg(long, value_enum, default_value = "raw")]
    pub protocol: ProtocolName,
    /// Channel to subscribe to, of several rooms with `-` and their number behind (centrifugo)
    /// [default: loadgen]
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// JSON Web Token that every connection shows (centrifugo)
    #[arg(long, value_name = "JWT", env = "LOADGEN_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Secret of the server, with which each connection's own token is signed (centrifugo)
    #[arg(long, value_name = "SECRET", env = "LOADGEN_TOKEN_HMAC_SECRET", hide_env_values = true)]
    pub token_hmac_secret: Option<String>,
}

/// How a broadcast's rooms are spoken to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Each message is a payload, each room a path.
    Raw,
    /// Commands and pushes of the Centrifugo v2 JSON client protocol.
    Centrifugo(Centrifugo),
}

/// Rooms as channels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Centrifugo {
    /// The channel of the only room; of several it has `-` and the room's number behind.
    pub channel: String,
    /// What connections show; `None` if the server lets anybody in. In no file.
    #[serde(skip)]
    pub token: Option<Token>,
}

impl Centrifugo {
    /// The channel of a room of so many.
    pub fn channel(&self, room: u32, rooms: Rooms) -> String {
        match rooms.rooms {
            1 => self.channel.clone(),
            _ => format!("{}-{room}", self.channel),
        }
    }
}

/// Flags -> protocol.
pub(super) fn protocol(args: &Args) -> Result<Protocol, UsageError> {
    let flags = &args.protocol;
    let given = [
        ("--channel", flags.channel.is_some()),
        ("--token", flags.token.is_some()),
        ("--token-hmac-secret", flags.token_hmac_secret.is_some()),
    ];
    if flags.protocol == ProtocolName::Raw {
        return match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => refuse(
                format!("{flag} with --protocol raw"),
                "plain messages know no channels and no tokens",
                "add --protocol centrifugo or drop it",
            ),
            None => Ok(Protocol::Raw),
        };
    }
    let input = "--protocol centrifugo";
    if args.mode != ModeName::Broadcast {
        return refuse(input, "it speaks of rooms", "add --mode broadcast");
    }
    if args.binary {
        return refuse(
            format!("{input} --binary"),
            "its messages are JSON, which is text",
            "drop --binary",
        );
    }
    if args.fragments.is_some_and(|fragments| fragments > 1) {
        return refuse(
            format!("{input} --fragments"),
            "between the fragments of a command its server's pings could not be answered",
            "drop --fragments",
        );
    }
    let channel = flags.channel.clone().unwrap_or_else(|| CHANNEL.to_owned());
    // A room's number may stand behind it.
    if channel.is_empty() || channel.len() > LONGEST_CHANNEL - "-4294967295".len() {
        return refuse(
            format!("--channel of {} bytes", channel.len()),
            "with a room's number behind, a channel's name has 1 to 255 bytes",
            "choose another",
        );
    }
    let token = match (&flags.token, &flags.token_hmac_secret) {
        (Some(_), Some(_)) => {
            return refuse(
                "--token with --token-hmac-secret",
                "one is the token, the other makes a token for each connection",
                "drop one of them",
            );
        }
        (Some(token), None) => Some(Token::Given(token.as_str().into())),
        (None, secret) => secret.as_deref().map(|secret| Token::Signed(secret.into())),
    };
    Ok(Protocol::Centrifugo(Centrifugo { channel, token }))
}
