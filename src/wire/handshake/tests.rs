#![allow(clippy::unwrap_used)]

use super::*;

/// RFC 6455 1.3 and three more pairs of key and answer.
#[test]
fn accept_keys() {
    for (key, accept) in [
        ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("w4v7O6xFTi36lq3RNcgctw==", "Oy4NRAQ13jhfONC7bP8dTKb4PTU="),
        ("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ("c3SkgVxVCDhVCp69PJFf3A==", "yA9O5xGLp8SbwCV//OepMPw7pEI="),
    ] {
        assert_eq!(AcceptKey::of(key.as_bytes()).0.escape_ascii().to_string(), accept);
    }
}

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
