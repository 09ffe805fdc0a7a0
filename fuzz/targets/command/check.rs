//! Commands of rooms, read twice: by the server's parser, and by `serde_json`, which
//! knows neither its scratch copy nor its scanner.

use std::collections::BTreeMap;

use plimsoll::hub::command::{Ask, Malformed, Parser};
use serde_json::value::RawValue;

type Object<'t> = BTreeMap<String, &'t RawValue>;

/// What the server's parser saw of a command.
#[derive(PartialEq, Debug)]
struct Seen {
    id: u32,
    /// Of a publication: channel and data.
    publish: Option<(String, Option<Vec<u8>>)>,
}

fn read(parser: &mut Parser, message: &[u8]) -> (Vec<Seen>, Result<usize, Malformed>) {
    let range = message.as_ptr_range();
    let mut all = Vec::new();
    let outcome = parser.message(message, |command| {
        let publish = match command.ask {
            Ask::Publish(channel, data) => {
                if let Some(data) = data {
                    let place = data.as_ptr_range();
                    assert!(range.start <= place.start && place.end <= range.end);
                }
                Some((channel.to_owned(), data.map(<[u8]>::to_vec)))
            }
            _ => None,
        };
        all.push(Seen { id: command.id, publish });
        true
    });
    (all, outcome)
}

fn text<'t, T: serde::Deserialize<'t> + Default>(object: &Object<'t>, key: &str) -> T {
    let value: Option<Option<T>> =
        object.get(key).map(|value| serde_json::from_str(value.get()).expect("of its type"));
    value.flatten().unwrap_or_default()
}

/// What is taken is JSON by another parser's judgement, and says the same there; a parser that has
/// met anything reads on as a fresh one does.
pub(crate) fn check(message: &[u8]) {
    let mut parser = Parser::default();
    let (all, outcome) = read(&mut parser, message);
    assert_eq!((&all, &outcome), (&read(&mut parser, message).0, &outcome));
    let ping = read(&mut parser, b"{\"id\":7,\"ping\":{}}");
    assert_eq!(ping, (vec![Seen { id: 7, publish: None }], Ok(18)));
    if outcome.is_ok() {
        assert_eq!(outcome, Ok(message.len()));
    }
    for (seen, line) in all.iter().zip(message.split(|byte| *byte == b'\n')) {
        let line = std::str::from_utf8(line).expect("what was taken is UTF-8");
        let object: Object<'_> = serde_json::from_str(line).expect("what was taken is JSON");
        assert_eq!(text::<u32>(&object, "id"), seen.id);
        if let Some((channel, data)) = &seen.publish {
            let publish: Object<'_> =
                serde_json::from_str(object["publish"].get()).expect("a publication is an object");
            assert_eq!(text::<String>(&publish, "channel"), *channel);
            let expected = publish.get("data").map(|data| data.get().as_bytes());
            assert_eq!(expected, data.as_deref());
        }
    }
}
