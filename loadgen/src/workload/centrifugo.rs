//! The Centrifugo v2 JSON client protocol, as far as a load generator speaks it: connect,
//! subscribe, publish; publications, pings and refusals. No sockets, no clock.
//!
//! A message holds commands or replies, one a line. What matters under load, publications and the
//! acknowledgements of publishes, is known by its first bytes; everything else is parsed.

use std::borrow::Cow;

use serde::Deserialize;

/// Numbers of the two commands that begin each connection; publishes follow.
const CONNECT: u64 = 1;
pub(super) const SUBSCRIBE: u64 = 2;

/// Characters of a server's reason that are kept.
const LONGEST_WORDS: usize = 100;

/// One line from the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Line<'a> {
    /// The server's ping, to be answered by a pong.
    Ping,
    /// Somebody published: the text that is its data.
    Publication(Cow<'a, [u8]>),
    /// A command succeeded.
    Done(u64),
    /// A command failed: its number, and why.
    Refused(u64, String),
    /// The server took the connection out of its room, or is about to end it.
    Removed(String),
    /// Joins, leaves, server-side subscriptions, data that is no text of ours.
    Other,
    /// No line of this protocol.
    Garbage,
}

/// The ping, and the pong that answers it.
pub(super) const PONG: &[u8] = b"{}";

/// The lines of one message.
pub(super) fn lines(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    message.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// Connect and subscribe in one batch, as the client libraries send them.
pub(super) fn join(token: Option<&str>, channel: &str) -> String {
    let token = token.map_or_else(String::new, |token| format!(r#""token":{},"#, quoted(token)));
    let channel = quoted(channel);
    format!(
        "{{\"id\":{CONNECT},\"connect\":{{{token}\"name\":\"loadgen\"}}}}\n\
         {{\"id\":{SUBSCRIBE},\"subscribe\":{{\"channel\":{channel}}}}}"
    )
}

/// What stands in a publish between its number and its payload; the same for all of a channel.
pub(super) fn publish_middle(channel: &str) -> Box<[u8]> {
    let channel = quoted(channel);
    format!(r#","publish":{{"channel":{channel},"data":""#).into_bytes().into()
}

/// What stands before the payload of a publish. `sequence` counts from 0.
pub(super) fn publish_head(sequence: u32, middle: &[u8], out: &mut Vec<u8>) {
    use std::io::Write as _;
    let id = SUBSCRIBE + 1 + u64::from(sequence);
    // Writing to a Vec can not fail.
    let _ = write!(out, r#"{{"id":{id}"#);
    out.extend_from_slice(middle);
}

/// What stands behind it.
pub(super) const PUBLISH_TAIL: &[u8] = br#""}}"#;

/// A JSON string.
fn quoted(text: &str) -> String {
    simd_json::to_string(text).unwrap_or_default()
}

/// What a line says.
pub(super) fn read(line: &[u8]) -> Line<'_> {
    if line == PONG {
        return Line::Ping;
    }
    publication(line).or_else(|| acknowledgement(line)).unwrap_or_else(|| parse(line))
}

/// A publication in the order of fields that Centrifugo writes, its data a string without escapes.
fn publication(line: &[u8]) -> Option<Line<'_>> {
    let rest = line.strip_prefix(br#"{"push":{"channel":""#)?;
    let rest = &rest[plain(rest)?..];
    let rest = rest.strip_prefix(br#"","pub":{"data":""#)?;
    let end = plain(rest)?;
    matches!(rest.get(end + 1), Some(b',' | b'}'))
        .then(|| Line::Publication(Cow::Borrowed(&rest[..end])))
}

/// Where a string ends that has no escapes.
fn plain(text: &[u8]) -> Option<usize> {
    let end = memchr::memchr2(b'"', b'\\', text)?;
    (text[end] == b'"').then_some(end)
}

/// `{"id":7,"publish":{}}`
fn acknowledgement(line: &[u8]) -> Option<Line<'_>> {
    let id = line.strip_prefix(br#"{"id":"#)?.strip_suffix(br#","publish":{}}"#)?;
    std::str::from_utf8(id).ok()?.parse().ok().map(Line::Done)
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    id: u64,
    error: Option<Fault<'a>>,
    #[serde(borrow)]
    push: Option<Push<'a>>,
}

#[derive(Deserialize)]
struct Fault<'a> {
    code: u32,
    #[serde(alias = "reason", borrow)]
    message: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(rename = "pub")]
    publication: Option<Publication>,
    #[serde(borrow)]
    unsubscribe: Option<Fault<'a>>,
    #[serde(borrow)]
    disconnect: Option<Fault<'a>>,
}

#[derive(Deserialize)]
struct Publication {
    data: simd_json::OwnedValue,
}

fn parse(line: &[u8]) -> Line<'_> {
    let mut scratch = line.to_vec();
    let Ok(reply) = simd_json::serde::from_slice::<Reply<'_>>(&mut scratch) else {
        return Line::Garbage;
    };
    match reply {
        Reply { error: Some(fault), id, .. } => Line::Refused(id, fault.words()),
        Reply { push: Some(Push { publication: Some(it), .. }), .. } => match it.data {
            simd_json::OwnedValue::String(data) => Line::Publication(Cow::Owned(data.into_bytes())),
            _ => Line::Other,
        },
        Reply { push: Some(Push { unsubscribe, disconnect, .. }), .. } => {
            unsubscribe.or(disconnect).map_or(Line::Other, |fault| Line::Removed(fault.words()))
        }
        Reply { id: 0, .. } => Line::Garbage,
        Reply { id, .. } => Line::Done(id),
    }
}

impl Fault<'_> {
    fn words(&self) -> String {
        // A server's words become a cause in the report: a line of it, whatever they are.
        let words: String = self.message.chars().take(LONGEST_WORDS).collect();
        format!("{} ({})", words.escape_debug(), self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_line() {
        let cases: [(&str, Line<'_>); 12] = [
            ("{}", Line::Ping),
            (
                r#"{"push":{"channel":"a","pub":{"data":"Px","offset":16}}}"#,
                Line::Publication(Cow::Borrowed(b"Px")),
            ),
            (
                r#"{"push":{"pub":{"offset":1,"data":"P\u0041"},"channel":"a\"b"}}"#,
                Line::Publication(Cow::Borrowed(b"PA")),
            ),
            (r#"{"push":{"channel":"a","pub":{"data":{"data":"P"}}}}"#, Line::Other),
            (r#"{"id":7,"publish":{}}"#, Line::Done(7)),
            (r#"{"id":1,"connect":{"client":"x","ping":25,"pong":true}}"#, Line::Done(1)),
            (
                r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#,
                Line::Refused(2, "permission denied (103)".to_owned()),
            ),
            (
                r#"{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"lost"}}}"#,
                Line::Removed("lost (2500)".to_owned()),
            ),
            (
                r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#,
                Line::Removed("shutdown (3001)".to_owned()),
            ),
            (r#"{"push":{"channel":"a","join":{"info":{"client":"c"}}}}"#, Line::Other),
            ("hello", Line::Garbage),
            (r#"{"id":"x"}"#, Line::Garbage),
        ];
        for (text, line) in cases {
            assert_eq!(read(text.as_bytes()), line, "{text}");
        }
    }

    #[test]
    fn a_batch_is_read_line_by_line() {
        let read: Vec<_> = lines(b"{}\n{\"id\":3,\"publish\":{}}\n\n").map(read).collect();
        assert_eq!(read, [Line::Ping, Line::Done(3)]);
    }

    #[test]
    fn commands_are_json_whatever_the_names() {
        let join = join(Some("a.b.c"), "room \"1\"\n");
        assert_eq!(join.lines().count(), 2, "an escaped line feed is none");
        for line in join.lines() {
            simd_json::to_owned_value(&mut line.as_bytes().to_vec()).unwrap();
        }
        let mut out = Vec::new();
        publish_head(5, &publish_middle("room \"1\""), &mut out);
        out.extend_from_slice(b"Pxyz");
        out.extend_from_slice(PUBLISH_TAIL);
        let text = String::from_utf8(out.clone()).unwrap();
        simd_json::to_owned_value(&mut out).unwrap();
        assert!(
            text.starts_with(r#"{"id":8,"publish":{"channel":"room \"1\"","data":"Pxyz"#),
            "{text}"
        );
    }

    proptest! {
        /// A server may send anything.
        #[test]
        fn any_line(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&line);
        }

        /// The quick way and the parser read the same.
        #[test]
        fn both_ways_agree(data in "[-0-9A-Z_a-z]{0,40}", offset: u32) {
            let line = format!(
                r#"{{"push":{{"channel":"c","pub":{{"data":"{data}","offset":{offset}}}}}}}"#
            );
            prop_assert_eq!(publication(line.as_bytes()), Some(parse(line.as_bytes())));
        }
    }
}
