//! The drivers of the fuzz targets `conn_server`, `conn_client` and `command`, run for a moment by
//! the plain test suite, so that they stay right between two fuzz runs; what a fuzz run finds
//! becomes a test here.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/targets/command/check.rs"]
mod commands;
#[path = "../fuzz/targets/conn/drive.rs"]
mod drive;
#[path = "../fuzz/targets/conn/program.rs"]
mod program;

use drive::{Way, compare, peers_head};
use plimsoll::conn::Side;
use proptest::prelude::*;

fn check(side: Side, after_head: &[u8], way: Way<'_>) -> drive::Seen {
    let stream = [&peers_head(side)[..], &program::frames(after_head, side.peer_masks())].concat();
    compare(side, &stream, way)
}

#[test]
fn each_byte_on_its_own() {
    // Text, a fragmented message with a ping inside, an empty message, a close.
    let frames = [0, 3, b'a', b'b', b'c', 4, 1, b'd', 8, 2, b'p', b'q', 7, 1, b'e', 2, 0, 12, 0];
    for side in [Side::Server, Side::Client] {
        for way in [
            Way { reads: &[0], ..Way::default() },
            Way { reads: &[0], writes: &[0], direct: true },
            Way { writes: &[0], ..Way::default() },
        ] {
            let seen = check(side, &frames, way);
            let told: [(&str, &[u8]); 4] =
                [("text", b"abc"), ("ping", b"pq"), ("text", b"de"), ("binary", b"")];
            let events = seen.events[1..].iter().map(|(kind, bytes)| (*kind, &bytes[..]));
            assert!(events.eq(told), "{side:?} {way:?}: {:?}", seen.events);
            assert_eq!(seen.end, "ClosedByPeer(CloseCode(1000))", "{side:?} {way:?}");
        }
    }
}

#[test]
fn large_messages_of_many_bytes_a_character() {
    for side in [Side::Server, Side::Client] {
        // 70,000 bytes in one frame, then two fragments of 20,000 and 65,536, then bytes that end
        // within a character.
        for (frames, end) in [
            (&[0, 0x1f, 4, 0x1d, 8, 1, b'p', 7, 0x1e, 12, 0][..], "ClosedByPeer(CloseCode(1000))"),
            (&[1, 0x3c], "Violation(InvalidUtf8)"),
            (&[5, 0x0f, 6, 0x0e], "Violation(MessageTooBig { limit: 131072 })"),
            (&[13, 0, 8, 1, b'q', 12, 0], "ClosedByUs(CloseCode(1000))"),
        ] {
            for reads in [&[199][..], &[255, 0], &[203, 250, 3]] {
                for direct in [false, true] {
                    let seen = check(side, frames, Way { reads, writes: &[210, 7], direct });
                    assert_eq!(seen.end, end, "{side:?} reads {reads:?} direct {direct}");
                }
            }
        }
    }
}

/// A peer that pings and does not read gets a bounded number of pongs, and none once both sides
/// have closed: a pong that was held back until then has nobody to go to.
#[test]
fn pongs_end_with_the_close() {
    let mut frames: Vec<u8> = (b'a'..b'k').flat_map(|c| [8, 1, c]).collect();
    for (last, end) in [
        (&[12, 0][..], "ClosedByPeer(CloseCode(1000))"),
        (&[14, 1, 0xff, b'x'], "Violation(ReservedBits)"),
    ] {
        frames.truncate(30);
        frames.extend_from_slice(last);
        for side in [Side::Server, Side::Client] {
            let seen = check(side, &frames, Way { writes: &[0], reads: &[7], direct: false });
            assert_eq!(seen.end, end, "{side:?}");
        }
    }
}

/// A program whose operations are mostly right ones.
fn programs() -> impl Strategy<Value = Vec<u8>> {
    let op = prop_oneof![20 => 0u8..11, 1 => 11u8..16];
    let how = prop_oneof![8 => 0u8..8, 2 => 8u8..12, 1 => any::<u8>()];
    let payload = prop::collection::vec(prop_oneof![b'a'..=b'f', any::<u8>()], 7);
    let frame = (op, how, payload).prop_map(|(op, how, payload)| {
        let len = if how & 0x0f < 8 { usize::from(how & 0x0f) } else { 0 };
        [&[op, how][..], &payload[..len]].concat()
    });
    prop::collection::vec(frame, 0..24).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn one_story_however_it_is_cut(
        server: bool,
        frames in programs(),
        reads in prop::collection::vec(any::<u8>(), 0..8),
        writes in prop::collection::vec(any::<u8>(), 0..8),
        direct: bool,
    ) {
        let side = if server { Side::Server } else { Side::Client };
        check(side, &frames, Way { reads: &reads, writes: &writes, direct });
    }

    /// What the fuzz targets do with their input.
    #[test]
    fn one_story_of_any_bytes(server: bool, bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        let side = if server { Side::Server } else { Side::Client };
        let case = program::case(side, &bytes);
        compare(side, &case.stream, case.way);
    }

    #[test]
    fn one_story_of_any_head(
        server: bool,
        cut in any::<prop::sample::Index>(),
        byte: u8,
        more in prop::collection::vec(any::<u8>(), 0..1200),
        reads in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let side = if server { Side::Server } else { Side::Client };
        let mut stream = peers_head(side);
        let at = cut.index(stream.len());
        stream[at] = byte;
        stream.extend_from_slice(&more);
        compare(side, &stream, Way { reads: &reads, writes: &[3], direct: false });
    }
}

/// Pieces of commands, more or less in the order in which they make sense.
fn messages() -> impl Strategy<Value = String> {
    let piece = |pieces: &[&'static str]| prop::sample::select(pieces.to_vec());
    let part = prop_oneof![
        3 => piece(&["{", "}", "[", "]", ":", ",", "\n", " ", "\"", "\\"]),
        3 => piece(&["{\"id\":1,", "{\"id\":\"1\",", "\"publish\":{", "\"subscribe\":{", "}}"]),
        2 => piece(&["\"channel\":\"\\u0061\\ud83d\\ude00\"", "\"data\":", "\"data\":{\"a\":[]},"]),
        1 => piece(&["null", "true", "-0.5e9", "1e400", "18446744073709551616", "\"\\ud800\""]),
        2 => piece(&["{\"id\":3,\"publish\":{\"channel\":\"c\",\"data\": [1, 2] }}", "{}"]),
    ];
    prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn commands_as_another_parser_reads_them(message in messages()) {
        commands::check(message.as_bytes());
    }

    #[test]
    fn commands_of_any_bytes(message in prop::collection::vec(any::<u8>(), 0..64)) {
        commands::check(&message);
    }
}
