//! The opening handshake (RFC 6455 4): request and response heads, both sides.
//!
//! A head comes in as one slice, from its first byte to its blank line, and is judged as a whole:
//! it is either right in every rule or refused by the name of the first rule it broke. What goes
//! out is appended to a buffer. Nothing here reads a socket, waits, or picks a random number;
//! when a head is late or too long is known to `conn::opening` alone.
//!
//! Each rule stands under the sentence of the RFC that asks for it.

mod list;
mod offer;
mod refusal;
mod request;
mod response;

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};
use sha1::{Digest, Sha1};

pub use offer::{BadRequest, ClientRequest};
pub use refusal::Refusal;
pub use request::{Request, parse_request};
pub use response::{Rejection, Response, begins_like_an_answer, check_response};

/// Header fields in one head, at most: the size of the array that holds them.
pub const MAX_HEADERS: usize = 64;

/// RFC 6455 4.2.2: the GUID that is joined to the key, in ASCII.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Index just past the blank line that ends a head; `None` while it is not there.
///
/// `from` says how many bytes an earlier call has searched, so that a head that comes in many
/// pieces is still searched once. A blank line is found whether its lines end in CRLF or in a bare
/// LF: the bare one is for the parsers to refuse at once, instead of waiting for a CRLF that will
/// never come.
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    // The LF of the last line may be searched already and its blank line not: two bytes back.
    let start = from.saturating_sub(2).min(bytes.len());
    memchr::memchr_iter(b'\n', &bytes[start..]).find_map(|at| {
        let next = start + at + 1;
        match bytes[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// Whether a browser page of this `Origin` may connect. An empty list allows every one.
///
/// An entry is a serialized origin (RFC 6454 6.2: `scheme://host`, and `:port` unless it is the
/// scheme's own), compared whole and without regard to case, or `*`. Addresses of loopback or of a
/// private network are origins like any other: a page from there needs its entry too.
pub fn origin_allowed(origin: Option<&str>, allowed: &[String]) -> bool {
    // RFC 6455 4.2.2: a request without |Origin| does not come from a browser: no page can make a
    // browser leave it out, so there is no site to protect the user from.
    let Some(origin) = origin else { return true };
    allowed.is_empty()
        || allowed.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin))
}

/// What `Sec-WebSocket-Accept` holds: 28 characters of base64 over the 20 raw bytes of a SHA-1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AcceptKey(pub [u8; 28]);

impl AcceptKey {
    /// The answer to a `Sec-WebSocket-Key` as it was sent, without the white space around it.
    pub fn of(key: &[u8]) -> Self {
        //# RFC 6455 4.2.2: The value of this header field is constructed by concatenating /key/
        //# [...] with the string "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1 hash of
        //# this concatenated value to obtain a 20-byte value and base64-encoding [...] this
        //# 20-byte hash.
        let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut text = [0; 28];
        let written = STANDARD.encode_slice(hash, &mut text);
        debug_assert_eq!(written.ok(), Some(28), "20 bytes are 28 characters");
        Self(text)
    }
}

impl fmt::Debug for AcceptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcceptKey({})", self.0.escape_ascii())
    }
}

/// Appends the head that switches protocols. No extension is ever accepted in it.
///
/// `protocol` is one of [`Request::protocols`], or none.
pub fn write_switching(out: &mut Vec<u8>, accept: &AcceptKey, protocol: Option<&str>) {
    //# RFC 6455 4.2.2: A Status-Line with a 101 response code as per RFC 2616 [...] An |Upgrade|
    //# header field with value "websocket" as per RFC 2616 [...] A |Connection| header field with
    //# value "Upgrade". A |Sec-WebSocket-Accept| header field.
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\n\
          Upgrade: websocket\r\n\
          Connection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept.0);
    //# RFC 6455 4.2.2: Optionally, a |Sec-WebSocket-Protocol| header field, with a value
    //# /subprotocol/ as defined in step 4 in Section 4.2.2.
    if let Some(protocol) = protocol {
        debug_assert!(list::is_token(protocol.as_bytes()), "a subprotocol is a token");
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// RFC 6455 4.1 itself gives `AQIDBAUGBwgJCgsMDQ4PEC==` as a key, whose last character carries bits
/// that no byte owns; so they are let pass.
const KEY: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// Whether a `Sec-WebSocket-Key` is base64 of 16 bytes.
fn is_key(value: &[u8]) -> bool {
    let mut nonce = [0; 18];
    value.len() == 24 && KEY.decode_slice(value, &mut nonce) == Ok(16)
}

/// Whether this is `host [":" port]` (RFC 9110 7.2, RFC 3986 3.2.2), with at least one character of
/// host. A comma, which the grammar allows, is left out: it is how two joined `Host` fields look.
fn is_host(value: &[u8]) -> bool {
    let of_name = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(b);
    let of_literal = |b: &u8| of_name(b) || *b == b':';
    let split_at = |byte| memchr::memchr(byte, value).map(|at| value.split_at(at));
    let (host_is_good, port) = if let [b'[', ..] = value {
        let Some((literal, rest)) = split_at(b']') else { return false };
        (literal.len() > 1 && literal[1..].iter().all(of_literal), &rest[1..])
    } else {
        let (name, rest) = split_at(b':').unwrap_or((value, b""));
        (!name.is_empty() && name.iter().all(of_name), rest)
    };
    let port_is_good = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_good && port_is_good
}

/// Whether a line of the head ends in LF alone.
///
/// RFC 9112 2.2 lets a recipient accept it. Two recipients in a row that differ on it are how
/// requests are smuggled, so it is refused here.
fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// A peer's text as it may stand in a log or an answer: escaped, and cut after 80 characters.
fn shown(text: &str) -> impl fmt::Display {
    let cut = if text.chars().nth(80).is_some() { "..." } else { "" };
    let text: String = text.chars().take(80).flat_map(char::escape_default).collect();
    fmt::from_fn(move |f| write!(f, "'{text}{cut}'"))
}

#[cfg(test)]
mod tests;
