//! What a client of rooms is told: replies, pushes, errors and close codes, as Centrifugo's client
//! protocol (version 2, JSON) has them. Several of them in one message are joined by newlines.

use super::identity::Identity;
use crate::calls;
use crate::hub::json::{write_number, write_string};
use crate::wire::close::CloseCode;

/// An error in a reply: the connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::hub) struct Fault {
    pub(in crate::hub) code: u32,
    pub(in crate::hub) message: &'static str,
    /// The same command may do better later.
    pub(in crate::hub) temporary: bool,
}

macro_rules! faults {
    ($($name:ident = $code:literal $message:literal $temporary:literal;)+) => {
        impl Fault {
            $(pub(in crate::hub) const $name: Self =
                Self { code: $code, message: $message, temporary: $temporary };)+
        }
    };
}

faults! {
    UNKNOWN_CHANNEL = 102 "unknown channel" false;
    DENIED = 103 "permission denied" false;
    NO_METHOD = 104 "method not found" false;
    SUBSCRIBED = 105 "already subscribed" false;
    LIMIT = 106 "limit exceeded" false;
    BAD_REQUEST = 107 "bad request" false;
    NOT_AVAILABLE = 108 "not available" false;
    TOKEN_EXPIRED = 109 "token expired" false;
    EXPIRED = 110 "expired" false;
    TOO_MANY = 111 "too many requests" true;
    UNRECOVERABLE = 112 "unrecoverable position" false;
}

/// A reason to close a connection. Below 3500 a client comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::hub) struct Bye(pub(in crate::hub) CloseCode, pub(in crate::hub) &'static str);

impl Bye {
    pub(in crate::hub) const SHUTDOWN: Self = Self(CloseCode(3001), "shutdown");
    pub(super) const EXPIRED: Self = Self(CloseCode(3005), "connection expired");
    pub(in crate::hub) const SLOW: Self = Self(CloseCode(3008), "slow");
    pub(super) const NO_PONG: Self = Self(CloseCode(3012), "no pong");
    pub(super) const INVALID_TOKEN: Self = Self(CloseCode(3500), "invalid token");
    pub(super) const BAD_REQUEST: Self = Self(CloseCode(3501), "bad request");
    pub(super) const STALE: Self = Self(CloseCode(3502), "stale");
    pub(in crate::hub) const FORCED: Self = Self(CloseCode(calls::FORCED.0), calls::FORCED.1);
}

/// Why a member is in a room no more, though it did not ask. From 2500 on a client subscribes
/// again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::hub) struct Out(pub(in crate::hub) u32, pub(in crate::hub) &'static str);

impl Out {
    pub(in crate::hub) const BY_SERVER: Self = Self(2000, "server unsubscribe");
    pub(super) const INSUFFICIENT: Self = Self(2500, "insufficient state");
    pub(super) const EXPIRED: Self = Self(2501, "subscription expired");
}

/// Begins another reply or push in the same message.
fn next(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'\n');
    }
}

/// Appends `{"id":ID,` and leaves the object open.
fn begin(out: &mut Vec<u8>, id: u32) {
    next(out);
    out.extend_from_slice(b"{\"id\":");
    write_number(out, id.into());
    out.push(b',');
}

/// Appends a reply that is its method's name and nothing else.
pub(super) fn empty(out: &mut Vec<u8>, id: u32, method: &str) {
    result(out, id, method, |_| ());
}

/// Appends a reply; `fields` writes what stands between the braces.
pub(super) fn result(
    out: &mut Vec<u8>,
    id: u32,
    method: &str,
    fields: impl FnOnce(&mut Fields<'_>),
) {
    begin(out, id);
    out.push(b'"');
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\":{");
    fields(&mut Fields { out, any: false });
    out.extend_from_slice(b"}}");
}

/// Appends what a new member is told: a reply, or for id 0 a push, as it did not ask.
pub(super) fn subscribed(
    out: &mut Vec<u8>,
    id: u32,
    channel: &str,
    fields: impl FnOnce(&mut Fields<'_>),
) {
    if id > 0 {
        return result(out, id, "subscribe", fields);
    }
    next(out);
    out.extend_from_slice(&push_head(channel));
    out.extend_from_slice(b"\"subscribe\":{");
    fields(&mut Fields { out, any: false });
    out.extend_from_slice(b"}}}");
}

/// Appends an error.
pub(super) fn fault(out: &mut Vec<u8>, id: u32, fault: Fault) {
    begin(out, id);
    out.extend_from_slice(b"\"error\":{\"code\":");
    write_number(out, fault.code.into());
    out.extend_from_slice(b",\"message\":");
    write_string(out, fault.message);
    if fault.temporary {
        out.extend_from_slice(b",\"temporary\":true");
    }
    out.extend_from_slice(b"}}");
}

/// Appends the application's ping.
pub(super) fn ping(out: &mut Vec<u8>) {
    next(out);
    out.extend_from_slice(b"{}");
}

/// Appends a push that a member is out of a room.
pub(super) fn unsubscribed(out: &mut Vec<u8>, channel: &str, Out(code, reason): Out) {
    next(out);
    out.extend_from_slice(&push_head(channel));
    out.extend_from_slice(b"\"unsubscribe\":{\"code\":");
    write_number(out, code.into());
    out.extend_from_slice(b",\"reason\":");
    write_string(out, reason);
    out.extend_from_slice(b"}}}");
}

/// What every push to a channel begins with.
pub(in crate::hub) fn push_head(channel: &str) -> Vec<u8> {
    let mut head = b"{\"push\":{\"channel\":".to_vec();
    write_string(&mut head, channel);
    head.push(b',');
    head
}

/// Appends who joined or left, behind the push's head.
pub(super) fn presence(out: &mut Vec<u8>, what: &str, who: &Identity, info: Option<&str>) {
    out.push(b'"');
    out.extend_from_slice(what.as_bytes());
    out.extend_from_slice(b"\":{\"info\":");
    who.write(info, out);
    out.extend_from_slice(b"}}}");
}

/// Appends the protocol's `Publication`. Newlines in the data stand between its tokens, where they
/// mean nothing, and would end the reply: they are left out.
pub(super) fn publication(
    out: &mut Vec<u8>,
    data: &[u8],
    by: Option<&Identity>,
    offset: Option<u64>,
) {
    out.extend_from_slice(b"{\"data\":");
    data.split(|byte| *byte == b'\n').for_each(|line| out.extend_from_slice(line));
    if let Some(by) = by {
        out.extend_from_slice(b",\"info\":");
        by.write(None, out);
    }
    if let Some(offset) = offset {
        out.extend_from_slice(b",\"offset\":");
        write_number(out, offset);
    }
    out.push(b'}');
}

/// The fields of an object, with their commas.
#[derive(Debug)]
pub(super) struct Fields<'o> {
    pub(super) out: &'o mut Vec<u8>,
    any: bool,
}

impl Fields<'_> {
    /// Begins a field; its value is written next.
    pub(super) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        write_string(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        write_string(self.key(key), value);
    }

    pub(super) fn number(&mut self, key: &str, value: u64) {
        write_number(self.key(key), value);
    }

    /// A flag; one that is not set is left out.
    pub(super) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.key(key).extend_from_slice(b"true");
        }
    }

    /// Values that are JSON already, as an array.
    pub(super) fn array<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a [u8]>) {
        let out = self.key(key);
        out.push(b'[');
        for (n, value) in values.enumerate() {
            if n > 0 {
                out.push(b',');
            }
            out.extend_from_slice(value);
        }
        out.push(b']');
    }

    /// How long a token is good for.
    pub(super) fn ttl(&mut self, ttl: Option<u32>) {
        if let Some(ttl) = ttl {
            self.flag("expires", true);
            self.number("ttl", ttl.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        for line in text.lines() {
            let mut line = line.as_bytes().to_vec();
            assert!(simd_json::to_tape(&mut line).is_ok(), "{text}");
        }
        text
    }

    #[test]
    fn replies_and_pushes() {
        assert_eq!(text(|out| empty(out, 3, "publish")), "{\"id\":3,\"publish\":{}}");
        let two = text(|out| {
            fault(out, 2, Fault::DENIED);
            fault(out, 4, Fault::TOO_MANY);
        });
        let (first, second) = two.split_once('\n').unwrap();
        assert_eq!(first, r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#);
        assert_eq!(
            second,
            r#"{"id":4,"error":{"code":111,"message":"too many requests","temporary":true}}"#
        );
        assert_eq!(
            text(|out| unsubscribed(out, "a\"b", Out::INSUFFICIENT)),
            "{\"push\":{\"channel\":\"a\\\"b\",\"unsubscribe\":\
             {\"code\":2500,\"reason\":\"insufficient state\"}}}"
        );
        assert_eq!(text(ping), "{}");
    }

    #[test]
    fn fields_that_are_not_set_are_left_out() {
        let connected = text(|out| {
            result(out, 1, "connect", |fields| {
                fields.text("client", "x");
                fields.ttl(None);
                fields.flag("pong", false);
                fields.number("ping", 25);
            });
        });
        assert_eq!(connected, r#"{"id":1,"connect":{"client":"x","ping":25}}"#);
    }

    #[test]
    fn data_goes_out_as_it_came() {
        let data = b"{\"t\" : \"h\\u0069\", \"n\":1.50e1}";
        let whole = text(|out| publication(out, data, None, Some(16)));
        assert_eq!(whole, "{\"data\":{\"t\" : \"h\\u0069\", \"n\":1.50e1},\"offset\":16}");
        let lines = text(|out| publication(out, b"[1,\n\n2]\n", None, None));
        assert_eq!(lines, "{\"data\":[1,2]}");
    }
}
