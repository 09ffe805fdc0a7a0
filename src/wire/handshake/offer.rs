//! The client's opening handshake as the client writes it (RFC 6455 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::list::is_token;
use super::{AcceptKey, is_host, shown};

/// What a client asks for. Borrowed: thousands of connections share one description.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// `host`, or `host:port` when the port is not the scheme's own.
    pub host: &'a str,
    /// Path and query; begins with '/'.
    pub target: &'a str,
    /// The page's origin, for a client that stands for a browser.
    pub origin: Option<&'a str>,
    /// Subprotocols, the preferred one first.
    pub protocols: &'a [String],
    /// Further fields, name and value.
    pub headers: &'a [(String, String)],
}

/// What is wrong with a [`ClientRequest`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRequest {
    /// RFC 3986 3.2.2.
    #[error("host {} is not 'host' or 'host:port': leave out the scheme and user names", shown(.0))]
    Host(String),
    /// RFC 6455 3.
    #[error(
        "target {} must begin with '/' and be visible ASCII without '#': escape the rest with '%'",
        shown(.0)
    )]
    Target(String),
    /// RFC 6454 7.1.
    #[error("origin {} must be visible ASCII, such as 'https://example.com'", shown(.0))]
    Origin(String),
    /// RFC 6455 4.1.
    #[error("subprotocol {} is not a token: use letters, digits, '.', '-' or '_'", shown(.0))]
    Protocol(String),
    /// RFC 6455 4.1.
    #[error("subprotocol {} is offered twice: offer it once", shown(.0))]
    RepeatedProtocol(String),
    /// RFC 9110 5.1.
    #[error("header name {} is not a token: use letters, digits and '-'", shown(.0))]
    HeaderName(String),
    /// RFC 9110 5.5: a line break would begin another header, or another request.
    #[error("the value of header {} holds a control character: leave it out", shown(.0))]
    HeaderValue(String),
    /// The handshake writes this field itself.
    #[error("header {} belongs to the handshake: {remedy}", shown(.name))]
    Reserved {
        /// As it was given.
        name: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

impl ClientRequest<'_> {
    /// Whether what is written will be one request and a right one.
    pub fn check(&self) -> Result<(), BadRequest> {
        if !is_host(self.host.as_bytes()) {
            return Err(BadRequest::Host(self.host.to_owned()));
        }
        let of_target = |b: u8| b.is_ascii_graphic() && b != b'#';
        if !self.target.starts_with('/') || !self.target.bytes().all(of_target) {
            return Err(BadRequest::Target(self.target.to_owned()));
        }
        if let Some(origin) = self.origin
            && (origin.is_empty() || !origin.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(BadRequest::Origin(origin.to_owned()));
        }
        for (i, protocol) in self.protocols.iter().enumerate() {
            if !is_token(protocol.as_bytes()) {
                return Err(BadRequest::Protocol(protocol.clone()));
            }
            //# RFC 6455 4.1: [...] and MUST all be unique strings.
            if self.protocols[..i].contains(protocol) {
                return Err(BadRequest::RepeatedProtocol(protocol.clone()));
            }
        }
        self.headers.iter().try_for_each(|(name, value)| self.check_header(name, value))
    }

    fn check_header(&self, name: &str, value: &str) -> Result<(), BadRequest> {
        if !is_token(name.as_bytes()) {
            return Err(BadRequest::HeaderName(name.to_owned()));
        }
        if value.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
            return Err(BadRequest::HeaderValue(name.to_owned()));
        }
        match self.remedy(&name.to_ascii_lowercase()) {
            Some(remedy) => Err(BadRequest::Reserved { name: name.to_owned(), remedy }),
            None => Ok(()),
        }
    }

    /// What to do instead of giving this field by hand; `None` when it may be given.
    fn remedy(&self, lower_name: &str) -> Option<&'static str> {
        match lower_name {
            "host" => Some("put the host into the URL"),
            "upgrade" | "connection" => Some("it is always written; leave it out"),
            "content-length" | "transfer-encoding" => Some("an upgrade has no body; leave it out"),
            "sec-websocket-protocol" => Some("give the subprotocol as such"),
            "sec-websocket-extensions" => Some("no extension is spoken here; leave it out"),
            "origin" if self.origin.is_some() => Some("the origin is given already; leave one out"),
            _ if lower_name.starts_with("sec-websocket-") => {
                Some("it is made for each connection; leave it out")
            }
            _ => None,
        }
    }

    /// Appends the request, which [`ClientRequest::check`] has passed, and says what the server
    /// must answer.
    pub fn write(&self, nonce: [u8; 16], out: &mut Vec<u8>) -> AcceptKey {
        //# RFC 6455 4.1: The value of this header field MUST be a nonce consisting of a randomly
        //# selected 16-byte value that has been base64-encoded [...]. The nonce MUST be selected
        //# randomly for each connection.
        let mut key = [0; 24];
        let written = STANDARD.encode_slice(nonce, &mut key);
        debug_assert_eq!(written.ok(), Some(24), "16 bytes are 24 characters");

        let mut line = |parts: &[&str]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        };
        //# RFC 6455 4.1: The method of the request MUST be GET, and the HTTP version MUST be at
        //# least 1.1. [...] The request MUST contain a |Host| header field [...] The request MUST
        //# contain an |Upgrade| header field whose value MUST include the "websocket" keyword. The
        //# request MUST contain a |Connection| header field whose value MUST include the "Upgrade"
        //# token. The request MUST include a header field with the name |Sec-WebSocket-Key|. [...]
        //# The request MUST include a header field with the name |Sec-WebSocket-Version|. The value
        //# of this header field MUST be 13.
        line(&["GET ", self.target, " HTTP/1.1"]);
        line(&["Host: ", self.host]);
        line(&["Upgrade: websocket"]);
        line(&["Connection: Upgrade"]);
        line(&["Sec-WebSocket-Version: 13"]);
        if let Some(origin) = self.origin {
            line(&["Origin: ", origin]);
        }
        if !self.protocols.is_empty() {
            line(&["Sec-WebSocket-Protocol: ", &self.protocols.join(", ")]);
        }
        for (name, value) in self.headers {
            line(&[name, ": ", value]);
        }
        out.extend_from_slice(b"Sec-WebSocket-Key: ");
        out.extend_from_slice(&key);
        out.extend_from_slice(b"\r\n\r\n");
        AcceptKey::of(&key)
    }
}
