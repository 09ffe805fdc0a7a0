//! Handshake heads, as the server and as the client read them: no panic, one verdict however the
//! bytes arrive, and an answer that is right whatever was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::handshake::{
    AcceptKey, MAX_HEADERS, check_response, head_end, parse_request, write_switching,
};

fuzz_target!(|input: (u8, &[u8])| {
    let (split, bytes) = input;
    let split = usize::from(split).min(bytes.len());
    let end = head_end(bytes, 0);
    let resumed = head_end(&bytes[..split], 0).or_else(|| head_end(bytes, split));
    assert_eq!(resumed, end, "split at {split}");
    if end.is_none() {
        assert!(parse_request(bytes).is_err(), "a head without an end");
    }
    let head = &bytes[..end.unwrap_or(bytes.len())];
    read_as_server(head);
    read_as_client(head);
});

fn read_as_server(head: &[u8]) {
    let mut answer = Vec::new();
    match parse_request(head) {
        Ok(request) => {
            assert!(request.path().starts_with('/') && request.target().is_ascii());
            assert!(!request.host().is_empty() && request.host().is_ascii());
            let query = request.query().map_or(0, |query| query.len() + 1);
            assert_eq!(request.path().len() + query, request.target().len());
            assert!(request.header("Sec-WebSocket-Key").is_some());
            write_switching(&mut answer, &request.accept(), request.protocols().last());
            let chosen: Vec<String> = request.protocols().map(str::to_owned).collect();
            let response = check_response(&answer, &request.accept(), &chosen)
                .expect("our client takes our server's answer");
            assert_eq!(response.protocol(), request.protocols().last());
        }
        Err(refusal) => {
            refusal.write(&mut answer);
            let end = head_end(&answer, 0).expect("a refusal is a whole answer");
            assert!(answer.iter().all(|b| matches!(b, b'\r' | b'\n' | b' '..=b'~')));
            assert!(
                answer.len() < 2048,
                "{} bytes for a peer that sent no right one",
                answer.len()
            );
            let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut parsed = httparse::Response::new(&mut fields);
            parsed.parse(&answer).expect("a refusal is HTTP");
            assert_eq!(parsed.code, Some(refusal.status()));
            let of_length = |f: &&httparse::Header<'_>| f.name == "Content-Length";
            let length = parsed.headers.iter().find(of_length).expect("a length");
            let body = answer.len() - end;
            assert!(body == 0 || length.value == body.to_string().as_bytes());
        }
    }
}

fn read_as_client(head: &[u8]) {
    let accept = AcceptKey::of(b"dGhlIHNhbXBsZSBub25jZQ==");
    let offered = ["chat".to_owned()];
    match check_response(head, &accept, &offered) {
        Ok(response) => {
            assert!(matches!(response.protocol(), None | Some("chat")));
            assert_eq!(response.header("Sec-WebSocket-Accept"), Some(&accept.0[..]));
        }
        Err(rejection) => {
            assert!(!rejection.name().is_empty());
            assert!(rejection.to_string().bytes().all(|b| matches!(b, b' '..=b'~')));
        }
    }
}
