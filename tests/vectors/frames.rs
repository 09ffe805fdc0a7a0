//! Frames of RFC 6455 5.7 and of the field, through a connection of the side that they reach: bytes
//! in, what the App is told, bytes out.

// The driver's own names for the library.
use plimsoll::{conn, wire};

#[path = "../../src/conn/tests/drive.rs"]
mod drive;

use conn::Side;
use drive::{Rig, Seen, settings};

struct Vector {
    name: &'static str,
    to: Side,
    bytes: Vec<u8>,
    told: Vec<Seen>,
    /// What a server answers to the byte; a client's answer is masked, so only its length is here.
    answer: Vec<u8>,
}

fn hello() -> Vec<u8> {
    b"Hello".to_vec()
}

fn with(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, payload].concat()
}

fn vectors() -> Vec<Vector> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let masked = |payload: &[u8]| -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    };
    let long = vec![0x5a; 256];
    let longer = vec![0xa5; 65536];
    let text = |text: &[u8]| vec![Seen::Text(text.to_vec())];
    vec![
        Vector {
            name: "5.7: a single-frame unmasked text message",
            to: Side::Client,
            bytes: vec![0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
            told: text(b"Hello"),
            answer: vec![0; 11],
        },
        Vector {
            name: "5.7: a single-frame masked text message",
            to: Side::Server,
            bytes: vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            told: text(b"Hello"),
            answer: with(&[0x81, 0x05], b"Hello"),
        },
        Vector {
            name: "5.7: a fragmented unmasked text message",
            to: Side::Client,
            bytes: vec![0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f],
            told: text(b"Hello"),
            answer: vec![0; 11],
        },
        Vector {
            name: "5.7: an unmasked ping, and its masked pong",
            to: Side::Client,
            bytes: vec![0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f],
            told: vec![Seen::Ping(hello())],
            answer: vec![0; 11],
        },
        Vector {
            name: "5.7: the masked pong alone",
            to: Side::Server,
            bytes: vec![0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58],
            told: vec![Seen::Pong(hello())],
            answer: vec![],
        },
        Vector {
            name: "5.7: 256 bytes of binary in a single unmasked frame",
            to: Side::Client,
            bytes: with(&[0x82, 0x7e, 0x01, 0x00], &long),
            told: vec![Seen::Binary(long.clone())],
            answer: vec![0; 256 + 8],
        },
        Vector {
            name: "5.7: 64 KiB of binary in a single unmasked frame",
            to: Side::Client,
            bytes: with(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], &longer),
            told: vec![Seen::Binary(longer.clone())],
            answer: vec![0; 65536 + 14],
        },
        Vector {
            name: "64 KiB of binary to a server",
            to: Side::Server,
            bytes: [&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0][..], &key, &masked(&longer)].concat(),
            told: vec![Seen::Binary(longer.clone())],
            answer: with(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], &longer),
        },
        Vector {
            name: "5.4: a ping between two fragments is answered before the message",
            to: Side::Server,
            bytes: [
                &[0x01, 0x83][..],
                &key,
                &masked(b"Hel"),
                &[0x89, 0x81],
                &key,
                &masked(b"?"),
                &[0x80, 0x82],
                &key,
                &masked(b"lo"),
            ]
            .concat(),
            told: vec![Seen::Ping(b"?".to_vec()), Seen::Text(hello())],
            answer: [&[0x8a, 0x01, b'?', 0x81, 0x05][..], b"Hello"].concat(),
        },
        Vector {
            name: "5.5.1: a close with code and reason is answered with the code",
            to: Side::Server,
            bytes: [&[0x88, 0x85][..], &key, &masked(b"\x03\xe8bye")].concat(),
            told: vec![],
            answer: vec![0x88, 0x02, 0x03, 0xe8],
        },
    ]
}

#[test]
fn frames_of_the_rfc() {
    for vector in vectors() {
        for step in [1, 3, 1000, usize::MAX] {
            let mut rig = Rig::open(settings(vector.to));
            for piece in vector.bytes.chunks(step.min(vector.bytes.len())) {
                rig.feed(piece);
            }
            let name = vector.name;
            assert_eq!(rig.seen, vector.told, "{name}, in steps of {step}");
            assert_eq!(rig.sent.len(), vector.answer.len(), "{name}, in steps of {step}");
            if vector.to == Side::Server {
                assert!(rig.sent == vector.answer, "{name}, in steps of {step}");
            }
        }
    }
}
