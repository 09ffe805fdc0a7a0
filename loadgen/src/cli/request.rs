//! What the upgrade request is made from: the URL, further header fields, subprotocols, the origin.

use super::Args;
use super::address::{self, WS};
use super::pattern::{Part, parts, unknown};
use super::plan::{Endpoint, Pattern, Plan, RequestExtras};
use super::usage::{UsageError, refuse};

/// The placeholder in a URL for the connection's number.
pub(super) const CONNECTION: &str = "{connection}";

impl Plan {
    /// Whether connections ask with requests of their own.
    pub(crate) fn is_personal(&self) -> bool {
        let mut urls = self.target.endpoints().iter();
        urls.any(|endpoint| endpoint.path.contains(CONNECTION))
            || self.request.headers.iter().any(|(_, value)| value.is_personal())
    }
}

/// A URL by RFC 6455 3.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, UsageError> {
    let refuse =
        |rule: &str, remedy: &str| refuse(format!("URL '{}'", text.escape_debug()), rule, remedy);
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse("it has no scheme", WS);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "ws" => {}
        "wss" => return refuse("TLS is not yet served", "use ws://"),
        "http" | "https" => {
            return refuse("a WebSocket is asked for, not a page", &format!("write ws://{rest}"));
        }
        _ => return refuse("the scheme is unknown", "use ws://"),
    }
    let mut endpoint = address::endpoint(&format!("URL '{}'", text.escape_debug()), text, WS)?;
    for part in parts(text) {
        if let Part::Placeholder { name, argument } = part
            && (name != "connection" || argument.is_some())
        {
            return unknown(format!("URL '{}'", text.escape_debug()), name, CONNECTION);
        }
    }
    if text.contains(CONNECTION) {
        // Braces of a path are percent-encoded; those of the placeholder are none of the URL's.
        endpoint.path = endpoint.path.replace("%7Bconnection%7D", CONNECTION);
    }
    Ok(endpoint)
}

/// Everything beside the handshake's own fields.
pub(super) fn extras(args: &Args) -> Result<RequestExtras, UsageError> {
    let headers = args.headers.iter().map(|text| header(text));
    let mut headers = headers.collect::<Result<Vec<_>, _>>()?;
    headers.extend(cookies(args)?);
    for (at, protocol) in args.subprotocol.iter().enumerate() {
        let input = format!("--subprotocol '{protocol}'");
        if !is_token(protocol) {
            return refuse(
                input,
                "a subprotocol is a token: letters, digits and -._~!#$%&'*+^`|",
                "give one name for each --subprotocol",
            );
        }
        if args.subprotocol[..at].contains(protocol) {
            return refuse(input, "names must differ (RFC 6455 4.1)", "give it once");
        }
    }
    if let Some(origin) = &args.origin
        && !is_value(origin)
    {
        return refuse(
            format!("--origin '{}'", origin.escape_debug()),
            "a header's value is one line of text",
            "drop control characters",
        );
    }
    Ok(RequestExtras {
        headers,
        subprotocols: args.subprotocol.clone(),
        origin: args.origin.clone(),
    })
}

/// Fields that the handshake writes itself, and the flag that sets each, if any.
const OWN_FIELDS: [(&str, &str); 8] = [
    ("host", "put the host into the URL"),
    ("upgrade", "drop it"),
    ("connection", "drop it"),
    ("sec-websocket-key", "drop it"),
    ("sec-websocket-version", "drop it"),
    ("sec-websocket-extensions", "drop it: no extension is offered"),
    ("sec-websocket-protocol", "use --subprotocol"),
    ("origin", "use --origin"),
];

fn header(text: &str) -> Result<(String, Pattern), UsageError> {
    let input = format!("-H '{}'", text.escape_debug());
    let Some((name, value)) = text.split_once(':') else {
        return refuse(input, "a header has a name, a colon and a value", "write -H 'NAME: VALUE'");
    };
    let value = value.trim_matches([' ', '\t']);
    if !is_token(name) {
        return refuse(input, "the name is not a token (RFC 9110 5.1)", "write -H 'NAME: VALUE'");
    }
    let pattern = Pattern::parse("-H", value)?;
    if !pattern.texts().all(is_value) {
        return refuse(input, "a header's value is one line of text", "drop control characters");
    }
    match OWN_FIELDS.iter().find(|(own, _)| name.eq_ignore_ascii_case(own)) {
        Some((_, remedy)) => refuse(input, "the handshake writes this field itself", *remedy),
        None => Ok((name.to_owned(), pattern)),
    }
}

/// All cookies in one field (RFC 6265 5.4).
fn cookies(args: &Args) -> Result<Option<(String, Pattern)>, UsageError> {
    let Some(first) = args.cookies.first() else { return Ok(None) };
    if args.headers.iter().any(|text| text.to_ascii_lowercase().starts_with("cookie:")) {
        return refuse(
            format!("--cookie '{}' with -H Cookie", first.escape_debug()),
            "a request has one Cookie field (RFC 6265 5.4)",
            "write each as --cookie",
        );
    }
    for text in &args.cookies {
        let input = format!("--cookie '{}'", text.escape_debug());
        let Some((_, value)) = text.split_once('=').filter(|(name, _)| is_token(name)) else {
            return refuse(input, "a cookie is a name, = and a value", "write --cookie NAME=VALUE");
        };
        if !Pattern::parse("--cookie", value)?.texts().all(is_cookie) {
            return refuse(
                input,
                "a cookie's value has no space, quote, comma, semicolon or backslash (RFC 6265 \
                 4.1.1)",
                "percent-encode it, and write each cookie as --cookie",
            );
        }
    }
    let all = args.cookies.join("; ");
    Ok(Some(("Cookie".to_owned(), Pattern::parse("--cookie", &all)?)))
}

/// RFC 6265 4.1.1, `cookie-octet`.
fn is_cookie(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b))
}

/// RFC 9110 5.6.2.
fn is_token(text: &str) -> bool {
    let symbol = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || symbol(b))
}

/// RFC 9110 5.5: visible characters, spaces and tabs.
fn is_value(text: &str) -> bool {
    text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
}
