//! The faults that real WebSocket servers had, each tried on ours over real sockets. Each test
//! stands for a class of them and fails without its guard; what they were is in the comments.
//!
//! Not here: what this server does not have (compression, TLS, tokens), and the client's half.
#![allow(clippy::unwrap_used)]

#[path = "hostile/peer.rs"]
mod peer;
#[path = "hostile/program.rs"]
mod program;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use peer::{
    BINARY, CLOSE, PATIENCE, PING, PONG, Peer, TEXT, UPGRADE, ended, eventually, frame,
    nothing_is_left, serve, sum,
};
use plimsoll::config::Threads;
use plimsoll::limits;
use plimsoll::wire::handshake::parse_request;
use program::Program;
use rustix::time::{ClockId, clock_gettime};

// Length overflow or loop: Tomcat CVE-2020-13935, gorilla CVE-2020-27813, nats-server
// CVE-2026-27889, swift-nio CVE-2026-43678, baresip/re#1584.

#[test]
fn a_bad_length_ends_its_connection_once_and_no_other() {
    let server = serve(|_| {});
    let mut bystander = Peer::open(server.addr(), "/");
    let long = |len: u64| [&[BINARY, 0xff][..], &len.to_be_bytes(), &[0; 4], b"rest"].concat();
    let cases = [
        (long(1 << 63), 1002),
        (long(u64::MAX), 1002),
        (long((1 << 63) - 1), 1009),
        (long(1 << 32), 1009),
        (long(limits::MAX_MESSAGE as u64 + 1), 1009),
        (long(65_535), 1002),
        ([&[BINARY, 0xfe, 0, 125, 0, 0, 0, 0][..], &[0; 125]].concat(), 1002),
        ([&[PING, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat(), 1002),
    ];
    for (i, (bytes, code)) in (1..).zip(cases) {
        let mut peer = Peer::open(server.addr(), "/");
        // What follows would be another fault, were it interpreted.
        peer.send([&bytes[..], &bytes].concat());
        assert_eq!(peer.closed().0, code, "{}", bytes[..10].escape_ascii());
        drop(peer);
        eventually("one end for each", || ended(&server, "violation") == i);
        bystander.echoes(b"still here");
    }
    drop(bystander);
    nothing_is_left(&server);
}

// Allocation on the declared length: rust-websocket RUSTSEC-2022-0035, tungstenite.

#[test]
fn a_declared_length_reserves_nothing() {
    let server = serve(|_| {});
    let promise = frame(BINARY, &vec![0; limits::MAX_MESSAGE]);
    let peers: Vec<Peer> = (0..64)
        .map(|_| {
            let mut peer = Peer::open(server.addr(), "/");
            peer.send(&promise[..24]);
            peer
        })
        .collect();
    let heads = 64 * (UPGRADE.len() as u64 + 18);
    eventually("every promise read", || sum(&server, |c| c.bytes_in.get()) >= heads + 64 * 24);
    // The gauge is set at the end of the turn that read the last.
    let turns = sum(&server, |c| c.turns.get());
    Peer::open(server.addr(), "/").echoes(b"a turn later");
    assert!(sum(&server, |c| c.turns.get()) > turns);
    let held = sum(&server, |c| c.buffered_bytes.get());
    assert!((64 * 10..64 * 2048).contains(&held), "{held} bytes held for 640 received");
    drop(peers);
    nothing_is_left(&server);
}

// Inflation bombs, bad window bits: undici CVE-2026-1526, CVE-2026-2229, Centrifugo#1162, nats
// GHSA-qrvq-68c2-7grw. Nothing is inflated here, so nothing may be agreed on.

#[test]
fn no_extension_is_agreed_on_and_none_is_in_use() {
    let server = serve(|_| {});
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=8, x-webkit-deflate-frame",
    ] {
        let mut peer = Peer::connect(server.addr());
        let fields = format!("{UPGRADE}Sec-WebSocket-Extensions: {offer}\r\n");
        peer.send(format!("GET / HTTP/1.1\r\n{fields}\r\n"));
        let head = peer.head().to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && !head.contains("extensions"), "{head}");
        peer.send_frame(BINARY | 0x40, b"\xaa\x00");
        assert_eq!(
            peer.closed(),
            (1002, "reserved bits set without a negotiated extension".into())
        );
    }
    let mut peer = Peer::connect(server.addr());
    let bad = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=";
    peer.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{bad}\r\n\r\n"));
    assert!(peer.head().starts_with("HTTP/1.1 400 "));
}

// Quadratic or unbounded heads: tungstenite CVE-2023-43669, ws CVE-2021-32640, CVE-2024-37890.

#[test]
fn a_head_has_its_bound_in_bytes_and_fields_however_it_comes() {
    let server = serve(|_| {});
    let start = format!("GET / HTTP/1.1\r\n{UPGRADE}X: ");
    let too_long = format!("{start}{}", "x".repeat(limits::MAX_HEAD));
    let endless = "x".repeat(limits::MAX_HEAD + 1);
    let too_many =
        format!("GET / HTTP/1.1\r\n{UPGRADE}{}\r\n", "X: y\r\n".repeat(limits::MAX_HEADERS));
    for head in [&too_long, &endless, &too_many] {
        for step in [1, 1000, usize::MAX] {
            let mut peer = Peer::connect(server.addr());
            for piece in head.as_bytes().chunks(step) {
                peer.send(piece);
            }
            let answer = peer.head();
            assert!(answer.starts_with("HTTP/1.1 431 "), "in steps of {step}: {answer}");
        }
    }
    let fits = limits::MAX_HEAD - start.len() - 4;
    let mut peer = Peer::connect(server.addr());
    for byte in format!("{start}{}\r\n\r\n", "x".repeat(fits)).as_bytes().chunks(1) {
        peer.send(byte);
    }
    assert!(peer.head().starts_with("HTTP/1.1 101 "), "a head of exactly the bound");
}

/// Eight times the bytes may cost eight times the work, and not sixty-four times.
#[test]
fn a_head_is_judged_in_linear_time() {
    // Of this thread alone: other tests run beside it.
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let time = |head: &[u8]| {
        let once = || {
            let start = now();
            for _ in 0..4 {
                std::hint::black_box(parse_request(std::hint::black_box(head)).is_ok());
            }
            now().saturating_sub(start)
        };
        (0..20).map(|_| once()).min().unwrap_or_default()
    };
    for (name, unit) in [
        ("Sec-WebSocket-Protocol", "a,"),
        ("Sec-WebSocket-Extensions", "a;b,"),
        ("Sec-WebSocket-Extensions", "a; "),
        ("Sec-WebSocket-Extensions", "a;b=\"c"),
        ("Connection", ", "),
        ("Connection", " \t"),
        ("X", "\t"),
    ] {
        let head = |n: usize| {
            let value = unit.repeat(n / unit.len());
            format!("GET / HTTP/1.1\r\n{UPGRADE}{name}: {value}\r\n\r\n").into_bytes()
        };
        let (short, long) = (time(&head(8 << 10)), time(&head(64 << 10)));
        assert!(long < short * 24, "{name}: {unit:?}: 8 KiB in {short:?}, 64 KiB in {long:?}");
    }
}

// Fragment floods: ws CVE-2026-48779, CVE-2026-62389, undici CVE-2026-12151.

#[test]
fn empty_fragments_cost_their_price() {
    let server = serve(|config| config.max_message = 64 * 1024);
    // A message of 1,024 frames is at its limit of 64 KiB, whatever is in them.
    for (fragments, fits) in [(1023, true), (1024, false)] {
        let mut peer = Peer::open(server.addr(), "/");
        let mut bytes = frame(TEXT & 0x7f, b"");
        (1..fragments).for_each(|_| bytes.extend(frame(0x00, b"")));
        bytes.extend(frame(0x80, b"end"));
        peer.send(&bytes);
        if fits {
            assert_eq!(peer.frame(), (TEXT, b"end".to_vec()));
        } else {
            assert_eq!(peer.closed().0, 1009);
        }
    }
    // Two bytes in each: such a run is joined where it lies.
    for (fragments, fits) in [(1024, true), (1025, false)] {
        let mut peer = Peer::open(server.addr(), "/");
        let mut bytes = frame(TEXT & 0x7f, b"ab");
        (2..fragments).for_each(|_| bytes.extend(frame(0x00, b"ab")));
        bytes.extend(frame(0x80, b"ab"));
        peer.send(&bytes);
        if fits {
            assert_eq!(peer.frame(), (TEXT, b"ab".repeat(fragments)));
        } else {
            assert_eq!(peer.closed().0, 1009);
        }
    }
    // One that never ends holds no more than one that does.
    let mut peer = Peer::open(server.addr(), "/");
    let flood = frame(0x00, b"").repeat(50_000);
    peer.send(frame(BINARY & 0x7f, b""));
    peer.send(flood);
    assert_eq!(peer.closed().0, 1009);
    drop(peer);
    nothing_is_left(&server);
}

// Control floods: h2 RUSTSEC-2024-0003, Undertow CVE-2021-3690, curl#21911.

#[test]
fn pings_of_a_peer_that_does_not_read_cost_no_memory() {
    let server = serve(|_| {});
    let mut peer = Peer::connect_narrow(server.addr()).upgraded("/");
    let mut held = 0;
    let (mut last, mut sent) = (Vec::new(), 0u32);
    // 32 MiB: several times what the sockets' buffers take.
    for _ in 0..256 {
        let mut pings = Vec::new();
        for _ in 0..1000 {
            last = format!("{sent:0>125}").into_bytes();
            pings.extend(frame(PING, &last));
            sent += 1;
        }
        peer.send(pings);
        held = held.max(sum(&server, |c| c.buffered_bytes.get()));
    }
    eventually("every ping read", || sum(&server, |c| c.pings_in.get()) == u64::from(sent));
    held = held.max(sum(&server, |c| c.buffered_bytes.get()));
    // What one turn reads may be owed whole; after it 16 pongs and the newest.
    let bound = 4 * limits::READ_BUFFER as u64;
    assert!(held < bound, "{held} bytes held, {bound} expected at most");
    Peer::open(server.addr(), "/").echoes(b"others are served");

    // Now it reads: some pongs, in the order of the pings, the newest one last.
    let (mut pongs, mut newest) = (0, Vec::new());
    while newest != last {
        let (first, payload) = peer.frame();
        assert_eq!(first, PONG);
        assert!(payload > newest, "pongs keep their order");
        newest = payload;
        pongs += 1;
    }
    assert!(pongs < sent, "{pongs} pongs: nothing was held back, and nothing was tested");
    peer.echoes(b"and it goes on");
}

// Close races: Tomcat CVE-2022-25762, libwebsockets.

#[test]
fn a_place_taken_again_hears_nothing_of_its_last_tenant() {
    let server = serve(|_| {});
    let addr = server.addr();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            scope.spawn(move || {
                for round in 0..60u32 {
                    let mut leaving = Peer::open(addr, "/");
                    let half = frame(BINARY, &[7; 3000]);
                    let pieces = [frame(BINARY & 0x7f, b"in "), frame(0x80, b"pieces")].concat();
                    match round % 4 {
                        0 => leaving.send([&pieces[..], &half[..999]].concat()),
                        1 => leaving.send([frame(CLOSE, b"\x03\xe8"), half].concat()),
                        2 => leaving.send([half.clone(), half].concat()),
                        _ => leaving.send(&half[..100]),
                    }
                    if round % 3 == 0 {
                        leaving.reset();
                    } else {
                        drop(leaving);
                    }
                    let message = [thread.to_be_bytes(), round.to_be_bytes()].concat();
                    Peer::open(addr, "/").echoes(&message);
                }
            });
        }
    });
    // A buffer given back twice would make this wrap, one never given back would leave it up.
    nothing_is_left(&server);
    assert_eq!(sum(&server, |c| c.opened.get()), 2 * 4 * 60);
}

#[test]
fn after_a_close_frame_nothing_is_read_and_the_server_ends_first() {
    let server = serve(|_| {});
    let mut peer = Peer::open(server.addr(), "/");
    let after = [frame(TEXT, b"data"), frame(PING, b"p"), frame(CLOSE, b"\x03\xe8")].concat();
    peer.send([frame(CLOSE, b"\x0f\xa0why"), after].concat());
    assert_eq!(peer.closed(), (4000, String::new()));
    drop(peer);
    eventually("the peer's close", || ended(&server, "closed_by_peer") == 1);
    nothing_is_left(&server);
}

// Masks: actix-web#365, curl CVE-2025-10148, aiohttp#12677.

#[test]
fn an_unmasked_frame_fails_its_connection() {
    let server = serve(|_| {});
    for bytes in [&b"\x81\x02hi"[..], b"\x89\x00", b"\x88\x02\x03\xe8"] {
        let mut peer = Peer::open(server.addr(), "/");
        peer.send(bytes);
        assert_eq!(peer.closed(), (1002, "client frame not masked".into()));
    }
}

/// A published message lies in one buffer for all: what is done for one member must not show to
/// the next.
#[test]
fn a_shared_buffer_is_the_same_for_everyone() {
    let server = serve(|config| config.threads = Threads::Count(2));
    let mut members: Vec<Peer> =
        (0..8).map(|_| Peer::open(server.addr(), "/broadcast/x")).collect();
    for len in [1, 125, 126, 1000, 65_535, 65_536, 200_000] {
        let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        members[0].send_frame(BINARY, &message);
        for member in &mut members {
            let (first, payload) = member.frame();
            assert!(first == BINARY && payload == message, "{len} bytes");
        }
    }
}

// UTF-8: tetsuo-pulse#3473, freeunit#378.

#[test]
fn bad_text_fails_at_its_first_bad_byte() {
    let server = serve(|_| {});
    let split = |pieces: &[&[u8]]| {
        let mut bytes = frame(0x01, pieces[0]);
        pieces[1..].iter().for_each(|piece| bytes.extend(frame(0x00, piece)));
        bytes
    };
    // In none of these has the message ended when it is refused.
    for bytes in [
        split(&[b"ok \xf0\x9f", b"\x28"]),
        split(&[b"\xe2\x82", b"", b"\xc3"]),
        split(&[b"\xed", b"\xa0"]),
        split(&[b"\xf4", b"\x90"]),
        split(&[b"\xc0"]),
        frame(0x01, &[b"\xff".repeat(5), b"x".repeat(60_000)].concat())[..20].to_vec(),
    ] {
        let mut peer = Peer::open(server.addr(), "/");
        peer.send(&bytes);
        assert_eq!(peer.closed(), (1007, "text is not valid UTF-8".into()));
    }
    let mut peer = Peer::open(server.addr(), "/");
    peer.send([split(&[b"\xf0", b"\x9f", b"\x98"]), frame(0x80, b"\x80")].concat());
    assert_eq!(peer.frame(), (TEXT, "😀".into()));
    peer.send([split(&[b"\xf0", b"\x9f", b"\x98"]), frame(0x80, b"")].concat());
    assert_eq!(peer.closed().0, 1007, "an end within a character");
}

// Cross-site hijacking: GHSA-p773-8mf4-rjm5, webpack-dev-server CVE-2025-30360.

#[test]
fn a_page_from_elsewhere_is_refused() {
    let server = serve(|config| config.allow_origin = vec!["https://app.example".into()]);
    let ask = |origin: &str| {
        let mut peer = Peer::connect(server.addr());
        peer.send(format!("GET / HTTP/1.1\r\n{UPGRADE}{origin}\r\n"));
        peer.head()[9..12].to_owned()
    };
    assert_eq!(ask(""), "101", "not a browser");
    assert_eq!(ask("Origin: https://app.example\r\n"), "101");
    let own = format!("http://{}", server.addr());
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example.evil.example",
        "https://app.example:8443",
        "http://127.0.0.1",
        "http://10.0.0.1",
        "http://[::1]",
        &own,
        "null",
        "",
    ] {
        assert_eq!(ask(&format!("Origin: {origin}\r\n")), "403", "{origin}");
    }
    let two = "Origin: https://app.example\r\nOrigin: https://evil.example\r\n";
    assert_eq!(ask(two), "400");
}

// Upgrade smuggling: Pingora CVE-2026-2833, Kemal#767.

#[test]
fn nothing_after_a_refused_head_is_interpreted() {
    let server = serve(|_| {});
    let good = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n");
    let body = format!("GET / HTTP/1.1\r\n{UPGRADE}Content-Length: {}\r\n\r\n", good.len());
    let chunked = format!("GET / HTTP/1.1\r\n{UPGRADE}Transfer-Encoding: chunked\r\n\r\n");
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    let missing = format!("GET /nowhere HTTP/1.1\r\n{UPGRADE}\r\n");
    let bare = good.replace("\r\n", "\n");
    let cases = [(body, 400), (chunked, 400), (plain, 426), (missing, 404), (bare, 400)];
    for (refused, status) in cases {
        let mut peer = Peer::connect(server.addr());
        // Together, and once more when the answer is there.
        peer.send([refused.as_bytes(), good.as_bytes(), &frame(TEXT, b"smuggled")].concat());
        let mut answer = peer.head();
        peer.send([good.as_bytes(), &frame(TEXT, b"smuggled")].concat());
        answer.push_str(&String::from_utf8(peer.all()).unwrap());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.lines().filter(|line| line.starts_with("HTTP/")).count(), 1);
        assert!(!answer.contains("smuggled") && answer.contains("close\r\n"), "{answer}");
    }
    assert_eq!(sum(&server, |c| c.opened.get()), 0);
    nothing_is_left(&server);
}

#[test]
fn no_byte_of_the_tunnel_comes_before_the_101() {
    let server = serve(|_| {});
    let mut peer = Peer::connect(server.addr());
    let early = [format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes(), frame(TEXT, b"early")];
    for piece in early.concat().chunks(50) {
        peer.send(piece);
    }
    assert!(peer.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(peer.frame(), (TEXT, b"early".to_vec()));
}

// Slow handshakes: tokio-tungstenite#347.

#[test]
fn a_trickle_gains_no_time() {
    let server = serve(|config| config.handshake_timeout = Duration::from_millis(750));
    let mut silent = Peer::connect(server.addr());
    let mut trickling = Peer::connect(server.addr());
    let start = Instant::now();
    let head = format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n");
    // A byte each 20 ms would need 4 s for the whole head; no byte is late by itself.
    for byte in head.as_bytes().chunks(1) {
        if trickling.stream.write_all(byte).is_err() || start.elapsed() > Duration::from_secs(2) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for peer in [&mut silent, &mut trickling] {
        let answer = String::from_utf8(peer.all()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    drop((silent, trickling));
    eventually("both ends", || ended(&server, "handshake_timeout") == 2);
    nothing_is_left(&server);
}

/// Whoever has been refused or said goodbye to, and does not leave, is left.
#[test]
fn a_peer_that_does_not_leave_is_cut() {
    let server = serve(|config| config.close_timeout = Duration::from_millis(500));
    let mut refused = Peer::connect(server.addr());
    refused.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut closed = Peer::open(server.addr(), "/");
    closed.send_frame(CLOSE, b"\x03\xe8");
    let mut violent = Peer::open(server.addr(), "/");
    violent.send(b"\xff\xff");
    // They go on sending, which moves no deadline.
    let start = Instant::now();
    while sum(&server, |c| c.connections.get()) > 0 {
        assert!(start.elapsed() < PATIENCE, "they are still there");
        for peer in [&mut refused, &mut closed, &mut violent] {
            let _ = peer.stream.write_all(&[0; 512]);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    nothing_is_left(&server);
}

// Slow readers: ws-rs RUSTSEC-2020-0043, Spring#35519, uWebSockets#1337, #1876.

#[test]
fn an_echo_peer_that_does_not_read_is_not_read_from() {
    let server = serve(|_| {});
    let mut peer = Peer::connect_narrow(server.addr()).upgraded("/");
    let message = frame(BINARY, &vec![b'm'; 16_000]);
    peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // The sockets' buffers in between take some megabytes; then nobody takes any more.
    let (mut written, mut blocked) = (0, false);
    while !blocked && written < 256 << 20 {
        let at = written % message.len();
        match peer.stream.write(&message[at..]) {
            Ok(n) => written += n,
            Err(e) => {
                assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{e}");
                blocked = true;
            }
        }
    }
    assert!(blocked, "256 MiB were read from a peer that reads nothing");
    let held = sum(&server, |c| c.buffered_bytes.get());
    // The mark, and what one read may add to it, in buffers of up to four times the size.
    let bound = 4 * (limits::MAX_PENDING + limits::READ_BUFFER) as u64;
    assert!(held > 0 && held < bound, "{held} bytes held, {bound} expected at most");
    Peer::open(server.addr(), "/").echoes(b"others are served");
    assert!(sum(&server, |c| c.pauses.get()) > 0);

    // It was only slow: when it reads, everything is there.
    let mut reader = peer.stream.try_clone().unwrap();
    let rest = message[written % message.len()..].to_vec();
    let whole = written.div_ceil(message.len());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            reader.set_write_timeout(Some(PATIENCE)).unwrap();
            reader.write_all(&rest).unwrap();
        });
        for i in 0..whole {
            let (first, payload) = peer.frame();
            assert!(first == BINARY && payload == [b'm'; 16_000], "message {i} of {whole}");
        }
    });
}

#[test]
fn a_slow_member_is_evicted_by_name_and_the_room_goes_on() {
    let server = serve(|config| config.close_timeout = Duration::from_millis(500));
    let mut slow = Peer::connect_narrow(server.addr()).upgraded("/broadcast/hot");
    let mut quick = Peer::open(server.addr(), "/broadcast/hot");
    for i in 0..600u32 {
        let mut message = vec![b'b'; 32 << 10];
        message[..4].copy_from_slice(&i.to_be_bytes());
        quick.send_frame(BINARY, &message);
        let (first, payload) = quick.frame();
        assert!(first == BINARY && payload == message, "message {i} comes whole and in order");
        let held = sum(&server, |c| c.buffered_bytes.get());
        let bound = 4 * (limits::MAX_PENDING + limits::READ_BUFFER) as u64;
        assert!(held < bound, "{held} bytes held for one slow member");
    }
    eventually("the slow member's end", || ended(&server, "slow") == 1);
    // What it gets is whole frames, in order, up to where it was too slow; then the reason, if the
    // sockets still took it, and the end.
    let mut next = 0u32;
    while let Some((first, payload)) = slow.next_frame() {
        if first == CLOSE {
            assert_eq!(payload, b"\x03\xf0too slow");
            break;
        }
        assert_eq!(payload[..4], next.to_be_bytes());
        next += 1;
    }
    assert!(next < 600, "it got everything: nothing was tested");
    quick.echoes(b"the room goes on");
}

/// What is bounded for each is not bounded for all of them: there is a bound for the process too.
#[test]
fn the_largest_debtor_pays_for_a_shortage_of_memory() {
    let server = serve(|config| {
        config.max_message = 1 << 20;
        config.max_buffered = Some(4 << 20);
    });
    let half_of = |len: usize| {
        let mut bytes = frame(BINARY, &vec![0; 1 << 20]);
        bytes.truncate(len);
        bytes
    };
    let mut small = Peer::open(server.addr(), "/");
    small.send(half_of(50_000));
    let more = vec![0; 100_000];
    let mut large: Vec<Peer> = Vec::new();
    let mut refused = false;
    while ended(&server, "memory") == 0 {
        assert!(large.len() < 40, "10 MiB are held where 4 are allowed");
        let mut peer = Peer::connect(server.addr());
        peer.send(format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n"));
        let answer = peer.head();
        if answer.starts_with("HTTP/1.1 503 ") {
            refused = true;
            // Memory is short, and those that are here want more of it.
            for peer in &mut large {
                let _ = peer.stream.write_all(&more);
            }
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        peer.send(half_of(200_000));
        large.push(peer);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(refused, "over 85 % new connections are refused before anybody is closed");
    let rest = frame(BINARY, &vec![0; 1 << 20])[50_000..].to_vec();
    drop(large);
    small.send(rest);
    assert_eq!(small.frame().1.len(), 1 << 20, "who owed little was let be");
    drop(small);
    nothing_is_left(&server);
}

// Descriptors exhausted: bun#32705, libuv#690, mio#845.

#[test]
fn a_full_descriptor_table_neither_spins_nor_stalls() {
    let server = Program::start(&["--threads", "1"]);
    let before = server.allow_more_files(6);
    // Six are served; the kernel completes TCP for the others and they wait.
    let mut peers: Vec<Peer> = (0..24).map(|_| Peer::connect(server.addr)).collect();
    for peer in &mut peers {
        peer.send(format!("GET / HTTP/1.1\r\n{UPGRADE}\r\n"));
    }
    let answered = |peers: &[Peer]| peers.iter().filter(|peer| peer.has_something()).count();
    eventually("as many as there are descriptors", || answered(&peers) >= 6);
    let cpu = server.cpu();
    std::thread::sleep(Duration::from_secs(1));
    let used = server.cpu().saturating_sub(cpu);
    assert!(used < Duration::from_millis(250), "{used:?} of CPU in a second with nothing to do");
    assert_eq!(answered(&peers), 6);
    // No report comes for those that wait in the queue already; and none is needed.
    peers.retain(|peer| !peer.has_something());
    eventually("the next ones, as places come free", || answered(&peers) == 6);
    server.allow_files(before);
    eventually("all others, once there is room", || answered(&peers) == peers.len());
    for mut peer in peers {
        assert!(peer.head().starts_with("HTTP/1.1 101 "));
        peer.echoes(b"served at last");
    }
}

/// More connections than the configured ones are told so, and those that leave make room.
#[test]
fn a_full_server_says_so_and_recovers() {
    let server = serve(|config| config.max_connections = Some(8));
    let mut open: Vec<Peer> = (0..8).map(|_| Peer::open(server.addr(), "/")).collect();
    for _ in 0..3 {
        let answer = String::from_utf8(Peer::connect(server.addr()).all()).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "),
            "{answer}"
        );
        assert!(answer.contains("its 8 connections (--max-connections) are taken"), "{answer}");
    }
    open.drain(..4);
    eventually("room again", || sum(&server, |c| c.connections.get()) == 4);
    open.extend((0..4).map(|_| Peer::open(server.addr(), "/")));
    for peer in &mut open {
        peer.echoes(b"served");
    }
}

// One hot room, mass disconnects: sockudo#62, #56.

#[test]
fn accepts_go_on_while_thousands_leave() {
    let server = serve(|_| {});
    for path in ["/echo", "/broadcast/hot"] {
        let crowd: Vec<Peer> = (0..2000).map(|_| Peer::open(server.addr(), path)).collect();
        let mut stays = Peer::open(server.addr(), path);
        let leaving = std::thread::spawn(move || drop(crowd));
        let mut worst = Duration::ZERO;
        for _ in 0..20 {
            let start = Instant::now();
            Peer::open(server.addr(), "/").echoes(b"new");
            worst = worst.max(start.elapsed());
        }
        assert!(worst < Duration::from_secs(1), "{worst:?} from connect to echo");
        stays.echoes(b"still here");
        leaving.join().unwrap();
        drop(stays);
        nothing_is_left(&server);
    }
}

/// A message for many is delivered in slices, and others are served between them.
#[test]
fn a_hot_room_leaves_others_their_turn() {
    let server = serve(|_| {});
    let mut members: Vec<Peer> =
        (0..3000).map(|_| Peer::open(server.addr(), "/broadcast/hot")).collect();
    let mut other = Peer::open(server.addr(), "/");
    // Each delivery is a write, and each echo.
    let writes = || sum(&server, |c| c.writes.get());
    let mut in_between = 0;
    for round in 0..60 {
        let start = writes();
        let mut echoes = 0;
        members[0].send_frame(TEXT, b"to everyone");
        loop {
            let begun = (writes() - start).saturating_sub(echoes);
            other.echoes(b"in between");
            echoes += 1;
            let done = (writes() - start).saturating_sub(echoes);
            // Asked for after the first deliveries, answered before the last ones.
            in_between += u32::from(begun > 10 && done < 2990);
            if done >= 2990 {
                break;
            }
        }
        if in_between >= 3 {
            drop((members, other));
            return nothing_is_left(&server);
        }
        assert!(round < 50, "{in_between} echoes in 50 rounds of 3,000 deliveries each");
    }
}

// Log injection: RUSTSEC-2025-0055.

#[test]
fn what_a_peer_sent_is_escaped_where_it_is_shown() {
    let server = Program::start(&["--log", "trace", "--allow-origin", "https://a"]);
    for (target, field) in [
        ("/\u{1b}[31mred", ""),
        ("/\u{202e}\u{e9}", ""),
        ("/%0d%0aSet-Cookie:%20a=b", ""),
        ("/", "Sec-WebSocket-Version: 8\u{1b}]0;title\u{7}\r\n"),
        ("/", "Origin: https://a\u{1b}[2J\r\n"),
        ("/", "Origin: https://evil'><script>\r\n"),
    ] {
        let mut peer = Peer::connect(server.addr);
        peer.send(format!("GET {target} HTTP/1.1\r\n{field}{UPGRADE}\r\n"));
        let answer = peer.all();
        assert!(answer.starts_with(b"HTTP/1.1 40"), "{}", answer.escape_ascii());
        let plain = |b: &u8| matches!(b, b'\r' | b'\n' | b' '..=b'~');
        assert!(answer.iter().all(plain), "{}", answer.escape_ascii());
        assert!(!answer.windows(13).any(|w| w == b"\r\nSet-Cookie:"));
    }
    let mut peer = Peer::open(server.addr, "/");
    peer.send_frame(CLOSE, b"\x0f\xa0\x1b[31m\nforged line");
    assert_eq!(peer.closed().0, 4000);
    let log = server.log();
    assert!(log.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "{log:?}");
    assert!(!log.contains("forged"), "{log:?}");
}

// One host takes every place: connections of an address are bounded when asked for.

#[test]
fn one_address_does_not_take_every_place() {
    let server = serve(|config| {
        config.max_per_address = Some(2);
        config.threads = Threads::Count(2);
    });
    let mut first = Peer::open(server.addr(), "/");
    let mut second = Peer::open(server.addr(), "/");
    let mut refused = String::new();
    Peer::connect(server.addr()).stream.read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("its 2 connections (--max-per-address)"), "{refused}");
    let mut elsewhere = Peer::open_from([127, 0, 0, 2], server.addr());
    for peer in [&mut first, &mut second, &mut elsewhere] {
        peer.echoes(b"here");
    }
    // A place is free again once its connection is gone.
    drop(first);
    eventually("the first is gone", || sum(&server, |c| c.open.get()) == 2);
    drop(Peer::open(server.addr(), "/"));
    drop((second, elsewhere));
    nothing_is_left(&server);
}
