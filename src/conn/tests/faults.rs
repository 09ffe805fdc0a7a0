//! Faults that real servers had, each by the name of its class. Every test fails without its guard.

use std::time::Duration;

use super::drive::{Answer, REQUEST, Rig, Seen, settings};
use super::naive;
use crate::conn::{Admission, Block, End, HEADROOM, Kind, Settings, Shared, Side};
use crate::wire::close::CloseCode;
use crate::wire::violation::Violation;

const KEY: Option<[u8; 4]> = Some([0xa1, 0x02, 0x53, 0xf4]);

/// What a buffer takes at most for so many bytes received: growing doubles, and the classes of the
/// pool are four apart.
fn fair(received: usize) -> usize {
    (8 * received).max(1024) + HEADROOM
}

fn server() -> Rig {
    Rig::open(settings(Side::Server))
}

/// Tomcat CVE-2020-13935, gorilla CVE-2020-27813: a length that overflows a sum, or never ends.
#[test]
fn length_overflow() {
    let begun = naive::frame(false, naive::BINARY, KEY, b"x");
    for len in [1 << 62, (1 << 63) - 1, u64::from(u32::MAX) + 1, u64::MAX, 1 << 63] {
        for continued in [false, true] {
            let mut rig = server();
            let opcode = if continued { naive::CONTINUATION } else { naive::BINARY };
            if continued {
                rig.feed(&begun);
            }
            rig.feed(&naive::header(true, opcode, KEY, len));
            rig.feed(&[0; 100]);
            assert_eq!(naive::parse(&rig.sent).len(), 1, "one close frame for {len}");
            let (end, gear) = rig.end();
            let expected = if len >> 63 == 1 { CloseCode(1002) } else { CloseCode(1009) };
            assert!(matches!(end, End::Violation(v) if v.close_code() == expected), "{len}");
            assert_eq!(gear.pool.lent(), 0);
        }
    }
}

/// rust-websocket RUSTSEC-2022-0035: memory grows with bytes received, never with bytes promised.
#[test]
fn allocation_on_the_declared_length() {
    for direct in [false, true] {
        let mut rig = server();
        rig.direct = direct;
        let most = rig.gear.settings.max_message;
        rig.feed(&naive::header(true, naive::BINARY, KEY, most as u64));
        rig.feed(&[]);
        assert!(rig.gear.pool.lent() <= fair(0), "a header took {}", rig.gear.pool.lent());
        let mut received = 0;
        while received < most {
            let n = (most - received).min(1500);
            rig.feed(&vec![0; n]);
            rig.feed(&[]);
            received += n;
            let lent = rig.gear.pool.lent();
            assert!(lent <= fair(received), "{lent} lent for {received}");
        }
        assert_eq!(rig.seen.len(), 1);
        assert_eq!(rig.gear.pool.lent(), 0);
    }
}

/// A free buffer may be lent for a promise, since it is paid for already; the room to read into is
/// still bounded by it.
#[test]
fn a_promise_may_use_what_lies_free() {
    let mut rig = server();
    let most = rig.gear.settings.max_message;
    let free = rig.gear.pool.take(most, 0);
    let size = free.capacity();
    rig.gear.pool.give(free);
    let before = rig.gear.pool.kept();
    rig.feed(&naive::header(true, naive::BINARY, KEY, most as u64));
    assert_eq!(rig.gear.pool.kept() + rig.gear.pool.lent(), before, "nothing was allocated");
    assert!(rig.conn.direct(&mut rig.gear).unwrap().len() <= size);
}

/// ws CVE-2026-48779, undici CVE-2026-12151: every fragment costs, an empty one too.
#[test]
fn fragment_flood() {
    for opcode in [naive::TEXT, naive::BINARY] {
        let mut rig = server();
        let frames = rig.gear.settings.max_message / rig.gear.settings.frame_cost;
        rig.feed(&naive::frame(false, opcode, KEY, b""));
        let empty = naive::frame(false, naive::CONTINUATION, KEY, b"");
        for _ in 1..frames {
            rig.feed(&empty);
            assert!(rig.gear.pool.lent() <= fair(0));
        }
        assert!(rig.conn.is_open(), "{frames} fragments are within the budget");
        rig.feed(&empty);
        assert!(naive::parse(&rig.sent)[0].is_close(1009));
    }
}

/// One byte to a fragment is charged like 64: the budget is of bytes held, not of bytes sent.
#[test]
fn fragments_of_a_byte_are_charged_in_full() {
    let mut rig = server();
    rig.feed(&naive::frame(false, naive::BINARY, KEY, b"1"));
    let one = naive::frame(false, naive::CONTINUATION, KEY, b"1");
    let taken = (1..10_000).find(|_| {
        rig.feed(&one);
        !rig.conn.is_open()
    });
    assert_eq!(taken, Some(rig.gear.settings.max_message / 64));
}

/// A message of exactly the limit is taken, in one frame and in two; a byte more is not.
#[test]
fn the_limit_is_exact() {
    let most = settings(Side::Server).max_message;
    let whole = naive::frame(true, naive::BINARY, KEY, &vec![1; most]);
    let halves = |more: usize| {
        let first = naive::frame(false, naive::BINARY, KEY, &vec![1; most / 2]);
        let second = naive::frame(true, naive::CONTINUATION, KEY, &vec![1; most / 2 + more]);
        [first, second].concat()
    };
    let over = naive::frame(true, naive::BINARY, KEY, &vec![1; most + 1]);
    for (bytes, taken) in [(whole, true), (halves(0), true), (halves(1), false), (over, false)] {
        let mut rig = server();
        rig.feed(&bytes);
        assert_eq!((rig.seen.len() == 1, rig.conn.is_open()), (taken, taken));
    }
}

/// A frame that is a message by itself costs its length, whether it came whole or in pieces, and
/// not a byte less.
#[test]
fn a_single_frame_has_no_overhead() {
    for (payload, step) in
        [("ten bytes.", 1), ("ten bytes.", 100), ("ten bytes..", 1), ("ten bytes..", 100)]
    {
        let tight = Settings { max_message: 10, ..settings(Side::Server) };
        let mut rig = Rig::open(tight);
        for piece in naive::frame(true, naive::BINARY, KEY, payload.as_bytes()).chunks(step) {
            rig.feed(piece);
        }
        let taken = payload.len() == 10;
        assert_eq!(rig.seen.len() == 1, taken, "{payload} in steps of {step}");
        assert_eq!(rig.conn.is_open(), taken);
    }
}

/// h2 RUSTSEC-2024-0003, Undertow CVE-2021-3690: pings of a peer that does not read cost no memory.
#[test]
fn control_flood() {
    let mut rig = server();
    let ping =
        |n: u32| naive::frame(true, naive::PING, KEY, &[&n.to_be_bytes()[..], &[0; 121]].concat());
    let mut most = 0;
    for n in 0..1000 {
        rig.turns(&ping(n), &mut 0);
        most = most.max(rig.conn.pending());
    }
    // The first one had no queue before it; then the bound.
    assert_eq!(most, 17 * 127);
    assert!(rig.gear.pool.lent() <= fair(most));
    rig.pay(&mut usize::MAX.clone());
    let numbers: Vec<u32> = naive::parse(&rig.sent)
        .iter()
        .map(|pong| u32::from_be_bytes(pong.payload[..4].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (0..17).chain([999]).collect::<Vec<_>>(), "in order, then the newest");
    assert_eq!(rig.gear.pool.lent(), 0);
}

/// A peer that reads, but always has data due, gets its pongs all the same.
#[test]
fn pongs_go_on_while_data_is_owed() {
    let mut rig = server();
    rig.turns(&naive::frame(true, naive::BINARY, KEY, &[7; 2000]), &mut 0);
    for n in 0..100_u8 {
        rig.turns(&naive::frame(true, naive::PING, KEY, &[n]), &mut 0);
        rig.turns(&naive::frame(true, naive::BINARY, KEY, &[n; 2000]), &mut 0);
        rig.pay(&mut 2000);
        assert!(rig.conn.owes());
    }
    let answered = |n: u8| rig.sent.windows(3).any(|w| w == [0x8a, 1, n]);
    let missed = (0..90).filter(|n| !answered(*n)).count();
    assert_eq!(missed, 0, "pings unanswered by a peer that reads as fast as it asks");
}

/// No pong follows the close frame that answers the peer's: the peer has stopped reading frames.
#[test]
fn a_pong_held_back_does_not_follow_the_close_frame() {
    let mut rig = server();
    for n in 0..40_u8 {
        rig.turns(&naive::frame(true, naive::PING, KEY, &[n]), &mut 0);
    }
    rig.turns(&naive::close(KEY, 1000, ""), &mut 0);
    rig.pay(&mut usize::MAX.clone());
    rig.obey();
    let frames = naive::parse(&rig.sent);
    assert!(frames.last().unwrap().is_close(1000), "{frames:?}");
    assert_eq!(rig.shuts, 1);
}

/// Tomcat CVE-2022-25762: closing from both ends, twice, in the middle of everything: one close
/// frame, one reason, every buffer back once.
#[test]
fn close_races() {
    let mut rig = server();
    rig.turns(&naive::frame(true, naive::BINARY, KEY, &vec![1; 30_000]), &mut 100);
    rig.feed(&naive::frame(false, naive::TEXT, KEY, b"half"));
    rig.conn.sender(&mut rig.gear).close(CloseCode::NORMAL, "first");
    rig.conn.sender(&mut rig.gear).close(CloseCode::POLICY, "second");
    assert!(!rig.conn.sender(&mut rig.gear).send(Kind::Text, b"too late"));
    rig.go_away();
    rig.flush(&mut 10);
    rig.turns(&naive::close(KEY, 3000, "crossing"), &mut 10);
    rig.turns(&naive::close(KEY, 3001, "again"), &mut 10);
    rig.turns(&[0xff; 500], &mut usize::MAX.clone());
    rig.conn.handle_eof();
    rig.conn.handle_fault(End::Socket("reset"));
    rig.obey();
    assert!(rig.close);
    let frames = naive::parse(&rig.sent);
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert!(frames[1].is_close(1000));
    let (end, gear) = rig.end();
    assert!(matches!(end, End::ClosedByUs(CloseCode::NORMAL)), "{end:?}");
    assert_eq!(gear.pool.lent(), 0);
}

/// actix-web#365, curl CVE-2025-10148: who must mask does, with a fresh key for each frame; who
/// must not, does not; and a frame of the wrong kind ends the connection.
#[test]
fn masks() {
    let mut keys = Vec::new();
    let mut client = Rig::open(settings(Side::Client));
    for _ in 0..200 {
        assert!(client.conn.sender(&mut client.gear).send(Kind::Binary, &[0; 8]));
        client.flush(&mut usize::MAX.clone());
        keys.push(client.sent[2..6].to_vec());
        assert!(naive::parse(&client.sent)[0].masked);
        client.sent.clear();
    }
    keys.sort();
    keys.dedup();
    assert!(keys.len() >= 199, "{} keys in 200 frames", keys.len());
    let mut other = Rig::open(settings(Side::Client));
    other.gear = crate::conn::Gear::new(settings(Side::Client), None);
    other.conn.sender(&mut other.gear).send(Kind::Binary, &[0; 8]);
    other.flush(&mut usize::MAX.clone());
    assert!(!keys.contains(&other.sent[2..6].to_vec()), "unseeded keys are the system's");
    let mut rig = server();
    rig.feed(&naive::frame(true, naive::BINARY, KEY, &[3; 3000]));
    assert!(!naive::parse(&rig.sent)[0].masked);
    for (side, key) in [(Side::Server, None), (Side::Client, KEY)] {
        let mut rig = Rig::open(settings(side));
        rig.feed(&naive::frame(true, naive::BINARY, key, b"x"));
        assert!(naive::parse(&rig.sent)[0].is_close(1002));
        assert_eq!(rig.seen, []);
    }
}

/// tetsuo-pulse#3473, freeunit#378: text fails in the very piece that cannot become UTF-8.
#[test]
fn utf8_fails_fast() {
    let texts: [&[u8]; 8] = [
        b"plain \xff end",
        "good \u{20ac} then \u{1f600}".as_bytes(),
        b"surrogate \xed\xa0\x80",
        b"overlong \xc0\xaf",
        b"too high \xf4\x90\x80\x80",
        b"lone \x80",
        b"cut \xe2\x82(",
        b"open end \xf0\x9f\x98",
    ];
    for text in texts {
        // The first prefix that no continuation can save.
        let fatal = (0..=text.len())
            .find(|&n| std::str::from_utf8(&text[..n]).is_err_and(|e| e.error_len().is_some()));
        for fragment in [1, 2, 3, text.len()] {
            let mut rig = server();
            let mut fed = 0;
            let pieces = text.chunks(fragment).count();
            for (n, piece) in text.chunks(fragment).enumerate() {
                let opcode = if n == 0 { naive::TEXT } else { naive::CONTINUATION };
                let frame = naive::frame(n + 1 == pieces, opcode, KEY, piece);
                let (header, payload) = frame.split_at(6);
                rig.feed(header);
                for byte in payload {
                    assert!(rig.conn.is_open(), "too early: {fed} of {}", text.escape_ascii());
                    rig.feed(&[*byte]);
                    fed += 1;
                    if Some(fed) == fatal {
                        assert!(!rig.conn.is_open(), "too late: {fed} of {}", text.escape_ascii());
                        break;
                    }
                }
                if Some(fed) == fatal {
                    break;
                }
            }
            let good = std::str::from_utf8(text).is_ok();
            assert_eq!(rig.conn.is_open(), good, "{}", text.escape_ascii());
            if !good {
                assert!(naive::parse(&rig.sent)[0].is_close(1007));
            }
        }
    }
}

/// tokio-tungstenite#347: the handshake has one absolute deadline, however it trickles.
#[test]
fn slow_handshake() {
    let mut rig = Rig::server(settings(Side::Server));
    let mut seconds = 0;
    for byte in &REQUEST[..30] {
        rig.feed(&[*byte]);
        rig.pass(Duration::from_secs(1));
        seconds += 1;
        if !rig.conn.is_opening() {
            break;
        }
    }
    assert!((10..=11).contains(&seconds), "refused after {seconds} s");
    assert!(rig.sent.starts_with(b"HTTP/1.1 408 "), "{}", rig.sent.escape_ascii());
    let said = rig.sent.len();
    rig.feed(&REQUEST[30..]);
    assert_eq!((rig.sent.len(), rig.seen.len()), (said, 0), "what follows is not interpreted");
    assert_eq!((rig.shuts, rig.close), (1, false));
    rig.pass(Duration::from_secs(6));
    assert!(rig.close, "a peer that stays is left");
    assert!(matches!(rig.end().0, End::HandshakeTimeout));
}

/// A head without an end is refused at its bound and takes no more than that.
#[test]
fn endless_head() {
    let mut rig = Rig::server(settings(Side::Server));
    let mut fed = 0;
    while rig.conn.is_opening() {
        rig.feed(&[b'x'; 100]);
        fed += 100;
    }
    assert_eq!(fed, 8200, "bytes taken of a head that may have 8192");
    assert!(rig.sent.starts_with(b"HTTP/1.1 431 "), "{}", rig.sent.escape_ascii());
    assert!(matches!(rig.end().0, End::Refused("head_too_large")));
}

/// Pingora CVE-2026-2833: bytes behind a refused head are not a second request.
#[test]
fn nothing_behind_a_refused_head_is_read() {
    let refused = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for step in [1, 1000] {
        let mut rig = Rig::server(settings(Side::Server));
        for piece in [&refused[..], REQUEST].concat().chunks(step) {
            rig.feed(piece);
        }
        assert!(rig.sent.starts_with(b"HTTP/1.1 426 "));
        assert_eq!(rig.sent.windows(5).filter(|w| w == b"HTTP/").count(), 1);
        assert_eq!((rig.seen.as_slice(), rig.shuts), (&[Seen::Head][..], 1));
    }
}

/// ws-rs RUSTSEC-2020-0043: a member that does not read is closed with 1008 at its water mark, by
/// name, and whatever it had begun to receive stays whole.
#[test]
fn slow_readers() {
    let mut rig = server();
    rig.answer = Answer::Listen;
    let block = |n: u8| naive::frame(true, naive::BINARY, None, &[n; 5000]);
    let mark = rig.gear.settings.max_pending;
    let mut taken = 0;
    for n in 0.. {
        let shared = Shared::new(Block::new(block(n), rig.gear.blocks()), rig.gear.shared());
        match rig.admit(shared.bytes().len()) {
            Admission::Taken => {
                // The socket takes a part of the first and nothing after it.
                let written = if n == 0 { 1000 } else { 0 };
                rig.sent.extend_from_slice(&shared.bytes()[..written]);
                rig.conn.share(&shared, written);
                taken += 1;
            }
            other => {
                assert_eq!(other, Admission::Slow);
                break;
            }
        }
        assert!(rig.conn.pending() <= mark);
        assert!(rig.gear.buffered() + rig.gear.shared().get() <= mark + 5004);
    }
    assert_eq!(taken, (mark + 1000) / 5004, "not before the mark");
    rig.flush(&mut 0);
    assert!(rig.conn.pending() < 4100, "what had not begun is dropped");
    assert_eq!(rig.admit(10), Admission::Closed);
    rig.pay(&mut usize::MAX.clone());
    let frames = naive::parse(&rig.sent);
    assert_eq!(frames.len(), 2);
    assert!(frames[1].is_close(1008), "{frames:?}");
    rig.conn.handle_fault(End::Socket("reset"));
    let (end, gear) = rig.end();
    assert!(matches!(end, End::Slow), "named by our reason, not by how it left: {end:?}");
    assert_eq!((gear.pool.lent(), gear.shared().get()), (0, 0));
}

/// Own answers cut anywhere by the socket: dropping what is owed never leaves half a frame.
#[test]
fn a_slow_member_is_cut_between_frames() {
    let frame = |opcode, payload: &[u8]| naive::frame(true, opcode, KEY, payload);
    for first in [100, 900, 1010, 1023, 1030, 5000] {
        for second in [40, 500, 1000, 3000] {
            for (at_once, later) in
                [(0, 0), (1, 0), (0, 50), (99, 0), (0, 104), (90, 910), (0, 1500)]
            {
                let mut rig = server();
                rig.turns(&frame(naive::BINARY, &vec![1; first]), &mut at_once.clone());
                rig.turns(&frame(naive::BINARY, &vec![2; second]), &mut 0);
                rig.turns(&frame(naive::PING, b"ping"), &mut 0);
                rig.pay(&mut later.clone());
                let mark = rig.gear.settings.max_pending;
                if rig.admit(mark) == Admission::Slow {
                    rig.flush(&mut 0);
                    rig.pay(&mut usize::MAX.clone());
                    let frames = naive::parse(&rig.sent);
                    let last = frames.last().unwrap();
                    assert!(last.is_close(1008), "{first} {second} {at_once} {later}: {frames:?}");
                    let mut data = frames.iter().filter(|f| f.opcode == naive::BINARY);
                    assert!(data.all(|f| [first, second].contains(&f.payload.len())));
                }
            }
        }
    }
}

/// Many tiny frames weigh more than their bytes: the queue's own room is charged too.
#[test]
fn tiny_shared_frames_are_charged_for_their_place() {
    let mut rig = server();
    let tiny = Shared::new(Block::new(&[0x82, 0][..], rig.gear.blocks()), rig.gear.shared());
    let mut queued = 0;
    while rig.admit(2) == Admission::Taken {
        rig.conn.share(&tiny, 0);
        queued += 1;
    }
    let mark = rig.gear.settings.max_pending;
    assert!(queued * 32 <= mark, "{queued} places of a queue under a mark of {mark} bytes");
}

/// A violation counts once: what follows it in the same read, or later, is not looked at.
#[test]
fn a_bad_length_ends_the_connection_once() {
    let mut rig = server();
    let bad = [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    rig.feed(&bad.repeat(1000));
    rig.feed(&bad.repeat(1000));
    assert_eq!(naive::parse(&rig.sent).len(), 1);
    assert!(matches!(rig.end().0, End::Violation(Violation::LengthTopBit)));
}

/// 100,000 idle connections are 100,000 of these.
#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<crate::conn::Conn>() <= 56, "{}", size_of::<crate::conn::Conn>());
    let rig = server();
    assert_eq!(rig.gear.pool.lent(), 0);
}
