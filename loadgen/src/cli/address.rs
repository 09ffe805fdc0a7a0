//! URLs in their parts: that of the server, and that of its page of metrics.

use super::plan::Endpoint;
use super::usage::{UsageError, refuse};

/// How a server's URL is written.
pub(super) const WS: &str = "write ws://HOST:PORT/PATH";
/// How a page's URL is written.
const HTTP: &str = "write http://HOST:PORT/metrics";

/// The parts of a URL whose scheme is known to be right. `input` is what the refusal names.
pub(super) fn endpoint(input: &str, text: &str, example: &str) -> Result<Endpoint, UsageError> {
    let refuse = |rule: &str, remedy: &str| refuse(input, rule, remedy);
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => return refuse(&error.to_string(), example),
    };
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = if example == WS { "use -H 'Authorization: Basic ...'" } else { "drop it" };
        return refuse("a name or password in a URL is not sent", remedy);
    }
    if url.fragment().is_some() {
        let rule = if example == WS {
            "a WebSocket URL has no fragment (RFC 6455 3)"
        } else {
            "a fragment is never sent (RFC 9110 4.2)"
        };
        return refuse(rule, "drop the # and what follows");
    }
    let Some(host) = url.host() else {
        return refuse("it names no host", example);
    };
    let port = url.port_or_known_default().unwrap_or(80);
    if port == 0 {
        return refuse("nothing listens on port 0", "write the server's port");
    }
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match host {
        url::Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    Ok(Endpoint { host, port, path })
}

/// A page of metrics over plain HTTP.
pub(super) fn page(text: &str) -> Result<Endpoint, UsageError> {
    let input = format!("--server-metrics '{}'", text.escape_debug());
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("http") => endpoint(&input, text, HTTP),
        Some("https") => refuse(input, "TLS is not yet served", "use http://"),
        Some("ws" | "wss") => refuse(input, "a page is asked for, not a WebSocket", HTTP),
        Some(_) => refuse(input, "the scheme is unknown", "use http://"),
        None => refuse(input, "it has no scheme", HTTP),
    }
}
