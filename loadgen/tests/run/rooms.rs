//! Broadcasts over rooms, in the Centrifugo protocol.

use std::time::Duration;

use loadgen::measure::Kind;
use loadgen::run::RunError;

use crate::server::{Manner, Server};
use crate::{count, go, start};

#[test]
fn everybody_in_a_channel_hears_everything_once() {
    let rooms = "--mode broadcast --protocol centrifugo --rooms 3 --publishers 6 --subscribers 54 \
        --rate 60 --size 64..300 --verify --duration 1s --warmup 300ms --drain 1s";
    for token in ["", "--token-hmac-secret not-a-secret"] {
        let outcome = start(&format!("{rooms} {token}")).unwrap();
        let tally = &outcome.tally;
        assert_eq!((tally.established, tally.failed), (60, 0), "{:?}", tally.errors);
        assert_eq!(count(&outcome, Kind::Join), 60);
        assert_eq!(tally.sent, 60);
        let broadcast = tally.broadcast.as_ref().unwrap();
        assert_eq!((broadcast.expected, broadcast.received), (60 * 20, 60 * 20));
        assert_eq!((broadcast.duplicate, broadcast.reordered), (0, 0));
        assert_eq!((tally.verified, tally.corrupt, tally.strays), (60 * 20, 0, 0));
        assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    }
}

#[test]
fn who_comes_back_joins_again() {
    let outcome = start(
        "--mode broadcast --protocol centrifugo --publishers 1 --subscribers 19 --rate 20 \
         --duration 1s --warmup 200ms --drain 1s --storm 50%@300ms",
    )
    .unwrap();
    let storm = &outcome.tally.life.storms[0];
    assert_eq!((storm.dropped, storm.returned), (10, 10));
    assert_eq!(count(&outcome, Kind::Join), 30);
}

fn first_error(arguments: &str) -> String {
    match start(arguments).err().unwrap() {
        RunError::NothingConnected { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

#[test]
fn a_join_that_is_refused_is_named() {
    let error = first_error(
        "--mode broadcast --protocol centrifugo --connections 2 --rate 2 --token nonsense",
    );
    assert!(error.contains("join") || error.contains("3500"), "{error}");
}

/// What a run says that nobody of could join.
fn unjoined(manner: Manner) -> String {
    let run = "--mode broadcast --protocol centrifugo --connections 2 --rate 2 --timeout 500ms";
    go(&Server::start(manner), run).err().unwrap().to_string()
}

#[test]
fn a_server_that_answers_no_join_is_named() {
    let error = unjoined(Manner::Cap(1000, Duration::from_mins(1)));
    assert!(error.contains("did not answer the join within 500ms"), "{error}");
}

#[test]
fn a_server_that_ends_whoever_joins_is_named() {
    let error = unjoined(Manner::Leave);
    assert!(error.contains("before the join was answered") && error.contains("1013"), "{error}");
}
