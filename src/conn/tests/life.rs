//! How a connection opens, lives by the clock and ends; and that no order of calls upsets it.

use std::time::Duration;

use proptest::prelude::*;

use super::drive::{REQUEST, Rig, Seen, settings};
use super::naive;
use crate::conn::{Admission, Block, Conn, End, Gear, Kind, Settings, Shared, Side, Tick};
use crate::wire::close::CloseCode;

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn key_to(side: Side) -> Option<[u8; 4]> {
    KEY.filter(|_| side == Side::Server)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Lets `most` pass in ticks and looks at the deadline only when the connection asked for it.
/// Gives the time at which it spoke or ended.
fn wait_for_word(rig: &mut Rig, most: Duration) -> Option<Duration> {
    let began = rig.gear.now;
    let mut due = rig.conn.take_deadline().unwrap_or_default();
    while rig.gear.now < began.plus(most) {
        rig.gear.now.0 += 1;
        if rig.gear.now >= due {
            rig.conn.handle_deadline(&mut rig.gear);
            due = rig.conn.take_deadline().unwrap();
            assert!(
                due > rig.gear.now || rig.conn.step(&rig.gear) == crate::conn::Step::Close,
                "spins"
            );
            let before = rig.sent.len();
            rig.flush(&mut usize::MAX.clone());
            rig.obey();
            if rig.sent.len() > before || rig.close {
                return Some(Duration::from_millis(u64::from(rig.gear.now.0 - began.0) * 250));
            }
        }
    }
    None
}

fn near(what: Option<Duration>, expected: Duration) {
    let what = what.expect("something happens");
    assert!(what >= expected, "{what:?} is too early for {expected:?}");
    assert!(what <= expected + Duration::from_millis(500), "{what:?} is too late for {expected:?}");
}

#[test]
fn a_silent_peer_is_pinged_then_given_up() {
    for side in [Side::Server, Side::Client] {
        let mut rig = Rig::open(settings(side));
        near(wait_for_word(&mut rig, seconds(60)), seconds(25));
        assert_eq!(naive::parse(&rig.sent)[0].opcode, naive::PING);
        near(wait_for_word(&mut rig, seconds(60)), seconds(8));
        assert!(rig.close);
        assert!(matches!(rig.end().0, End::PongTimeout));
    }
}

/// A deadline that was set for a longer interval is worked out afresh when it is looked at.
#[test]
fn a_ping_interval_that_shrank_counts_at_the_next_look() {
    let crowd = Settings { ping_interval: Some(seconds(100)), ..settings(Side::Server) };
    let mut rig = Rig::open(crowd);
    rig.pass(seconds(60));
    assert!(rig.sent.is_empty());
    rig.gear.ping_interval = Some(seconds(25));
    rig.pass(seconds(1));
    assert_eq!(rig.sent, [0x89, 0]);
}

/// Any byte proves life, not the pong alone; and pings go on at their interval.
#[test]
fn a_peer_that_answers_stays() {
    let mut rig = Rig::open(settings(Side::Server));
    for round in 0..5 {
        near(wait_for_word(&mut rig, seconds(60)), seconds(25));
        assert_eq!(rig.sent, [0x89, 0], "one ping in round {round}");
        rig.sent.clear();
        rig.gear.now.0 += 4;
        let half = naive::frame(true, naive::PONG, KEY, b"");
        rig.feed(&half[..3]);
        rig.feed(&half[3..]);
        // The deadline of the pong passes without a word.
    }
    assert!(rig.conn.is_open());
}

#[test]
fn without_an_interval_nobody_is_pinged() {
    let quiet = Settings { ping_interval: None, ..settings(Side::Server) };
    let mut rig = Rig::open(quiet);
    assert_eq!(rig.conn.take_deadline(), Some(Tick(u32::MAX)));
    assert_eq!(wait_for_word(&mut rig, seconds(1000)), None);
}

#[test]
fn an_idle_peer_is_asked_to_leave() {
    let idle = Settings { idle_timeout: Some(seconds(60)), ..settings(Side::Server) };
    let mut rig = Rig::open(idle);
    let mut passed = Duration::ZERO;
    // Pongs prove life, but they are no messages.
    while rig.conn.is_open() {
        rig.sent.clear();
        passed += wait_for_word(&mut rig, seconds(100)).unwrap();
        rig.feed(&naive::frame(true, naive::PONG, KEY, b""));
    }
    near(Some(passed), seconds(60));
    assert!(naive::parse(&rig.sent)[0].is_close(1001));
    near(wait_for_word(&mut rig, seconds(60)), seconds(5));
    assert!(matches!(rig.end().0, End::IdleTimeout));
}

#[test]
fn a_message_puts_the_idle_timeout_off() {
    let idle = Settings { idle_timeout: Some(seconds(20)), ..settings(Side::Server) };
    let mut rig = Rig::open(idle);
    rig.gear.now.0 += 60;
    rig.feed(&naive::frame(true, naive::TEXT, KEY, b"here"));
    rig.sent.clear();
    near(wait_for_word(&mut rig, seconds(60)), seconds(20));
}

#[test]
fn a_close_that_is_not_answered_times_out() {
    let mut rig = Rig::open(settings(Side::Server));
    rig.conn.sender(&mut rig.gear).close(CloseCode::NORMAL, "bye");
    rig.flush(&mut usize::MAX.clone());
    // Data goes on coming in; it is read, and answers nothing.
    rig.feed(&naive::frame(true, naive::TEXT, KEY, b"late"));
    rig.feed(&naive::frame(true, naive::PING, KEY, b"still there?"));
    assert_eq!(rig.seen.len(), 2);
    let frames = naive::parse(&rig.sent);
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert!(frames[0].is_close(1000) && frames[1].opcode == naive::PONG);
    near(wait_for_word(&mut rig, seconds(60)), seconds(5));
    assert!(matches!(rig.end().0, End::CloseTimeout));
}

#[test]
fn a_client_lets_the_server_shut_first() {
    for we_begin in [false, true] {
        let mut rig = Rig::open(settings(Side::Client));
        if we_begin {
            rig.conn.sender(&mut rig.gear).close(CloseCode::NORMAL, "");
            rig.flush(&mut usize::MAX.clone());
        }
        rig.feed(&naive::close(None, 1000, ""));
        assert_eq!(rig.shuts, 0);
        assert_eq!(naive::parse(&rig.sent).len(), 1, "one close frame");
        rig.conn.handle_eof();
        rig.obey();
        let (end, _) = rig.end();
        match end {
            End::ClosedByUs(CloseCode::NORMAL) => assert!(we_begin),
            End::ClosedByPeer(CloseCode::NORMAL) => assert!(!we_begin),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_client_does_not_wait_for_ever_for_the_fin() {
    let mut rig = Rig::open(settings(Side::Client));
    rig.feed(&naive::close(None, 1000, ""));
    near(wait_for_word(&mut rig, seconds(60)), seconds(5));
    assert!(matches!(rig.end().0, End::ClosedByPeer(CloseCode::NORMAL)));
}

#[test]
fn an_empty_close_is_answered_with_an_empty_one() {
    let mut rig = Rig::open(settings(Side::Server));
    rig.feed(&naive::frame(true, naive::CLOSE, KEY, b""));
    assert_eq!(rig.sent, [0x88, 0]);
    assert!(matches!(rig.end().0, End::ClosedByPeer(CloseCode::NO_STATUS)));
}

#[test]
fn an_end_without_a_close_frame_is_named_so() {
    let mut rig = Rig::open(settings(Side::Server));
    rig.feed(&naive::frame(false, naive::TEXT, KEY, b"half a mess"));
    rig.conn.handle_eof();
    let (end, gear) = rig.end();
    assert!(matches!(end, End::Eof));
    assert_eq!(gear.pool.lent(), 0);
}

#[test]
fn going_away_from_every_state() {
    let mut waiting = Rig::server(settings(Side::Server));
    waiting.go_away();
    waiting.flush(&mut usize::MAX.clone());
    assert!(waiting.sent.starts_with(b"HTTP/1.1 503 "));

    let mut open = Rig::open(settings(Side::Server));
    open.go_away();
    open.flush(&mut usize::MAX.clone());
    assert!(naive::parse(&open.sent)[0].is_close(1001));

    let mut asking = Rig::client(settings(Side::Client));
    asking.go_away();
    asking.obey();
    assert!(asking.close, "a client that has not come in just leaves");
    assert!(matches!(asking.end().0, End::Shutdown));
}

#[test]
fn a_client_that_gets_no_answer_gives_up() {
    let mut rig = Rig::client(settings(Side::Client));
    rig.feed(b"HTTP/1.1 101 Switching Protocols\r\n");
    near(wait_for_word(&mut rig, seconds(60)), seconds(10));
    assert!(matches!(rig.end().0, End::HandshakeTimeout));
}

#[test]
fn a_wrong_answer_is_rejected_and_nothing_behind_it_is_read() {
    for step in [1, 1000] {
        let mut rig = Rig::client(settings(Side::Client));
        let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
            Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
            .to_vec();
        answer.extend(naive::frame(true, naive::TEXT, None, b"hello"));
        for piece in answer.chunks(step) {
            rig.feed(piece);
        }
        assert!(rig.close);
        assert_eq!(rig.seen, []);
        assert!(matches!(rig.end().0, End::Rejected(_)));
    }
}

/// Frames that come with the head, or with the 101, in any cut of the whole.
#[test]
fn frames_behind_a_head_are_read() {
    let hello = naive::frame(true, naive::TEXT, KEY, b"hello");
    let bytes = [REQUEST, &hello].concat();
    for cut in 0..bytes.len() {
        let mut rig = Rig::server(settings(Side::Server));
        rig.feed(&bytes[..cut]);
        rig.feed(&bytes[cut..]);
        assert_eq!(rig.seen, [Seen::Head, Seen::Text(b"hello".to_vec())], "cut at {cut}");
        assert!(rig.sent.starts_with(b"HTTP/1.1 101 "));
        assert!(rig.sent.ends_with(b"\x81\x05hello"));
    }
}

/// Something that may happen to a connection between two turns or in one.
#[derive(Clone, Debug)]
enum Deed {
    Feed(usize),
    Frame(u8, usize, bool),
    Bytes(Vec<u8>),
    Send(usize),
    Ping,
    Close(u16),
    GoAway,
    Publish(usize),
    Room(usize),
    Pass(u8),
    Eof,
    Fault,
    Shed,
}

/// What ends a life is to be rarer than one in the weights.
fn rarely(end: Deed) -> impl Strategy<Value = Deed> {
    prop::bool::weighted(0.2).prop_map(move |really| if really { end.clone() } else { Deed::Ping })
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => (0usize..200).prop_map(Deed::Feed),
        8 => (prop_oneof![Just(0u8), Just(1), Just(2), Just(8), Just(9), Just(10)],
              prop_oneof![0usize..126, 1000usize..6000], prop::bool::weighted(0.8))
            .prop_map(|(opcode, len, fin)| Deed::Frame(opcode, len, fin)),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Deed::Bytes),
        4 => prop_oneof![0usize..200, 900usize..3000].prop_map(Deed::Send),
        1 => Just(Deed::Ping),
        1 => (1000u16..1004).prop_map(Deed::Close),
        1 => Just(Deed::GoAway),
        6 => prop_oneof![0usize..200, 3000usize..20_000].prop_map(Deed::Publish),
        4 => prop_oneof![1usize..50, 100usize..5000, Just(usize::MAX)].prop_map(Deed::Room),
        2 => any::<u8>().prop_map(Deed::Pass),
        1 => rarely(Deed::Eof),
        1 => rarely(Deed::Fault),
        1 => rarely(Deed::Shed),
    ]
}

/// A rig with frames waiting to be read in whatever pieces.
struct Life {
    rig: Rig,
    side: Side,
    coming: Vec<u8>,
    torn: bool,
}

impl Life {
    fn do_it(&mut self, deed: &Deed) {
        let Self { rig, side, coming, torn } = self;
        match deed {
            Deed::Feed(n) => {
                let piece: Vec<u8> = coming.drain(..coming.len().min(*n)).collect();
                rig.turns(&piece, &mut 0);
            }
            Deed::Frame(opcode, len, fin) => {
                let len = if *opcode >= 8 { len % 126 } else { *len };
                let key = key_to(*side);
                let mut payload = vec![b'a'; len];
                if *opcode == naive::CLOSE && len >= 2 {
                    payload[..2].copy_from_slice(&1000_u16.to_be_bytes());
                }
                coming.extend(naive::frame(*fin || *opcode >= 8, *opcode, key, &payload));
            }
            Deed::Bytes(bytes) => coming.extend(bytes),
            Deed::Send(len) => {
                rig.conn.sender(&mut rig.gear).send(Kind::Text, &vec![b's'; *len]);
            }
            Deed::Ping => {
                rig.conn.sender(&mut rig.gear).ping(b"?");
            }
            Deed::Close(code) => rig.conn.sender(&mut rig.gear).close(CloseCode(*code), "why"),
            Deed::GoAway => rig.go_away(),
            Deed::Publish(len) => publish(rig, *side, *len),
            Deed::Room(room) => rig.pay(&mut room.clone()),
            Deed::Pass(ticks) => {
                rig.gear.now.0 += u32::from(*ticks) / 4;
                rig.conn.handle_deadline(&mut rig.gear);
            }
            Deed::Eof => rig.conn.handle_eof(),
            Deed::Fault => rig.conn.handle_fault(End::Socket("reset")),
            Deed::Shed => {
                rig.conn.shed(&mut rig.gear);
                *torn = true;
            }
        }
        rig.flush(&mut if matches!(deed, Deed::Room(_)) { 4000 } else { 0 });
        rig.obey();
    }
}

/// As a hub publishes: straight to the socket when nothing is owed.
fn publish(rig: &mut Rig, side: Side, len: usize) {
    let bytes =
        naive::frame(true, naive::BINARY, KEY.filter(|_| side == Side::Client), &vec![9; len]);
    let shared = Shared::new(Block::new(bytes, rig.gear.blocks()), rig.gear.shared());
    if rig.admit(shared.bytes().len()) == Admission::Taken {
        let written = if rig.conn.owes() { 0 } else { shared.bytes().len() / 2 };
        rig.sent.extend_from_slice(&shared.bytes()[..written]);
        rig.conn.share(&shared, written);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// In any order of calls: no panic; what is sent is whole frames; no data after a close frame,
    /// one close frame at most; the debt is bounded; all memory comes back.
    #[test]
    fn no_order_of_calls_upsets_it(
        server: bool,
        deeds in proptest::collection::vec(deed(), 0..80),
    ) {
        let side = if server { Side::Server } else { Side::Client };
        let rig = Rig::open(settings(side));
        let mut life = Life { rig, side, coming: Vec::new(), torn: false };
        for deed in &deeds {
            life.do_it(deed);
            prop_assert!(life.rig.gear.stage.is_empty(), "the stage is empty between turns");
            let room = life.rig.gear.settings.max_pending + 80 * 6100;
            prop_assert!(life.rig.conn.pending() <= room);
        }
        let Life { mut rig, torn, .. } = life;
        while rig.conn.owes() {
            rig.pay(&mut usize::MAX.clone());
        }
        rig.obey();
        if !torn {
            let frames = naive::parse(&rig.sent);
            let close = frames.iter().position(|f| f.opcode == naive::CLOSE);
            if let Some(close) = close {
                let after = &frames[close + 1..];
                prop_assert!(after.iter().all(|f| f.opcode == naive::PONG), "{:?}", after);
            }
        }
        if !rig.close && !rig.conn.is_open() {
            rig.pass(seconds(6));
            rig.pass(seconds(6));
            prop_assert!(rig.close, "whatever closes is closed in two timeouts at most");
        }
        prop_assert!(rig.shuts <= 1);
        let (_, gear) = rig.end();
        prop_assert_eq!((gear.pool.lent(), gear.shared().get()), (0, 0));
    }
}

/// The first verdict stands, whatever the peer does next.
#[test]
fn the_reason_is_the_first_cause() {
    let gone = |mut rig: Rig| {
        rig.conn.handle_fault(End::Socket("reset"));
        rig.end().0
    };
    let mut violated = Rig::open(settings(Side::Server));
    violated.feed(&[0xff, 0xff]);
    violated.conn.shed(&mut violated.gear);
    assert!(matches!(gone(violated), End::Violation(_)), "the sin came first");

    let mut idle = Rig::open(Settings { idle_timeout: Some(seconds(1)), ..settings(Side::Server) });
    idle.pass(seconds(2));
    idle.feed(&[0xff, 0xff]);
    assert!(matches!(gone(idle), End::IdleTimeout), "it was given up before it sinned");
}

/// A connection that is dropped by the shard before anything came of it.
#[test]
fn nothing_happened_yet() {
    let mut gear = Gear::new(settings(Side::Server), Some(1));
    let conn = Conn::server(&mut gear);
    assert!(matches!(conn.end(&mut gear), End::Shutdown));
}

/// The peer closes, half-closes, and reads on: it is owed the echoes and our close.
#[test]
fn what_is_owed_is_paid_after_the_peers_fin() {
    let mut rig = Rig::open(settings(Side::Server));
    rig.turns(&naive::frame(true, naive::BINARY, KEY, &[7; 5000]), &mut 0);
    rig.turns(&naive::close(KEY, 1000, ""), &mut 0);
    rig.conn.handle_eof();
    rig.obey();
    assert!(!rig.close, "5,000 bytes and a close frame are owed");
    rig.flush(&mut usize::MAX.clone());
    rig.obey();
    assert!(rig.close);
    assert_eq!(rig.sent.len(), 4 + 5000 + 4);
    assert!(matches!(rig.end().0, End::ClosedByPeer(CloseCode::NORMAL)));
}

/// Reads that pause for a reason of ours are no idleness of the peer's.
#[test]
fn a_paused_peer_is_not_idle() {
    let mut rig = Rig::open(Settings { idle_timeout: Some(seconds(10)), ..settings(Side::Server) });
    for _ in 0..5 {
        rig.conn.excuse(true, &rig.gear);
        rig.pass(seconds(8));
        assert!(rig.conn.is_open());
    }
    rig.pass(seconds(11));
    assert!(!rig.conn.is_open());
}
