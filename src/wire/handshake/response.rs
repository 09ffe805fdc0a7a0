//! The server's opening handshake as the client reads it (RFC 6455 4.1, after its request).

use super::list::has_token;
use super::{AcceptKey, MAX_HEADERS, has_bare_lf, shown};

/// A checked answer that switches protocols, borrowed from its head.
#[derive(Clone, Debug)]
pub struct Response<'h> {
    protocol: Option<&'h str>,
    fields: [httparse::Header<'h>; MAX_HEADERS],
    /// How many of `fields` are used.
    fields_len: usize,
}

impl<'h> Response<'h> {
    /// The subprotocol that the server chose among the offered.
    pub fn protocol(&self) -> Option<&'h str> {
        self.protocol
    }

    /// The first field of this name, without regard to case.
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        values(&self.fields[..self.fields_len], name).next()
    }
}

/// Why a client rejects the server's answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejection {
    /// The bytes are no HTTP/1.1 head.
    #[error(
        "the answer is not an HTTP/1.1 head: is this the port of a WebSocket server, and one \
         without TLS?"
    )]
    NotHttp,
    /// More header fields than are held.
    #[error("the answer has more than {limit} header fields")]
    TooManyHeaders {
        /// The limit in fields.
        limit: usize,
    },
    /// The head is longer than is held.
    #[error("the head of the answer is longer than {limit} bytes: is this a WebSocket server?")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Any status but 101.
    #[error("server answered {}", status_text(*.0))]
    Status(u16),
    /// RFC 6455 4.1: no Upgrade, or one to something else.
    #[error("the answer does not upgrade to 'websocket': a proxy in between may have eaten it")]
    NotUpgrade,
    /// RFC 6455 4.1: no Connection with the token `Upgrade`.
    #[error(
        "the Connection field of the answer lacks 'Upgrade': a proxy in between may have eaten it"
    )]
    NotConnectionUpgrade,
    /// RFC 6455 4.1: no Sec-WebSocket-Accept.
    #[error("the answer lacks Sec-WebSocket-Accept: the server does not speak WebSocket")]
    MissingAccept,
    /// RFC 6455 4.1: a Sec-WebSocket-Accept for another key.
    #[error(
        "the answer's Sec-WebSocket-Accept is not that of our key: a cache in between, or a server \
         that does not speak WebSocket"
    )]
    WrongAccept,
    /// A field that makes sense only once came again.
    #[error("the answer's {name} field came more than once")]
    Repeated {
        /// Its name as the RFC writes it.
        name: &'static str,
    },
    /// RFC 6455 4.1: an extension that was not offered.
    #[error("the server uses extension {}, which was not offered", shown(.0))]
    Extension(String),
    /// RFC 6455 4.1: a subprotocol that was not offered.
    #[error("the server chose subprotocol {}, which was not offered", shown(.0))]
    Protocol(String),
}

impl Rejection {
    /// The label of this cause in reports: snake case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotHttp => "not_http",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::Status(status) => status_row(*status).0,
            Self::NotUpgrade => "not_upgrade",
            Self::NotConnectionUpgrade => "not_connection_upgrade",
            Self::MissingAccept => "missing_accept",
            Self::WrongAccept => "wrong_accept",
            Self::Repeated { .. } => "repeated_header",
            Self::Extension(_) => "extension_not_offered",
            Self::Protocol(_) => "protocol_not_offered",
        }
    }
}

fn status_text(status: u16) -> String {
    format!("{status} {}", status_row(status).1)
}

/// Label, and what the status means here with what to do about it.
fn status_row(status: u16) -> (&'static str, &'static str) {
    match status {
        301 | 302 | 303 | 307 | 308 => {
            ("http_redirect", "(a redirect): give the final URL, redirects are not followed")
        }
        400 => {
            ("http_400", "Bad Request: it finds fault with the handshake or with a header given")
        }
        401 => ("http_401", "Unauthorized: give credentials in a header"),
        403 => ("http_403", "Forbidden: check the origin and the credentials"),
        404 => ("http_404", "Not Found: check the path"),
        405 => ("http_405", "Method Not Allowed: this path takes no WebSocket; check the path"),
        408 => ("http_408", "Request Timeout: connections come faster than it serves them"),
        426 => ("http_426", "Upgrade Required: a proxy in between may have eaten the upgrade"),
        429 => ("http_429", "Too Many Requests: connect more slowly or from more addresses"),
        431 => ("http_431", "Request Header Fields Too Large: give fewer or shorter headers"),
        500 => ("http_500", "Internal Server Error: see the server's log"),
        502 => ("http_502", "Bad Gateway: the server behind the proxy cannot be reached"),
        503 => ("http_503", "Service Unavailable: it is full, overloaded or shutting down"),
        504 => ("http_504", "Gateway Timeout: the server behind the proxy is too slow"),
        _ => class_row(status / 100),
    }
}

/// As [`status_row`], for the statuses that have no row of their own.
fn class_row(hundreds: u16) -> (&'static str, &'static str) {
    match hundreds {
        1 => ("http_1xx", "before switching protocols, which a WebSocket server does not do"),
        2 => ("http_2xx", "instead of 101: this path serves HTTP, not WebSocket; check the path"),
        3 => ("http_3xx", "instead of 101: give the final URL"),
        4 => ("http_4xx", "(a fault of the request): see the server's log"),
        5 => ("http_5xx", "(a fault of the server): see the server's log"),
        _ => ("http_other", "which is no HTTP status: this is not a WebSocket server"),
    }
}

/// Whether what has come so far may become an HTTP/1 answer: known from the first byte on, where a
/// head's end may never come. Empty lines in front are passed over, as the parser does.
pub fn begins_like_an_answer<'b>(bytes: impl Iterator<Item = &'b u8>) -> bool {
    bytes
        .skip_while(|byte| matches!(byte, b'\r' | b'\n'))
        .zip(b"HTTP/1.")
        .all(|(is, due)| is == due)
}

/// Checks the server's answer: one whole head, as [`super::head_end`] delimits it.
///
/// `accept` comes from [`super::ClientRequest::write`]; `offered` are the subprotocols of that
/// request.
pub fn check_response<'h>(
    head: &'h [u8],
    accept: &AcceptKey,
    offered: &[String],
) -> Result<Response<'h>, Rejection> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Rejection::TooManyHeaders { limit: MAX_HEADERS });
        }
        Ok(_) | Err(_) => return Err(Rejection::NotHttp),
    }
    let (version, status) = (parsed.version, parsed.code);
    let fields_len = parsed.headers.len();
    if version != Some(1) || has_bare_lf(head) {
        return Err(Rejection::NotHttp);
    }
    //# RFC 6455 4.1: If the status code received from the server is not 101, the client handles the
    //# response per HTTP procedures.
    match status {
        Some(101) => {}
        Some(other) => return Err(Rejection::Status(other)),
        None => return Err(Rejection::NotHttp),
    }
    let used = &fields[..fields_len];
    check_upgrade(used)?;
    check_accept(used, accept)?;
    //# RFC 6455 4.1: If the response includes a |Sec-WebSocket-Extensions| header field and this
    //# header field indicates the use of an extension that was not present in the client's
    //# handshake, the client MUST _Fail the WebSocket Connection_.
    if let Some(value) = values(used, "Sec-WebSocket-Extensions").next() {
        return Err(Rejection::Extension(String::from_utf8_lossy(value).into_owned()));
    }
    let protocol = check_protocol(used, offered)?;
    Ok(Response { protocol, fields, fields_len })
}

fn check_upgrade(fields: &[httparse::Header<'_>]) -> Result<(), Rejection> {
    //# RFC 6455 4.1: If the response lacks an |Upgrade| header field or the |Upgrade| header field
    //# contains a value that is not an ASCII case-insensitive match for the value "websocket", the
    //# client MUST _Fail the WebSocket Connection_.
    let mut upgrades = values(fields, "Upgrade").peekable();
    if upgrades.peek().is_none() || !upgrades.all(|v| v.eq_ignore_ascii_case(b"websocket")) {
        return Err(Rejection::NotUpgrade);
    }
    //# RFC 6455 4.1: If the response lacks a |Connection| header field or the |Connection| header
    //# field doesn't contain a token that is an ASCII case-insensitive match for the value
    //# "Upgrade", the client MUST _Fail the WebSocket Connection_.
    if !values(fields, "Connection").any(|value| has_token(value, "upgrade")) {
        return Err(Rejection::NotConnectionUpgrade);
    }
    Ok(())
}

fn check_accept(fields: &[httparse::Header<'_>], accept: &AcceptKey) -> Result<(), Rejection> {
    //# RFC 6455 4.1: If the response lacks a |Sec-WebSocket-Accept| header field or the
    //# |Sec-WebSocket-Accept| contains a value other than the base64-encoded SHA-1 [...] but
    //# ignoring any leading and trailing whitespace, the client MUST _Fail the WebSocket
    //# Connection_.
    let value = once(fields, "Sec-WebSocket-Accept")?.ok_or(Rejection::MissingAccept)?;
    if value == accept.0 { Ok(()) } else { Err(Rejection::WrongAccept) }
}

fn check_protocol<'h>(
    fields: &[httparse::Header<'h>],
    offered: &[String],
) -> Result<Option<&'h str>, Rejection> {
    let Some(value) = once(fields, "Sec-WebSocket-Protocol")? else { return Ok(None) };
    //# RFC 6455 4.1: If the response includes a |Sec-WebSocket-Protocol| header field and this
    //# header field indicates the use of a subprotocol that was not present in the client's
    //# handshake, the client MUST _Fail the WebSocket Connection_.
    match std::str::from_utf8(value) {
        Ok(chosen) if offered.iter().any(|name| name == chosen) => Ok(Some(chosen)),
        _ => Err(Rejection::Protocol(String::from_utf8_lossy(value).into_owned())),
    }
}

/// The one field of this name, if it is there.
fn once<'h>(
    fields: &[httparse::Header<'h>],
    name: &'static str,
) -> Result<Option<&'h [u8]>, Rejection> {
    let mut all = values(fields, name);
    let first = all.next();
    if all.next().is_some() { Err(Rejection::Repeated { name }) } else { Ok(first) }
}

fn values<'h>(fields: &[httparse::Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    let of_name = move |field: &&httparse::Header<'h>| field.name.eq_ignore_ascii_case(name);
    fields.iter().filter(of_name).map(|field| field.value.trim_ascii())
}
