//! Commands as client libraries write them, and everything else that may come.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What is seen in a message, as text: commands borrow from the parser.
fn seen(message: &str) -> (Vec<String>, Result<(), Malformed>) {
    let mut seen = Vec::new();
    let mut parser = Parser::default();
    let outcome = parser.message(message.as_bytes(), |command| {
        let text = match command.ask {
            Ask::Publish(channel, data) => {
                let data = data.map(|data| std::str::from_utf8(data).unwrap());
                format!("publish {channel} {data:?}")
            }
            other => format!("{other:?}"),
        };
        seen.push(format!("{} {text}", command.id));
        true
    });
    (seen, outcome.map(|taken| assert_eq!(taken, message.len())))
}

fn one(message: &str) -> String {
    let (mut seen, outcome) = seen(message);
    assert_eq!((seen.len(), outcome), (1, Ok(())), "{message}");
    seen.remove(0)
}

#[test]
fn what_a_client_library_sends() {
    for (message, expected) in [
        ("{}", "0 Pong"),
        (
            r#"{"connect":{"token":"abc","name":"js","data":{"x":1}},"id":1}"#,
            "1 Connect(Connect { token: \"abc\" })",
        ),
        (r#"{"id":2,"unsubscribe":{"channel":"chat:42"}}"#, "2 Unsubscribe(\"chat:42\")"),
        (r#"{"id":3,"presence":{"channel":"a"}}"#, "3 Presence(\"a\")"),
        (r#"{"id":3,"presence_stats":{"channel":"a"}}"#, "3 PresenceStats(\"a\")"),
        (r#"{"id":3,"refresh":{"token":"t"}}"#, "3 Refresh(\"t\")"),
        (r#"{"id":3,"sub_refresh":{"channel":"a","token":"t"}}"#, "3 SubRefresh(\"a\", \"t\")"),
        (r#"{"id":3,"ping":{}}"#, "3 Ping"),
        (r#"{"id":3,"rpc":{"method":"m","data":[]}}"#, "3 Rpc"),
        (r#"{"send":{"data":{}}}"#, "0 Send"),
        (r#"{"id":3,"frobnicate":{}}"#, "3 Unknown"),
        (r#"{"id":3}"#, "3 Nothing"),
        (r#"{"id":3,"version":7}"#, "3 Nothing"),
    ] {
        assert_eq!(one(message), expected);
    }
}

#[test]
fn positions_and_limits() {
    let text =
        one(r#"{"id":2,"subscribe":{"channel":"chat:42","token":"t","recover":true,"epoch":"x7",
           "offset":18446744073709551615,"positioned":true,"flag":2,"tf":null}}"#
            .replace('\n', "")
            .as_str());
    assert_eq!(
        text,
        "2 Subscribe(Subscribe { channel: \"chat:42\", token: \"t\", recover: true, epoch: \"x7\", \
         offset: 18446744073709551615, kind: 0, flags: 2 })"
    );
    let since = r#"{"id":9,"history":{"channel":"a","limit":-1,"since":{"offset":5,"epoch":"e"}}}"#;
    assert_eq!(
        one(since),
        "9 History(History { channel: \"a\", limit: -1, since: Some((5, \"e\")), reverse: false })"
    );
    let bare = r#"{"id":9,"history":{"channel":"a","since":null,"reverse":true}}"#;
    assert_eq!(
        one(bare),
        "9 History(History { channel: \"a\", limit: 0, since: None, reverse: true })"
    );
}

#[test]
fn data_is_what_stands_there() {
    for data in [
        r#"{"t":"h\u0069","n":1.50e1 , "a":[ 1,2]}"#,
        "null",
        "0",
        "\"}\\\"\"",
        "[]",
        "12345678901234567890123456789",
        "{\"data\":{\"data\":1}}",
    ] {
        for message in [
            format!("{{\"id\":3,\"publish\":{{\"channel\":\"c\",\"data\":{data}}}}}"),
            format!(" {{ \"publish\" : {{\"data\" : {data} ,\"channel\":\"c\"}} , \"id\" : 3 }} "),
            format!(
                "{{\"id\":3,\"p\\u0075blish\":{{\"ch\\u0061nnel\":\"\\u0063\",\
                 \"dat\\u0061\":{data}}}}}"
            ),
        ] {
            assert_eq!(one(&message), format!("3 publish c {:?}", Some(data)), "{message}");
        }
    }
    assert_eq!(one(r#"{"id":3,"publish":{"channel":"c"}}"#), "3 publish c None");
}

#[test]
fn several_commands_in_one_message() {
    let (all, outcome) = seen("{\"id\":1,\"ping\":{}}\n{}\n{\"id\":2,\"ping\":{}}\n");
    assert_eq!((all.len(), outcome), (3, Ok(())));
    let (all, outcome) = seen("{\"id\":1,\"ping\":{}}\n{\"id\":\n{\"id\":2,\"ping\":{}}");
    assert_eq!((all.len(), outcome), (1, Err(Malformed::Json)), "the first bad one ends it");
    let many = "{}\n".repeat(limits::COMMANDS_PER_MESSAGE);
    assert_eq!(seen(&many).0.len(), limits::COMMANDS_PER_MESSAGE);
    assert_eq!(seen(&format!("{many}{{}}")), (vec![], Err(Malformed::TooMany)));
}

#[test]
fn what_is_not_taken_stays() {
    let message = b"{\"id\":1,\"ping\":{}}\n{\"id\":2,\"ping\":{}}\n{\"id\":3,\"ping\":{}}\n";
    let mut parser = Parser::default();
    for stop in 1..4 {
        let taken = parser.message(message, |command| command.id != stop).unwrap();
        assert!(message[taken..].starts_with(format!("{{\"id\":{stop}").as_bytes()));
    }
    assert_eq!(parser.message(message, |_| true), Ok(message.len()));
}

#[test]
fn each_sin_by_its_name() {
    let deep = |depth: usize| {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!("{{\"id\":1,\"publish\":{{\"channel\":\"c\",\"data\":{data}}}}}")
    };
    assert!(seen(&deep(limits::JSON_DEPTH - 8)).1.is_ok());
    let (too_deep, bottomless) = (deep(limits::JSON_DEPTH), deep(100_000));
    for (message, sin) in [
        ("", Malformed::Json),
        ("\n", Malformed::Json),
        ("\n{}", Malformed::Json),
        ("{\"id\":1,\"ping\":{}} x", Malformed::Json),
        ("{\"id\":1,\"ping\":{}}{}", Malformed::Json),
        ("{'id':1}", Malformed::Json),
        ("{\"a\":\"\u{1}\"}", Malformed::Json),
        (too_deep.as_str(), Malformed::Json),
        (bottomless.as_str(), Malformed::Json),
        ("[]", Malformed::NotAnObject),
        ("1", Malformed::NotAnObject),
        ("\"{}\"", Malformed::NotAnObject),
        (r#"{"id":4294967296,"ping":{}}"#, Malformed::Id),
        (r#"{"id":99999999999999999999999,"ping":{}}"#, Malformed::Id),
        (r#"{"id":-1,"ping":{}}"#, Malformed::Id),
        (r#"{"id":1.0,"ping":{}}"#, Malformed::Id),
        (r#"{"id":"1","ping":{}}"#, Malformed::Id),
        (r#"{"id":null,"ping":{}}"#, Malformed::Id),
        (r#"{"id":1,"id":1,"ping":{}}"#, Malformed::Twice),
        (r#"{"id":1,"ping":{},"ping":{}}"#, Malformed::Twice),
        (r#"{"id":1,"ping":{},"presence":{"channel":"a"}}"#, Malformed::Twice),
        (r#"{"id":1,"publish":{"channel":"a","data":1,"data":2}}"#, Malformed::Twice),
        (r#"{"id":1,"publish":{"channel":"a","ch\u0061nnel":"b"}}"#, Malformed::Twice),
        (r#"{"id":1,"publish":[]}"#, Malformed::Type),
        (r#"{"id":1,"publish":{"channel":1}}"#, Malformed::Type),
        (r#"{"id":1,"connect":{"token":{"a":1}}}"#, Malformed::Type),
        (r#"{"id":1,"subscribe":{"channel":"a","offset":-1}}"#, Malformed::Type),
        (r#"{"id":1,"subscribe":{"channel":"a","offset":1.5}}"#, Malformed::Type),
        (r#"{"id":1,"subscribe":{"channel":"a","recover":"yes"}}"#, Malformed::Type),
        (r#"{"id":1,"history":{"channel":"a","since":7}}"#, Malformed::Type),
    ] {
        let shown: String = message.chars().take(80).collect();
        assert_eq!(seen(message), (vec![], Err(sin)), "{shown}");
    }
    let mut parser = Parser::default();
    let bytes = b"{\"id\":1,\"publish\":{\"channel\":\"\xff\",\"data\":1}}";
    assert_eq!(parser.message(bytes, |_| true), Err(Malformed::Json), "not UTF-8");
}

#[test]
fn a_parser_that_met_a_sin_goes_on() {
    let mut parser = Parser::default();
    let large = format!(
        "{{\"id\":1,\"publish\":{{\"channel\":\"c\",\"data\":\"{}\"}}}}",
        "x".repeat(1 << 20)
    );
    for message in ["{", "[[[[", "{\"id\":", large.as_str(), "{\"id\":1,\"ping\":{}}"] {
        let mut commands = 0;
        let outcome = parser.message(message.as_bytes(), |_| {
            commands += 1;
            true
        });
        assert_eq!(commands, u32::from(outcome.is_ok()));
    }
    assert!(parser.scratch.capacity() <= KEEP, "a large command leaves no memory behind");
}

/// Pieces of commands in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\n",
        " ",
        "\"id\":1",
        "\"publish\":",
        "\"channel\":\"a\"",
        "\"data\":",
        "\"subscribe\":",
        "null",
        "true",
        "-0.5e9",
        "\"\\u00e9\"",
        "\"a\\\"b\"",
        "\"since\":",
        "\"history\":",
        "18446744073709551616",
        "{\"id\":2,\"ping\":{}}",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever comes: data that is seen is JSON, and stands in the message.
    #[test]
    fn any_text_is_read_or_refused(message in prop_oneof![pieces(), any::<String>()]) {
        let mut parser = Parser::default();
        let range = message.as_bytes().as_ptr_range();
        let _ = parser.message(message.as_bytes(), |command| {
            if let Ask::Publish(_, Some(data)) = command.ask {
                assert!(range.start <= data.as_ptr() && data.as_ptr_range().end <= range.end);
                let mut copy = data.to_vec();
                assert!(simd_json::to_tape(&mut copy).is_ok(), "{message}");
            }
            true
        });
    }
}
