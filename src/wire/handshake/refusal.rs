//! Why an upgrade is refused, and the answer that says so.

use super::shown;

/// Seconds that a refused client is asked to wait, where waiting helps. Enough for a restart or for
/// a wave of connections to pass, short enough to be believed.
const RETRY_AFTER_S: u32 = 5;

/// Why the server refuses an upgrade: one variant for each sin, then what the server itself has to
/// say. The text of each is what the client reads.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// RFC 9112 2.2: lines end in CRLF.
    #[error("a line of the request ends in LF alone: lines end in CRLF (RFC 9112 2.2)")]
    BareLineFeed,
    /// RFC 9112 3: method, one space, target, one space, version.
    #[error("the request line is not 'GET TARGET HTTP/1.1' (RFC 9112 3)")]
    BadRequestLine,
    /// RFC 9110 7.8, RFC 6455 4.2.1: HTTP/1.1 or higher; on this wire only 1.1 can be.
    #[error("this HTTP version cannot upgrade: use HTTP/1.1 (RFC 6455 4.1)")]
    BadHttpVersion,
    /// RFC 9112 5: a field that is no `name: value`, is folded, or holds a control character.
    #[error(
        "a header field is not 'Name: value' on one line without control characters (RFC 9112 5)"
    )]
    BadHeader,
    /// More header fields than are held.
    #[error("more than {limit} header fields")]
    TooManyHeaders {
        /// The limit in fields.
        limit: usize,
    },
    /// The head is longer than is held.
    #[error("the request head is longer than {limit} bytes")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// RFC 6455 4.1: the method must be GET.
    #[error("method {} cannot open a WebSocket: use GET (RFC 6455 4.1)", shown(.method))]
    BadMethod {
        /// As it was sent.
        method: String,
    },
    /// RFC 9112 3.2: a path, or an http URI; without a fragment (RFC 6455 3).
    #[error(
        "target {} is not a path that begins with '/' or an http URI, in ASCII and without '#' \
         (RFC 9112 3.2)", shown(.target)
    )]
    BadTarget {
        /// As it was sent.
        target: String,
    },
    /// RFC 9112 3.2: a request has a Host.
    #[error("the Host header field is missing (RFC 9112 3.2)")]
    MissingHost,
    /// RFC 9112 3.2: a Host is `host` or `host:port`.
    #[error("the Host header field is not 'host' or 'host:port' (RFC 9112 3.2)")]
    BadHost,
    /// A field that makes sense only once came again.
    #[error("the {name} header field came more than once")]
    Repeated {
        /// Its name as the RFC writes it.
        name: &'static str,
    },
    /// An upgrade carries no body: what follows its head would be read as frames by one and as
    /// a body by another.
    #[error("an upgrade has no body: leave out {name} (RFC 6455 4.1)")]
    Body {
        /// The field that announced it.
        name: &'static str,
    },
    /// RFC 9110 15.5.22: a plain request for a resource that is served by WebSocket only.
    #[error(
        "this is a WebSocket resource: send 'Upgrade: websocket' and 'Connection: Upgrade' \
         (RFC 6455 4.1); a proxy in between must pass both on"
    )]
    UpgradeRequired,
    /// RFC 6455 4.2.1: a Connection field with the token `Upgrade`.
    #[error("the Connection header field lacks the token 'Upgrade' (RFC 6455 4.2.1)")]
    NotConnectionUpgrade,
    /// RFC 6455 4.2.1: a version, which must be 13.
    #[error("the Sec-WebSocket-Version header field is missing: send 13 (RFC 6455 4.2.1)")]
    MissingVersion,
    /// RFC 6455 4.4: a version that is not spoken here.
    #[error("WebSocket version {} is not spoken here: send 13 (RFC 6455 4.4)", shown(.version))]
    BadVersion {
        /// As it was sent.
        version: String,
    },
    /// RFC 6455 4.2.1: a key.
    #[error("the Sec-WebSocket-Key header field is missing (RFC 6455 4.2.1)")]
    MissingKey,
    /// RFC 6455 4.2.1: base64 of 16 bytes.
    #[error("the Sec-WebSocket-Key header field is not base64 of 16 bytes (RFC 6455 4.2.1)")]
    BadKey,
    /// RFC 6455 4.1: an origin is written in ASCII.
    #[error("the Origin header field is not visible ASCII (RFC 6454 7.1)")]
    BadOrigin,
    /// RFC 6455 4.1: subprotocols are tokens.
    #[error("the Sec-WebSocket-Protocol header field is not a list of tokens (RFC 6455 4.1)")]
    BadProtocols,
    /// RFC 6455 9.1: an offer that does not follow the grammar fails the handshake.
    #[error("the Sec-WebSocket-Extensions header field is not a list of extensions (RFC 6455 9.1)")]
    BadExtensions,
    /// No service has this path.
    #[error("nothing is served at {}", shown(.path))]
    NotFound {
        /// As it was sent.
        path: String,
    },
    /// RFC 6455 4.2.2: the page's origin is not among the allowed.
    #[error("origin {} is not allowed here: the server's --allow-origin names those that are",
        shown(.origin))]
    OriginNotAllowed {
        /// As it was sent.
        origin: String,
    },
    /// The head did not come in time.
    #[error("the request head did not come in time")]
    Timeout,
    /// All connections are taken.
    #[error("the server is full: its {limit} connections (--max-connections) are taken")]
    Full {
        /// The limit in connections.
        limit: usize,
    },
    /// The address has as many connections as it may.
    #[error("this address has its {limit} connections (--max-per-address) already")]
    PerAddress {
        /// The limit in connections.
        limit: usize,
    },
    /// The memory for slow peers is nearly used up.
    #[error("the server is overloaded: its memory for pending messages is nearly used up")]
    Overloaded,
    /// The server drains its connections.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// The status code of the answer.
    pub fn status(&self) -> u16 {
        self.row().0
    }

    /// The label of this refusal in metrics: snake case, one for each variant.
    pub fn name(&self) -> &'static str {
        self.row().1
    }

    fn row(&self) -> (u16, &'static str) {
        match self {
            Self::BareLineFeed => (400, "bare_line_feed"),
            Self::BadRequestLine => (400, "bad_request_line"),
            Self::BadHttpVersion => (505, "bad_http_version"),
            Self::BadHeader => (400, "bad_header"),
            Self::TooManyHeaders { .. } => (431, "too_many_headers"),
            Self::HeadTooLarge { .. } => (431, "head_too_large"),
            Self::BadMethod { .. } => (405, "bad_method"),
            Self::BadTarget { .. } => (400, "bad_target"),
            Self::MissingHost => (400, "missing_host"),
            Self::BadHost => (400, "bad_host"),
            Self::Repeated { .. } => (400, "repeated_header"),
            Self::Body { .. } => (400, "body"),
            Self::UpgradeRequired => (426, "upgrade_required"),
            Self::NotConnectionUpgrade => (400, "not_connection_upgrade"),
            Self::MissingVersion => (426, "missing_version"),
            Self::BadVersion { .. } => (426, "bad_version"),
            Self::MissingKey => (400, "missing_key"),
            Self::BadKey => (400, "bad_key"),
            Self::BadOrigin => (400, "bad_origin"),
            Self::BadProtocols => (400, "bad_protocols"),
            Self::BadExtensions => (400, "bad_extensions"),
            Self::NotFound { .. } => (404, "not_found"),
            Self::OriginNotAllowed { .. } => (403, "origin_not_allowed"),
            Self::Timeout => (408, "timeout"),
            Self::Full { .. } => (503, "full"),
            Self::PerAddress { .. } => (503, "per_address"),
            Self::Overloaded => (503, "overloaded"),
            Self::ShuttingDown => (503, "shutting_down"),
        }
    }

    /// Appends the whole answer: a head, and the reason as one line of plain text.
    ///
    /// After it the connection is to be closed for writing, and what the peer still sends is to be
    /// discarded.
    pub fn write(&self, out: &mut Vec<u8>) {
        let status = self.status();
        let body = format!("{self}\n");
        let head = format!(
            "HTTP/1.1 {status} {}\r\n{}\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\r\n",
            phrase(status),
            self.fields(),
            body.len(),
        );
        out.extend_from_slice(head.as_bytes());
        //# RFC 9110 9.3.2: The HEAD method is identical to GET except that the server MUST NOT send
        //# content in the response.
        if !matches!(self, Self::BadMethod { method } if method == "HEAD") {
            out.extend_from_slice(body.as_bytes());
        }
    }

    /// The fields that the status asks for, and how the connection goes on: not at all.
    fn fields(&self) -> String {
        match self.status() {
            //# RFC 9110 15.5.6: The origin server MUST generate an Allow header field in a 405
            //# response.
            405 => "Allow: GET\r\nConnection: close\r\n".to_owned(),
            //# RFC 9110 15.5.22: The server MUST send an Upgrade header field in a 426 response to
            //# indicate the required protocol(s).
            //# RFC 6455 4.2.2: the server MUST [...] send an appropriate HTTP error code (such as
            //# 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the
            //# version(s) the server is capable of understanding.
            426 => "Upgrade: websocket\r\nConnection: Upgrade, close\r\n\
                    Sec-WebSocket-Version: 13\r\n"
                .to_owned(),
            503 => format!("Retry-After: {RETRY_AFTER_S}\r\nConnection: close\r\n"),
            _ => "Connection: close\r\n".to_owned(),
        }
    }
}

/// The reason phrase of a status used here (RFC 9110 15, RFC 6585 5).
fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
