//! The client's opening handshake as the server reads it (RFC 6455 4.2.1).

use std::fmt;

use super::list::{elements, has_token, is_extension_list, is_token};
use super::{AcceptKey, MAX_HEADERS, Refusal, has_bare_lf, is_host, is_key};

/// A checked upgrade request, borrowed from its head.
#[derive(Clone)]
pub struct Request<'h> {
    /// Path and query, the path first.
    target: &'h str,
    /// Bytes of `target` before the '?', or all of them.
    path_len: usize,
    host: &'h str,
    origin: Option<&'h str>,
    key: &'h [u8],
    fields: [httparse::Header<'h>; MAX_HEADERS],
    /// How many of `fields` are used.
    fields_len: usize,
}

/// Without query, key and fields: they may hold tokens, and this may end in a log.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("path", &self.path())
            .field("host", &self.host)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl<'h> Request<'h> {
    /// Path and query as they were sent; of an absolute URI what stands after its authority.
    pub fn target(&self) -> &'h str {
        self.target
    }

    /// The path as it was sent, escapes and all. Begins with '/'.
    pub fn path(&self) -> &'h str {
        &self.target[..self.path_len]
    }

    /// What follows the '?', if there is one.
    pub fn query(&self) -> Option<&'h str> {
        self.target.get(self.path_len + 1..)
    }

    /// `host` or `host:port` that the client meant.
    pub fn host(&self) -> &'h str {
        self.host
    }

    /// Where the page came from, if a browser asks.
    pub fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// The first field of this name, without regard to case.
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.values(name).next()
    }

    /// The subprotocols that the client offers, in its order of preference; each is a token.
    ///
    /// RFC 6455 4.1 wants them unique. A repeated name does no harm and is passed on as it came:
    /// to look for one is quadratic work at the bidding of whoever connects.
    pub fn protocols(&self) -> impl Iterator<Item = &'h str> {
        self.values("Sec-WebSocket-Protocol").flat_map(elements).filter_map(as_str)
    }

    /// What proves to the client that its handshake was understood.
    pub fn accept(&self) -> AcceptKey {
        AcceptKey::of(self.key)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        let of_name = move |field: &&httparse::Header<'h>| field.name.eq_ignore_ascii_case(name);
        self.fields[..self.fields_len].iter().filter(of_name).map(|field| field.value)
    }
}

/// Parses and checks one whole head, as [`super::head_end`] delimits it.
///
/// The checks go from the grammar to HTTP's own rules to those of RFC 6455, and the first that
/// fails names the refusal.
pub fn parse_request(head: &[u8]) -> Result<Request<'_>, Refusal> {
    if has_bare_lf(head) {
        return Err(Refusal::BareLineFeed);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(len)) if len == head.len() => {}
        Ok(_) => return Err(Refusal::BadRequestLine),
        Err(e) => return Err(refusal_of(e)),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::BadRequestLine);
    };
    let fields_len = parsed.headers.len();

    //# RFC 6455 4.2.1: An HTTP/1.1 or higher GET request.
    if version != 1 {
        return Err(Refusal::BadHttpVersion);
    }
    if method != "GET" {
        return Err(Refusal::BadMethod { method: method.to_owned() });
    }
    let seen = Singletons::collect(&fields[..fields_len])?;
    seen.check_no_body()?;
    let (authority, target) =
        split_target(target).ok_or_else(|| Refusal::BadTarget { target: target.to_owned() })?;
    let host = seen.host(authority)?;
    check_upgrade(&fields[..fields_len])?;
    seen.check_version()?;
    let key = seen.key()?;
    let origin = seen.origin()?;
    check_lists(&fields[..fields_len])?;
    let path_len = target.find('?').unwrap_or(target.len());
    Ok(Request { target, path_len, host, origin, key, fields, fields_len })
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::Version => Refusal::BadHttpVersion,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Refusal::BadHeader,
        httparse::Error::TooManyHeaders => Refusal::TooManyHeaders { limit: MAX_HEADERS },
        httparse::Error::Token | httparse::Error::NewLine | httparse::Error::Status => {
            Refusal::BadRequestLine
        }
    }
}

/// The fields that may come once.
#[derive(Default)]
struct Singletons<'h> {
    host: Option<&'h [u8]>,
    key: Option<&'h [u8]>,
    version: Option<&'h [u8]>,
    origin: Option<&'h [u8]>,
    length: Option<&'h [u8]>,
    /// `Transfer-Encoding`: what it says does not matter, that it is there does.
    encoding: Option<&'h [u8]>,
}

impl<'h> Singletons<'h> {
    fn collect(fields: &[httparse::Header<'h>]) -> Result<Self, Refusal> {
        let mut seen = Self::default();
        for field in fields {
            let (slot, name) = match field.name.len() {
                4 => (&mut seen.host, "Host"),
                17 if field.name.eq_ignore_ascii_case("Sec-WebSocket-Key") => {
                    (&mut seen.key, "Sec-WebSocket-Key")
                }
                17 => (&mut seen.encoding, "Transfer-Encoding"),
                21 => (&mut seen.version, "Sec-WebSocket-Version"),
                6 => (&mut seen.origin, "Origin"),
                14 => (&mut seen.length, "Content-Length"),
                _ => continue,
            };
            if field.name.eq_ignore_ascii_case(name)
                && slot.replace(field.value.trim_ascii()).is_some()
            {
                return Err(Refusal::Repeated { name });
            }
        }
        Ok(seen)
    }

    fn check_no_body(&self) -> Result<(), Refusal> {
        if self.encoding.is_some() {
            return Err(Refusal::Body { name: "Transfer-Encoding" });
        }
        match self.length {
            None | Some(b"0") => Ok(()),
            Some(_) => Err(Refusal::Body { name: "Content-Length" }),
        }
    }

    fn host(&self, authority: Option<&'h str>) -> Result<&'h str, Refusal> {
        //# RFC 9112 3.2: A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
        //# request message that lacks a Host header field and to any request message that contains
        //# more than one Host header field line or a Host header field with an invalid field value.
        let host = self.host.ok_or(Refusal::MissingHost)?;
        let host = Some(host).filter(|host| is_host(host)).and_then(as_str);
        let host = host.ok_or(Refusal::BadHost)?;
        //# RFC 9112 3.2.2: When an origin server receives a request with an absolute-form of
        //# request-target, the origin server MUST ignore the received Host header field (if any)
        //# and instead use the host information of the request-target.
        Ok(authority.unwrap_or(host))
    }

    fn check_version(&self) -> Result<(), Refusal> {
        //# RFC 6455 4.2.1: A |Sec-WebSocket-Version| header field, with a value of 13.
        match self.version {
            Some(b"13") => Ok(()),
            Some(version) => {
                let version = String::from_utf8_lossy(version).into_owned();
                Err(Refusal::BadVersion { version })
            }
            None => Err(Refusal::MissingVersion),
        }
    }

    fn key(&self) -> Result<&'h [u8], Refusal> {
        //# RFC 6455 4.2.1: A |Sec-WebSocket-Key| header field with a base64-encoded [...] value
        //# that, when decoded, is 16 bytes in length.
        let key = self.key.ok_or(Refusal::MissingKey)?;
        if is_key(key) { Ok(key) } else { Err(Refusal::BadKey) }
    }

    fn origin(&self) -> Result<Option<&'h str>, Refusal> {
        let Some(origin) = self.origin else { return Ok(None) };
        // Spaces are visible enough: RFC 6454 7.1 allows a list of origins.
        let visible = |b: &u8| matches!(b, b' '..=b'~');
        let origin = Some(origin).filter(|origin| origin.iter().all(visible)).and_then(as_str);
        origin.ok_or(Refusal::BadOrigin).map(Some)
    }
}

/// Authority, if there is one, and path with query.
fn split_target(target: &str) -> Option<(Option<&str>, &str)> {
    //# RFC 6455 3: Fragment identifiers are meaningless in the context of WebSocket URIs and MUST
    //# NOT be used on these URIs.
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        return None;
    }
    if target.starts_with('/') {
        return Some((None, target));
    }
    //# RFC 9112 3.2.2: To allow for transition to the absolute-form for all requests in some future
    //# version of HTTP, a server MUST accept the absolute-form in requests.
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    // A '?' straight after the authority, and user information before it, end here.
    is_host(authority.as_bytes()).then_some((Some(authority), path))
}

fn check_upgrade(fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    let any_has = |name: &str, token: &str| {
        let of_name = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        fields.iter().filter(of_name).any(|field| has_token(field.value, token))
    };
    //# RFC 6455 4.2.1: An |Upgrade| header field containing the value "websocket", treated as an
    //# ASCII case-insensitive value.
    if !any_has("Upgrade", "websocket") {
        return Err(Refusal::UpgradeRequired);
    }
    //# RFC 6455 4.2.1: A |Connection| header field that includes the token "Upgrade", treated as an
    //# ASCII case-insensitive value.
    if !any_has("Connection", "upgrade") {
        return Err(Refusal::NotConnectionUpgrade);
    }
    Ok(())
}

fn check_lists(fields: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    for field in fields {
        //# RFC 6455 4.1: The elements that comprise this value MUST be non-empty strings with
        //# characters in the range U+0021 to U+007E not including separator characters
        //# as defined in [RFC2616].
        if field.name.eq_ignore_ascii_case("Sec-WebSocket-Protocol") {
            let mut names = elements(field.value).peekable();
            if names.peek().is_none() || !names.all(is_token) {
                return Err(Refusal::BadProtocols);
            }
        }
        //# RFC 6455 9.1: If a value is received by either the client or the server during
        //# negotiation that does not conform to the ABNF below, the recipient of such malformed
        //# data MUST immediately _Fail the WebSocket Connection_.
        if field.name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")
            && !is_extension_list(field.value)
        {
            return Err(Refusal::BadExtensions);
        }
    }
    Ok(())
}

fn as_str(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
