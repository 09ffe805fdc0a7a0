//! Tables of vectors from the RFCs and from faults seen in the field: bytes in, verdict out.
#![allow(clippy::unwrap_used)]

#[path = "vectors/frames.rs"]
mod frames;

use std::collections::BTreeSet;

use plimsoll::limits;
use plimsoll::wire::handshake::{
    self, AcceptKey, BadRequest, ClientRequest, Refusal, Rejection, check_response, head_end,
    parse_request,
};
use proptest::prelude::*;

/// The example of RFC 6455 1.2, line by line.
const REQUEST: [&str; 6] = [
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// Its answer.
const ANSWER: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

fn head(lines: &[&str]) -> Vec<u8> {
    let mut head = lines.join("\r\n");
    head.push_str("\r\n\r\n");
    head.into_bytes()
}

/// The example with the line that begins with `from` replaced, or with `to` added where no line
/// does. An empty `to` takes the line away.
fn changed(example: &[&str], from: &str, to: &str) -> Vec<u8> {
    let mut lines: Vec<_> = example.to_vec();
    match lines.iter().position(|line| !from.is_empty() && line.starts_with(from)) {
        Some(at) => lines[at] = to,
        None => lines.push(to),
    }
    lines.retain(|line| !line.is_empty());
    head(&lines)
}

/// What a refusal puts on the wire must itself be right, whatever the peer sent.
fn check_answer(refusal: &Refusal) {
    let mut bytes = Vec::new();
    refusal.write(&mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.bytes().all(|b| matches!(b, b'\r' | b'\n' | b' '..=b'~')), "{text:?}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", refusal.status())), "{head}");
    let has = |line: &str| head.lines().any(|l| l == line);
    assert!(has(&format!("Content-Length: {}", refusal.to_string().len() + 1)), "{head}");
    assert!(has("Content-Type: text/plain; charset=utf-8"), "{head}");
    assert!(has("Connection: close") || has("Connection: Upgrade, close"), "{head}");
    let is_426 = refusal.status() == 426;
    for line in ["Upgrade: websocket", "Connection: Upgrade, close", "Sec-WebSocket-Version: 13"] {
        assert_eq!(has(line), is_426, "{head}");
    }
    assert_eq!(has("Allow: GET"), refusal.status() == 405, "{head}");
    assert_eq!(head.contains("Retry-After: "), refusal.status() == 503, "{head}");
    if *refusal != (Refusal::BadMethod { method: "HEAD".into() }) {
        assert_eq!(body, format!("{refusal}\n"));
        assert_eq!(body.lines().count(), 1, "{body:?}");
    }
}

// RFC 6455 4.2.2: the key and its answer.

#[test]
fn accept_keys() {
    for (key, accept) in [
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), // RFC 6455 1.3
        ("w4v7O6xFTi36lq3RNcgctw==", "Oy4NRAQ13jhfONC7bP8dTKb4PTU="),
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ("c3SkgVxVCDhVCp69PJFf3A==", "yA9O5xGLp8SbwCV//OepMPw7pEI="),
    ] {
        assert_eq!(AcceptKey::of(key.as_bytes()).0.escape_ascii().to_string(), accept);
    }
}

#[test]
fn the_bound_on_fields_is_one() {
    assert_eq!(handshake::MAX_HEADERS, limits::MAX_HEADERS);
}

// RFC 6455 4.2.1: what a server reads.

#[test]
fn requests_that_are_right() {
    for (from, to) in [
        ("", ""),
        ("GET", "GET http://server.example.com/chat HTTP/1.1"),
        ("Upgrade", "upgrade: WebSocket"),
        ("Upgrade", "Upgrade: h2c, ,\twebsocket ,"),
        ("Upgrade", "Upgrade: h2c\r\nUpgrade: websocket"),
        ("Connection", "CONNECTION: keep-alive, uPGRADE"),
        ("Connection", "Connection: keep-alive\r\nConnection: upgrade"),
        ("Host", "Host:server.example.com"),
        ("Host", "Host: \t server.example.com \t "),
        ("Sec-WebSocket-Version", "sec-websocket-version:  13 "),
        ("", "Content-Length: 0"),
        ("", "Origin: https://example.com"),
        ("", "Origin: null"),
        ("", "Cookie: name=\"va,lue\"; x=\u{e9}"),
        (
            "",
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-foo; a=\"b\"",
        ),
        ("", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: super-chat , chat.v2"),
        ("", "Expect: 100-continue"),
        ("", "X-Empty:"),
    ] {
        let bytes = changed(&REQUEST, from, to);
        assert_eq!(head_end(&bytes, 0), Some(bytes.len()), "{to}");
        let request = parse_request(&bytes).unwrap_or_else(|e| panic!("{to}: {e}"));
        assert_eq!(request.target(), "/chat", "{to}");
        assert_eq!(request.host(), "server.example.com", "{to}");
        assert_eq!(&request.accept().0, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

#[test]
fn what_a_request_says() {
    let bytes = changed(
        &REQUEST,
        "",
        "Origin: https://example.com\r\nSec-WebSocket-Protocol: v2,\r\nX-Token: a b\r\n\
         sec-websocket-protocol: v1 , v1\r\nx-token: second",
    );
    let request = parse_request(&bytes).unwrap();
    assert_eq!(request.origin(), Some("https://example.com"));
    assert_eq!(request.protocols().collect::<Vec<_>>(), ["v2", "v1", "v1"]);
    assert_eq!(request.header("x-TOKEN"), Some(&b"a b"[..]));
    assert_eq!(request.header("x-missing"), None);

    for (target, host, path, query) in [
        ("/", "server.example.com", "/", None),
        ("/?", "server.example.com", "/", Some("")),
        ("/a/b?c=d?e", "server.example.com", "/a/b", Some("c=d?e")),
        ("//a%20b", "server.example.com", "//a%20b", None),
        ("WS://other:81/a?b", "other:81", "/a", Some("b")),
        ("https://[::1]", "[::1]", "/", None),
    ] {
        let bytes = changed(&REQUEST, "GET", &format!("GET {target} HTTP/1.1"));
        let request = parse_request(&bytes).unwrap();
        assert_eq!((request.host(), request.path(), request.query()), (host, path, query));
    }
}

/// Lines to change, and the name and status of the refusal.
const REFUSED: &[(&str, &str, &str, u16)] = &[
    ("GET", "GET  /chat HTTP/1.1", "bad_request_line", 400),
    ("GET", "GET /chat", "bad_request_line", 400),
    ("GET", "GET /ch\u{7f}at HTTP/1.1", "bad_request_line", 400),
    ("GET", " GET /chat HTTP/1.1", "bad_request_line", 400),
    ("GET", "GET /chat HTTP/1.1 ", "bad_request_line", 400),
    ("GET", "\u{16}\u{3}\u{1}", "bad_request_line", 400), // TLS on a port without
    ("GET", "GET /chat HTTP/1.0", "bad_http_version", 505),
    ("GET", "GET /chat HTTP/2.0", "bad_http_version", 505),
    ("GET", "PRI * HTTP/2.0", "bad_http_version", 505), // RFC 9113 3.4
    ("GET", "POST /chat HTTP/1.1", "bad_method", 405),
    ("GET", "HEAD /chat HTTP/1.1", "bad_method", 405),
    ("GET", "get /chat HTTP/1.1", "bad_method", 405),
    ("GET", "CONNECT server.example.com:80 HTTP/1.1", "bad_method", 405),
    ("GET", "GET chat HTTP/1.1", "bad_target", 400),
    ("GET", "GET * HTTP/1.1", "bad_target", 400),
    ("GET", "GET /chat#part HTTP/1.1", "bad_target", 400),
    ("GET", "GET /ch\u{e9}t HTTP/1.1", "bad_target", 400),
    ("GET", "GET ftp://server.example.com/chat HTTP/1.1", "bad_target", 400),
    ("GET", "GET http:///chat HTTP/1.1", "bad_target", 400),
    ("GET", "GET http://user@server.example.com/chat HTTP/1.1", "bad_target", 400),
    ("GET", "GET http://server.example.com?chat HTTP/1.1", "bad_target", 400),
    ("Host", "", "missing_host", 400),
    ("Host", "Host:", "bad_host", 400),
    ("Host", "Host: server.example.com, server.example.com", "bad_host", 400),
    ("Host", "Host: server.example.com/chat", "bad_host", 400),
    ("", "Host: server.example.com", "repeated_header", 400),
    ("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "repeated_header", 400),
    ("", "sec-websocket-version: 13", "repeated_header", 400),
    ("", "Origin: https://a\r\nOrigin: https://a", "repeated_header", 400),
    ("", "Content-Length: 0\r\nContent-Length: 0", "repeated_header", 400),
    ("", "Content-Length: 1", "body", 400),
    ("", "Content-Length: -0", "body", 400),
    ("", "Content-Length: 0, 0", "body", 400),
    ("", "Content-Length:", "body", 400),
    ("", "Transfer-Encoding: chunked", "body", 400),
    ("", "transfer-encoding: identity", "body", 400),
    ("", "X: a\r\n b", "bad_header", 400), // RFC 9112 5.2: folded
    ("", "X : a", "bad_header", 400),
    ("", "X", "bad_header", 400),
    ("", ": a", "bad_header", 400),
    ("", "X: a\0b", "bad_header", 400),
    ("", "X: a\rb", "bad_header", 400),
    ("Host", " Host: server.example.com", "bad_header", 400),
    ("", "X: a\nUpgrade: b", "bare_line_feed", 400),
    ("Upgrade", "", "upgrade_required", 426),
    ("Upgrade", "Upgrade:", "upgrade_required", 426),
    ("Upgrade", "Upgrade: h2c", "upgrade_required", 426),
    ("Upgrade", "Upgrade: websockets", "upgrade_required", 426),
    ("Connection", "", "not_connection_upgrade", 400),
    ("Connection", "Connection: keep-alive", "not_connection_upgrade", 400),
    ("Sec-WebSocket-Version", "", "missing_version", 426),
    ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8", "bad_version", 426),
    ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 013", "bad_version", 426),
    ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8", "bad_version", 426),
    ("Sec-WebSocket-Version", "Sec-WebSocket-Version: \u{e9}", "bad_version", 426),
    ("Sec-WebSocket-Key", "", "missing_key", 400),
    ("Sec-WebSocket-Key", "Sec-WebSocket-Key:", "bad_key", 400),
    ("Sec-WebSocket-Key", "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==", "bad_key", 400), // 13 bytes
    ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", "bad_key", 400),
    ("", "Origin: https://\u{e9}", "bad_origin", 400),
    ("", "Sec-WebSocket-Protocol:", "bad_protocols", 400),
    ("", "Sec-WebSocket-Protocol: a b", "bad_protocols", 400),
    ("", "Sec-WebSocket-Protocol: a, b/c", "bad_protocols", 400),
    ("", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: \"a\"", "bad_protocols", 400),
    ("", "Sec-WebSocket-Extensions:", "bad_extensions", 400),
    ("", "Sec-WebSocket-Extensions: permessage-deflate; =10", "bad_extensions", 400),
];

/// Refusals that no head alone brings about: they are the caller's to say.
fn refusals_of_the_server() -> [Refusal; 8] {
    [
        Refusal::HeadTooLarge { limit: 8192 },
        Refusal::NotFound { path: "/\r\nSet-Cookie: a=b\u{1b}[31m".into() },
        Refusal::OriginNotAllowed { origin: "https://evil\r\n\r\n<script>".into() },
        Refusal::Timeout,
        Refusal::Full { limit: 3 },
        Refusal::PerAddress { limit: 1 },
        Refusal::Overloaded,
        Refusal::ShuttingDown,
    ]
}

#[test]
fn requests_that_are_refused() {
    let mut reached = BTreeSet::new();
    for (from, to, name, status) in REFUSED {
        let bytes = changed(&REQUEST, from, to);
        let refusal = parse_request(&bytes).expect_err(to);
        assert_eq!((refusal.name(), refusal.status()), (*name, *status), "{to}");
        check_answer(&refusal);
        reached.insert(refusal.name());
    }

    let many = "X: y\r\n".repeat(handshake::MAX_HEADERS - 4);
    let refusal = parse_request(&changed(&REQUEST, "", many.trim_end())).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyHeaders { limit: limits::MAX_HEADERS });
    check_answer(&refusal);
    reached.insert(refusal.name());
    let most = "X: y\r\n".repeat(handshake::MAX_HEADERS - 5);
    assert!(parse_request(&changed(&REQUEST, "", most.trim_end())).is_ok(), "as many as may be");

    for (refusal, status) in
        refusals_of_the_server().iter().zip([431, 404, 403, 408, 503, 503, 503])
    {
        assert_eq!(refusal.status(), status, "{refusal}");
        check_answer(refusal);
        assert!(reached.insert(refusal.name()), "{} names two refusals", refusal.name());
    }
    assert_eq!(reached.len(), 27, "each refusal is reached: {reached:?}");
}

#[test]
fn a_head_is_refused_whole_or_not_at_all() {
    let good = head(&REQUEST);
    for cut in 0..good.len() {
        assert!(parse_request(&good[..cut]).is_err(), "cut after {cut} bytes");
    }
    let more = [&good[..], b"x"].concat();
    assert_eq!(parse_request(&more).unwrap_err(), Refusal::BadRequestLine, "bytes past the end");
    assert_eq!(parse_request(b"\r\n\r\n").unwrap_err(), Refusal::BadRequestLine);
    let bare: Vec<u8> = good.iter().copied().filter(|b| *b != b'\r').collect();
    assert_eq!(head_end(&bare, 0), Some(bare.len()), "found, so that it is refused at once");
    assert_eq!(parse_request(&bare).unwrap_err(), Refusal::BareLineFeed);
}

#[test]
fn a_request_in_a_log_tells_no_secret() {
    let bytes = changed(&REQUEST, "GET", "GET /chat?token=hush HTTP/1.1\r\nCookie: hush");
    let text = format!("{:?}", parse_request(&bytes).unwrap());
    assert!(text.contains("/chat") && !text.contains("hush"), "{text}");
}

#[test]
fn head_gets_no_body() {
    let bytes = changed(&REQUEST, "GET", "HEAD /chat HTTP/1.1");
    let mut answer = Vec::new();
    parse_request(&bytes).unwrap_err().write(&mut answer);
    assert_eq!(head_end(&answer, 0), Some(answer.len()));
}

// RFC 6455 4.1: what a client writes, and what it reads.

const OFFER: ClientRequest<'static> = ClientRequest {
    host: "server.example.com",
    target: "/chat",
    origin: None,
    protocols: &[],
    headers: &[],
};

#[test]
fn the_request_that_is_written() {
    let protocols = ["chat".to_owned(), "superchat".to_owned()];
    let headers = [("X-Token".to_owned(), "a b".to_owned())];
    let origin = Some("http://example.com");
    let offer = ClientRequest { origin, protocols: &protocols, headers: &headers, ..OFFER };
    offer.check().unwrap();
    let mut bytes = b"before".to_vec();
    let accept = offer.write(*b"the sample nonce", &mut bytes);
    assert_eq!(
        bytes.escape_ascii().to_string().replace(r"\r\n", "|"),
        "beforeGET /chat HTTP/1.1|Host: server.example.com|Upgrade: websocket|Connection: Upgrade|\
         Sec-WebSocket-Version: 13|Origin: http://example.com|\
         Sec-WebSocket-Protocol: chat, superchat|X-Token: a b|\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==||"
    );
    assert_eq!(&accept.0, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn requests_that_are_not_written() {
    for host in ["", "a b", "ws://a", "user@a", "a\r\nX: y", "a/b"] {
        let offer = ClientRequest { host, ..OFFER };
        assert_eq!(offer.check(), Err(BadRequest::Host(host.into())));
    }
    for target in ["", "chat", "/a b", "/a#b", "/é", "/a\r\nX: y"] {
        let offer = ClientRequest { target, ..OFFER };
        assert_eq!(offer.check(), Err(BadRequest::Target(target.into())));
    }
    for origin in ["", "https://a b", "https://a\r\nX: y", "é"] {
        let offer = ClientRequest { origin: Some(origin), ..OFFER };
        assert_eq!(offer.check(), Err(BadRequest::Origin(origin.into())));
    }
    for protocol in ["", "a b", "a,b", "a\r\nX: y"] {
        let offer = ClientRequest { protocols: &[protocol.to_owned()], ..OFFER };
        assert_eq!(offer.check(), Err(BadRequest::Protocol(protocol.into())));
    }
    let twice = ["a".to_owned(), "b".to_owned(), "a".to_owned()];
    let offer = ClientRequest { protocols: &twice, ..OFFER };
    assert_eq!(offer.check(), Err(BadRequest::RepeatedProtocol("a".into())));
}

#[test]
fn headers_that_are_not_written() {
    let check = |name: &str, value: &str| {
        ClientRequest { headers: &[(name.to_owned(), value.to_owned())], ..OFFER }.check()
    };
    for (name, value) in [("X-Token", ""), ("Authorization", "Bearer é\t"), ("Origin", "null")] {
        assert_eq!(check(name, value), Ok(()), "{name}");
    }
    for name in ["", "X Token", "X:", "X\r\nY", "é"] {
        assert_eq!(check(name, "a"), Err(BadRequest::HeaderName(name.into())));
    }
    for value in ["a\r\nY: b", "a\n", "\r", "\0", "\u{7f}"] {
        assert_eq!(check("X", value), Err(BadRequest::HeaderValue("X".into())));
    }
    for name in [
        "Host",
        "UPGRADE",
        "connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Accept",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ] {
        let error = check(name, "a").unwrap_err();
        assert!(matches!(error, BadRequest::Reserved { .. }), "{name}: {error}");
    }
    let headers = [("Origin".to_owned(), "a".to_owned())];
    let offer = ClientRequest { origin: Some("https://a"), headers: &headers, ..OFFER };
    assert!(matches!(offer.check(), Err(BadRequest::Reserved { .. })), "two origins");
}

fn respond(bytes: &[u8]) -> Result<Option<&str>, Rejection> {
    let accept = AcceptKey::of(b"dGhlIHNhbXBsZSBub25jZQ==");
    let offered = ["chat".to_owned(), "v2".to_owned()];
    check_response(bytes, &accept, &offered).map(|response| response.protocol())
}

#[test]
fn answers_that_are_right() {
    for (from, to, protocol) in [
        ("", "", None),
        ("HTTP", "HTTP/1.1 101 ", None),
        ("HTTP", "HTTP/1.1 101", None),
        ("Upgrade", "upgrade: WebSocket", None),
        ("Connection", "connection: keep-alive, uPGRADE", None),
        ("Sec", "sec-websocket-accept:   s3pPLMBiTxaQ9kYGzzhZRbK+xOo=  ", None),
        ("", "Sec-WebSocket-Protocol: v2", Some("v2")),
        ("", "Set-Cookie: a\r\nSet-Cookie: b", None),
    ] {
        assert_eq!(respond(&changed(&ANSWER, from, to)), Ok(protocol), "{to}");
    }
    let bytes = changed(&ANSWER, "", "X-Node: 7");
    let accept = AcceptKey::of(b"dGhlIHNhbXBsZSBub25jZQ==");
    let response = check_response(&bytes, &accept, &[]).unwrap();
    assert_eq!(response.header("x-node"), Some(&b"7"[..]));
}

#[test]
fn answers_that_are_rejected() {
    use Rejection::{
        Extension, MissingAccept, NotConnectionUpgrade, NotHttp, NotUpgrade, Protocol, Status,
        WrongAccept,
    };
    let accept = ANSWER[3];
    let hex_not_raw =
        "Sec-WebSocket-Accept: YjM3YTRmMmNjMDYyNGYxNjkwZjY0NjA2Y2YzODU5NDViMmJlYzRlYQ==";
    let mut reached = BTreeSet::new();
    let mut rejected = |bytes: &[u8], expected: Rejection| {
        let rejection = respond(bytes).expect_err(expected.name());
        assert_eq!(rejection, expected);
        assert!(rejection.to_string().is_ascii(), "{rejection}");
        reached.insert(rejection.name());
    };
    for (from, to, expected) in [
        ("HTTP", "HTTP/1.0 101 Switching Protocols", NotHttp),
        ("HTTP", "HTTP/2 101", NotHttp),
        ("HTTP", "SSH-2.0-OpenSSH_9.6", NotHttp),
        ("HTTP", "HTTP/1.1 1o1 Switching Protocols", NotHttp),
        ("", "X: a\nY: b", NotHttp),
        ("", "X: a\r\n b", NotHttp),
        ("HTTP", "HTTP/1.1 200 OK", Status(200)),
        ("HTTP", "HTTP/1.1 100 Continue", Status(100)),
        ("HTTP", "HTTP/1.1 401 Unauthorized", Status(401)),
        ("HTTP", "HTTP/1.1 599 ", Status(599)),
        ("HTTP", "HTTP/1.1 999 ", Status(999)),
        ("Upgrade", "", NotUpgrade),
        ("Upgrade", "Upgrade: h2c", NotUpgrade),
        ("Upgrade", "Upgrade: websocket, h2c", NotUpgrade),
        ("Upgrade", "Upgrade: websocket\r\nUpgrade: h2c", NotUpgrade),
        ("Connection", "", NotConnectionUpgrade),
        ("Connection", "Connection: keep-alive", NotConnectionUpgrade),
        ("Sec", "", MissingAccept),
        ("Sec", "Sec-WebSocket-Accept:", WrongAccept),
        ("Sec", "Sec-WebSocket-Accept: Oy4NRAQ13jhfONC7bP8dTKb4PTU=", WrongAccept),
        ("Sec", "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=", WrongAccept),
        ("Sec", hex_not_raw, WrongAccept),
        ("", accept, Rejection::Repeated { name: "Sec-WebSocket-Accept" }),
        (
            "",
            "Sec-WebSocket-Protocol: v2\r\nSec-WebSocket-Protocol: v2",
            Rejection::Repeated { name: "Sec-WebSocket-Protocol" },
        ),
        ("", "Sec-WebSocket-Extensions: x", Extension("x".into())),
        ("", "Sec-WebSocket-Protocol: v3", Protocol("v3".into())),
        ("", "Sec-WebSocket-Protocol: CHAT", Protocol("CHAT".into())),
        ("", "Sec-WebSocket-Protocol: chat, v2", Protocol("chat, v2".into())),
        ("", "Sec-WebSocket-Protocol: \u{e9}", Protocol("\u{e9}".into())),
        ("", "Sec-WebSocket-Protocol:", Protocol(String::new())),
    ] {
        rejected(&changed(&ANSWER, from, to), expected);
    }
    let many = "X: y\r\n".repeat(handshake::MAX_HEADERS - 2);
    let limit = limits::MAX_HEADERS;
    rejected(&changed(&ANSWER, "", many.trim_end()), Rejection::TooManyHeaders { limit });
    reached.insert(Rejection::HeadTooLarge { limit }.name()); // the caller's to say
    assert_eq!(reached.len(), 15, "each cause is reached: {reached:?}");
}

#[test]
fn a_status_names_its_cause_and_remedy() {
    let mut names = BTreeSet::new();
    for status in 100..1000 {
        let rejection = Rejection::Status(status);
        let text = rejection.to_string();
        assert!(text.starts_with(&format!("server answered {status} ")), "{text}");
        names.insert(rejection.name());
    }
    assert!(names.contains("http_503") && names.contains("http_4xx"), "{names:?}");
    assert_eq!(
        Rejection::Status(401).to_string(),
        "server answered 401 Unauthorized: give credentials in a header"
    );
}

/// Bytes that are a head in many ways: lines of the examples, whole, cut or spoilt.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => prop::sample::select([&REQUEST[..], &ANSWER[..]].concat()).prop_map(String::from),
        2 => prop::sample::select(REFUSED).prop_map(|(_, line, _, _)| line.to_owned()),
        1 => "[ -~\\r\\n\u{0}\u{e9}]{0,30}",
    ];
    let lines = prop::collection::vec(line, 0..12);
    (lines, any::<prop::sample::Index>(), any::<u8>(), 0..4).prop_map(|(lines, at, byte, spoil)| {
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        let at = at.index(bytes.len());
        match spoil {
            0 => bytes[at] = byte,
            1 => bytes.truncate(at),
            _ => {}
        }
        bytes
    })
}

proptest! {
    /// Any bytes: no panic, and a refusal that is itself a right answer. What is accepted is one
    /// head, and says what a naive reading of its lines says.
    #[test]
    fn any_request(bytes in prop_oneof![heads(), prop::collection::vec(any::<u8>(), 0..200)]) {
        match parse_request(&bytes) {
            Ok(request) => {
                prop_assert_eq!(head_end(&bytes, 0), Some(bytes.len()));
                prop_assert!(request.path().starts_with('/'));
                let text = String::from_utf8_lossy(&bytes).to_lowercase();
                let count = |name: &str| {
                    text.split("\r\n").filter(|line| line.starts_with(name)).count()
                };
                prop_assert_eq!(count("get "), 1);
                prop_assert_eq!(count("host:"), 1);
                prop_assert_eq!(count("sec-websocket-key:"), 1);
                prop_assert_eq!(count("sec-websocket-version:"), 1);
                prop_assert_eq!(count("transfer-encoding:"), 0);
            }
            Err(refusal) => check_answer(&refusal),
        }
    }

    /// Any bytes: no panic, and nothing but the right key is accepted.
    #[test]
    fn any_answer(bytes in prop_oneof![heads(), prop::collection::vec(any::<u8>(), 0..200)]) {
        if respond(&bytes).is_ok() {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(text.matches("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").count(), 1);
            prop_assert!(text.trim_start().starts_with("HTTP/1.1 101"));
        }
    }

    /// What a client may send, a server understands, and says back what was meant.
    #[test]
    fn both_sides_agree(
        target in "/[!-\"$-~]{0,40}",
        protocols in prop::collection::hash_set("[a-z.]{1,8}", 0..4),
        headers in prop::collection::vec(("x-[a-zA-Z0-9-]{0,8}", "[!-~]([ -~]{0,9}[!-~])?"), 0..8),
        nonce: [u8; 16],
    ) {
        let protocols: Vec<String> = protocols.into_iter().collect();
        let offer = ClientRequest {
            target: &target, protocols: &protocols, headers: &headers, ..OFFER
        };
        prop_assert_eq!(offer.check(), Ok(()));
        let mut bytes = Vec::new();
        let accept = offer.write(nonce, &mut bytes);
        let request = parse_request(&bytes).unwrap();
        prop_assert_eq!(request.target(), &target);
        prop_assert_eq!(request.accept(), accept);
        prop_assert!(request.protocols().eq(protocols.iter().map(String::as_str)));
        for (name, _) in &headers {
            let first = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).unwrap();
            prop_assert_eq!(request.header(name), Some(first.1.as_bytes()));
        }
        let mut answer = Vec::new();
        let chosen = request.protocols().last();
        handshake::write_switching(&mut answer, &accept, chosen);
        let response = check_response(&answer, &accept, &protocols).unwrap();
        prop_assert_eq!(response.protocol(), chosen);
    }
}
