//! Property: the same bytes, cut in any way, give the same events and the same answers; and one
//! violation anywhere gives the same close frame, and nothing after it.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::drive::{Answer, Rig, Seen, settings};
use super::naive;
use crate::conn::{End, Side};
use crate::wire::violation::Violation;

/// What a peer says: a message in fragments with control frames between them.
#[derive(Clone, Debug)]
struct Said {
    text: bool,
    len: usize,
    seed: u64,
    fragments: usize,
    controls: Vec<Control>,
}

#[derive(Clone, Debug)]
struct Control {
    ping: bool,
    len: usize,
    before: usize,
}

/// How a stream comes in.
#[derive(Clone, Debug)]
enum Cut {
    Whole,
    Steps(usize),
    Random(u64),
}

/// A stream of frames and what is to come of it.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    seen: Vec<Seen>,
    answers: Vec<naive::Parsed>,
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0usize..300,
        2 => 1000usize..1100,
        2 => 16_000usize..17_000,
        1 => 60_000usize..120_000,
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let control = (any::<bool>(), 0usize..126, 0usize..6).prop_map(|(ping, len, before)| Control {
        ping,
        len,
        before,
    });
    let controls = proptest::collection::vec(control, 0..3);
    (any::<bool>(), lengths(), any::<u64>(), prop_oneof![Just(1), 1usize..6], controls).prop_map(
        |(text, len, seed, fragments, controls)| Said { text, len, seed, fragments, controls },
    )
}

fn cuts() -> impl Strategy<Value = Cut> {
    prop_oneof![
        Just(Cut::Whole),
        prop_oneof![Just(1), 1usize..20, 100usize..40_000].prop_map(Cut::Steps),
        any::<u64>().prop_map(Cut::Random),
    ]
}

impl Cut {
    fn pieces<'a>(&self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut rng = StdRng::seed_from_u64(if let Self::Random(seed) = self { *seed } else { 0 });
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let n = match self {
                Self::Whole => bytes.len(),
                Self::Steps(step) => *step,
                Self::Random(_) if rng.random_bool(0.7) => rng.random_range(1..30),
                Self::Random(_) => rng.random_range(1..40_000),
            };
            let (piece, rest) = bytes.split_at(n.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// `len` bytes of text with characters of every length, or of noise.
fn payload(said: &Said) -> Vec<u8> {
    let mut rng = StdRng::seed_from_u64(said.seed);
    let mut bytes = Vec::with_capacity(said.len + 4);
    if !said.text {
        bytes.resize(said.len, 0);
        rng.fill_bytes(&mut bytes);
        return bytes;
    }
    while bytes.len() < said.len {
        let character = ['a', '\u{e4}', '\u{20ac}', '\u{1f600}'][rng.random_range(0..4)];
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    bytes
}

fn key(side: Side, rng: &mut StdRng) -> Option<[u8; 4]> {
    (side == Side::Server).then(|| rng.random())
}

fn script(side: Side, story: &[Said]) -> Script {
    let mut script = Script::default();
    let mut rng = StdRng::seed_from_u64(story.len() as u64);
    let masked = side == Side::Client;
    for said in story {
        let payload = payload(said);
        let first = if said.text { naive::TEXT } else { naive::BINARY };
        let mut at = 0;
        for index in 0..said.fragments {
            for control in
                said.controls.iter().filter(|c| c.before.min(said.fragments - 1) == index)
            {
                let data = vec![b'a' + control.before as u8; control.len];
                let opcode = if control.ping { naive::PING } else { naive::PONG };
                script.bytes.extend(naive::frame(true, opcode, key(side, &mut rng), &data));
                if control.ping {
                    let payload = data.clone();
                    let opcode = naive::PONG;
                    script.answers.push(naive::Parsed { fin: true, opcode, masked, payload });
                    script.seen.push(Seen::Ping(data));
                } else {
                    script.seen.push(Seen::Pong(data));
                }
            }
            let last = index + 1 == said.fragments;
            let end = if last { payload.len() } else { rng.random_range(at..=payload.len()) };
            let opcode = if index == 0 { first } else { naive::CONTINUATION };
            let key = key(side, &mut rng);
            script.bytes.extend(naive::frame(last, opcode, key, &payload[at..end]));
            at = end;
        }
        script.answers.push(naive::Parsed {
            fin: true,
            opcode: first,
            masked,
            payload: payload.clone(),
        });
        script.seen.push(if said.text { Seen::Text(payload) } else { Seen::Binary(payload) });
    }
    script
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Server), Just(Side::Client)]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![3 => Just(Answer::Echo), 1 => Just(Answer::Copy), 1 => Just(Answer::Listen)]
}

/// The sins, each with the bytes that commit it and how the machine names it.
fn sins(side: Side) -> Vec<(Vec<u8>, Violation)> {
    let key = (side == Side::Server).then_some([0x11, 0x22, 0x33, 0x44]);
    let mask = if key.is_some() { 0x80 } else { 0 };
    let frame = |fin, opcode, payload: &[u8]| naive::frame(fin, opcode, key, payload);
    let limit = settings(side).max_message;
    let wrong_mask = naive::frame(true, naive::BINARY, key.xor(Some([1, 2, 3, 4])), b"x");
    let unmasked = if side == Side::Server { Violation::NotMasked } else { Violation::Masked };
    let not_shortest_64 = [&[0x82, mask | 0x7f][..], &0xffff_u64.to_be_bytes()].concat();
    let top_bit = [&[0x82, mask | 0x7f][..], &u64::MAX.to_be_bytes()].concat();
    let begun = |rest: Vec<u8>| [frame(false, naive::TEXT, b"begun"), rest].concat();
    let many = |n: usize| {
        let rest: Vec<u8> = (0..n).flat_map(|_| frame(false, naive::CONTINUATION, b"")).collect();
        [frame(false, naive::BINARY, b""), rest].concat()
    };
    let bodies = |body: &[u8]| frame(true, naive::CLOSE, body);
    vec![
        (vec![0xC1, mask], Violation::ReservedBits),
        (vec![0xA2], Violation::ReservedBits),
        (begun(vec![0x90, mask]), Violation::ReservedBits),
        (vec![0x83], Violation::ReservedOpcode(3)),
        (vec![0x8F, mask | 1], Violation::ReservedOpcode(15)),
        (wrong_mask, unmasked),
        (vec![0x82, mask | 0x7e, 0, 125], Violation::LengthNotShortest),
        (not_shortest_64, Violation::LengthNotShortest),
        (top_bit, Violation::LengthTopBit),
        (vec![0x09], Violation::ControlFragmented),
        (vec![0x08, mask], Violation::ControlFragmented),
        (vec![0x89, mask | 0x7e], Violation::ControlTooLong),
        (vec![0x88, mask | 0x7f], Violation::ControlTooLong),
        (frame(true, naive::CONTINUATION, b"x"), Violation::StrayContinuation),
        (frame(false, naive::CONTINUATION, b""), Violation::StrayContinuation),
        (begun(frame(true, naive::TEXT, b"x")), Violation::InterleavedMessage),
        (begun(frame(false, naive::BINARY, b"")), Violation::InterleavedMessage),
        (frame(true, naive::TEXT, b"a\xffb"), Violation::InvalidUtf8),
        (frame(true, naive::TEXT, b"cut off \xf0\x9f\x98"), Violation::InvalidUtf8),
        (begun(frame(false, naive::CONTINUATION, b"\xed\xa0\x80")), Violation::InvalidUtf8),
        (
            [frame(false, naive::TEXT, b"\xe2\x82"), frame(true, naive::CONTINUATION, b"")]
                .concat(),
            Violation::InvalidUtf8,
        ),
        (
            [frame(false, naive::TEXT, b"\xe2\x82"), frame(false, naive::CONTINUATION, b"a")]
                .concat(),
            Violation::InvalidUtf8,
        ),
        (
            naive::header(true, naive::BINARY, key, limit as u64 + 1),
            Violation::MessageTooBig { limit },
        ),
        (naive::header(false, naive::TEXT, key, 1 << 62), Violation::MessageTooBig { limit }),
        (
            begun(naive::header(true, naive::CONTINUATION, key, limit as u64 - 63)),
            Violation::MessageTooBig { limit },
        ),
        (many(limit / 64), Violation::MessageTooBig { limit }),
        (bodies(b"\x03"), Violation::CloseBodyTooShort),
        (bodies(&1005_u16.to_be_bytes()), Violation::CloseCodeInvalid(1005)),
        (bodies(b"\x03\xe8\xff"), Violation::CloseReasonInvalid),
    ]
}

/// Ends the rig and holds that nothing was kept.
fn end(rig: Rig) -> End {
    let (end, gear) = rig.end();
    assert_eq!((gear.pool.lent(), gear.shared().get()), (0, 0), "memory is given back");
    end
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_events_and_answers(
        side in side(),
        answer in answer(),
        direct: bool,
        story in proptest::collection::vec(said(), 0..6),
        cut in cuts(),
    ) {
        let script = script(side, &story);
        let mut rig = Rig::open(settings(side));
        rig.answer = answer;
        rig.direct = direct;
        for piece in cut.pieces(&script.bytes) {
            rig.feed(piece);
        }
        prop_assert_eq!(&rig.seen, &script.seen);
        let expected: Vec<_> = script.answers.into_iter()
            .filter(|frame| answer != Answer::Listen || frame.opcode == naive::PONG)
            .collect();
        prop_assert_eq!(naive::parse(&rig.sent), expected);
        prop_assert!(rig.conn.is_open() && !rig.close && rig.shuts == 0);
        prop_assert_eq!(rig.gear.pool.lent(), 0, "an idle connection owns no buffer");
        end(rig);
    }

    /// As above, over a socket that takes a few bytes now and then.
    #[test]
    fn a_socket_that_takes_little_changes_no_byte(
        side in side(),
        story in proptest::collection::vec(said(), 0..5),
        cut in cuts(),
        seed: u64,
    ) {
        let pings = story.iter().flat_map(|said| &said.controls).filter(|c| c.ping).count();
        prop_assume!(pings <= settings(side).pong_queue);
        let script = script(side, &story);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rig = Rig::open(settings(side));
        let most = [3, 200, 30_000][rng.random_range(0..3)];
        for piece in cut.pieces(&script.bytes) {
            rig.turns(piece, &mut rng.random_range(0..most));
        }
        while rig.conn.owes() {
            rig.pay(&mut rng.random_range(1..50_000));
        }
        prop_assert_eq!(&rig.seen, &script.seen);
        prop_assert_eq!(naive::parse(&rig.sent), script.answers);
        prop_assert_eq!(rig.gear.pool.lent(), 0);
        end(rig);
    }

    /// What stands before a violation counts, what follows is void.
    #[test]
    fn one_violation_ends_it_the_same_way_in_any_cut(
        side in side(),
        direct: bool,
        story in proptest::collection::vec(said(), 0..3),
        which: proptest::sample::Index,
        cut in cuts(),
        after in proptest::collection::vec(said(), 0..2),
    ) {
        let Script { mut bytes, seen, answers } = script(side, &story);
        let all = sins(side);
        let (sin, violation) = &all[which.index(all.len())];
        bytes.extend(sin);
        bytes.extend(script(side, &after).bytes);
        let mut rig = Rig::open(settings(side));
        rig.direct = direct;
        for piece in cut.pieces(&bytes) {
            rig.feed(piece);
        }
        prop_assert_eq!(&rig.seen, &seen);
        let mut frames = naive::parse(&rig.sent);
        let last = frames.pop().unwrap();
        prop_assert_eq!(frames, answers);
        prop_assert!(last.is_close(violation.close_code().0), "{:?} for {}", last, violation);
        prop_assert_eq!(last.payload[2..].escape_ascii().to_string(), violation.to_string());
        prop_assert_eq!((rig.shuts, rig.close), (1, false), "FIN, then read to the peer's");
        rig.conn.handle_eof();
        rig.obey();
        prop_assert!(rig.close);
        let ended = end(rig);
        prop_assert!(matches!(&ended, End::Violation(v) if v == violation), "{:?}", ended);
    }
}

/// Each violation at least once, whole and byte by byte: the property above picks at random.
#[test]
fn each_violation_is_named_on_both_sides() {
    for side in [Side::Server, Side::Client] {
        for (bytes, violation) in sins(side) {
            for step in [bytes.len(), 1] {
                let mut rig = Rig::open(settings(side));
                for piece in bytes.chunks(step) {
                    rig.feed(piece);
                }
                let ended = end(rig);
                assert!(
                    matches!(&ended, End::Violation(v) if *v == violation),
                    "{side:?}: {violation} came out as {ended:?}"
                );
            }
        }
    }
}
