//! Tests of the parts that both sides share; the tables of heads are in `tests/vectors.rs`.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn a_client_and_a_server_understand_each_other() {
    let offer = ClientRequest {
        host: "localhost:9001",
        target: "/echo?room=1",
        origin: None,
        protocols: &["chat".to_owned()],
        headers: &[],
    };
    offer.check().unwrap();
    let (mut sent, mut answer) = (Vec::new(), Vec::new());
    let accept = offer.write([7; 16], &mut sent);
    assert_eq!(head_end(&sent, 0), Some(sent.len()));
    let request = parse_request(&sent).unwrap();
    assert_eq!((request.path(), request.query()), ("/echo", Some("room=1")));
    write_switching(&mut answer, &request.accept(), request.protocols().next());
    assert_eq!(head_end(&answer, 0), Some(answer.len()));
    let response = check_response(&answer, &accept, offer.protocols).unwrap();
    assert_eq!(response.protocol(), Some("chat"));
}

#[test]
fn keys() {
    // The second is RFC 6455 4.1's own example, whose last bits belong to no byte.
    for good in ["dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEC=="] {
        assert!(is_key(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZWE=", // 17 bytes
        "SGVsbG8sIHdvcmxkIQ==",     // 13 bytes
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSB-b25jZQ==", // of the alphabet for URLs
        "dGhlIHNhbXBs ZSBub25jZQ=",
    ] {
        assert!(!is_key(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn hosts() {
    for good in ["a", "example.com:80", "127.0.0.1:9001", "[::1]", "[::1]:9001", "a:", "x_y-z"] {
        assert!(is_host(good.as_bytes()), "{good}");
    }
    for bad in ["", ":80", "a b", "a,b", "u@h", "a/b", "[]", "[::1", "[::1]x", "::1", "a:8o", "é"]
    {
        assert!(!is_host(bad.as_bytes()), "{bad}");
    }
    assert!(!is_host(b"a:123456"), "a port has five digits at most");
}

#[test]
fn blank_lines() {
    for (bytes, end) in [
        ("", None),
        ("GET / HTTP/1.1\r\n", None),
        ("GET / HTTP/1.1\r\n\r", None),
        ("a\r\n\r\n", Some(5)),
        ("a\r\n\r\nrest\r\n\r\n", Some(5)),
        ("a\n\nrest", Some(3)),
        ("a\n\r\nrest", Some(4)),
        ("a\r\r\n", None),
    ] {
        assert_eq!(head_end(bytes.as_bytes(), 0), end, "{bytes:?}");
    }
    assert_eq!(head_end(b"ab", 9), None, "from beyond the end");
}

#[test]
fn what_is_shown_is_escaped_and_short() {
    assert_eq!(shown("a\r\n\u{1b}'é").to_string(), r"'a\r\n\u{1b}\'\u{e9}'");
    assert_eq!(shown(&"x".repeat(80)).to_string(), format!("'{}'", "x".repeat(80)));
    assert_eq!(shown(&"x".repeat(81)).to_string(), format!("'{}...'", "x".repeat(80)));
}

#[test]
fn origins() {
    let allowed = ["https://a.example".to_owned(), "http://127.0.0.1:8080".to_owned()];
    let ask = |origin: &str| origin_allowed(Some(origin), &allowed);
    for good in ["https://a.example", "HTTPS://A.Example", "http://127.0.0.1:8080"] {
        assert!(ask(good), "{good}");
    }
    for bad in [
        "",
        "null",
        "http://a.example",
        "https://a.example:8443",
        "https://a.example.evil",
        "https://evil.a.example",
        "https://a.example/",
        "http://127.0.0.1",
        "http://127.0.0.1:80801",
        "http://192.168.0.1:8080",
        "https://a.example https://evil",
    ] {
        assert!(!ask(bad), "{bad}");
    }
    assert!(origin_allowed(None, &allowed), "not a browser");
    assert!(origin_allowed(Some("https://any"), &[]), "no list");
    assert!(origin_allowed(Some("null"), &["*".to_owned()]), "any");
}

/// Bytes in which line ends are likely.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(b'\r'), 3 => Just(b'\n'), 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..40)
}

proptest! {
    /// Wherever the bytes were split, the end is where it is in the whole.
    #[test]
    fn head_end_is_resumable(bytes in text(), cut in 0usize..40) {
        let whole = head_end(&bytes, 0);
        let cut = cut.min(bytes.len());
        let resumed = head_end(&bytes[..cut], 0).or_else(|| head_end(&bytes, cut));
        prop_assert_eq!(resumed, whole);
    }

    /// A naive search finds the same.
    #[test]
    fn head_end_is_the_first_blank_line(bytes in text()) {
        let naive = (0..=bytes.len())
            .find(|end| bytes[..*end].ends_with(b"\n\n") || bytes[..*end].ends_with(b"\n\r\n"));
        prop_assert_eq!(head_end(&bytes, 0), naive);
    }
}

#[test]
fn what_can_be_no_answer_is_known_at_once() {
    for may in ["", "H", "HTTP/1.1 101 X\r\n", "\r\n", "\r\nHTTP", "HTTP/1.0"] {
        assert!(begins_like_an_answer(may.as_bytes().iter()), "{may:?}");
    }
    for never in ["\x15\x03\x01", "SSH-2.0", "HTTP/2", "h", " HTTP/1.1", "\r\nX", "GET / HTTP/1.1"]
    {
        assert!(!begins_like_an_answer(never.as_bytes().iter()), "{never:?}");
    }
}
