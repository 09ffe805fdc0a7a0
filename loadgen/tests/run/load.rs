//! What is sent and when, over real sockets: sizes, heartbeats, requests.

use std::collections::BTreeSet;
use std::time::Duration;

use loadgen::measure::Kind;

use crate::server::{Manner, Server};
use crate::{against, count, go, raw, start};

/// Bytes that a server read are those of the sizes asked for, frame headers added.
#[test]
fn sizes_by_weight_reach_the_server() {
    let server = Server::start(Manner::Echo);
    let line = "-c 4 -R 1000 -d 1s --warmup 0ms --heartbeat off --verify";
    let outcome = go(&server, &format!("{line} --size 20:50%,2000:50%")).unwrap();
    assert_eq!((outcome.tally.verified, outcome.tally.corrupt), (1000, 0));
    let read: u64 = server.counters().iter().map(|shard| shard.bytes_in.get()).sum();
    // 500 of each within five deviations; 2,020 bytes would be 1,010 in the mean of a range.
    assert!((850_000..1_250_000).contains(&read), "{read}");
    for size in ["normal:400:50", "exp:300", "lognormal:300:1"] {
        let outcome = go(&server, &format!("{line} --size {size}")).unwrap();
        assert_eq!((outcome.tally.verified, outcome.tally.corrupt), (1000, 0), "{size}");
    }
}

/// A heartbeat of the user's own, answered by something else than its echo.
#[test]
fn text_heartbeats_with_their_own_words() {
    let line = "-c 10 -R 100 -d 1s --warmup 0ms --text --heartbeat 200ms --heartbeat-text 2 \
                --heartbeat-reply 3";
    let outcome = against(Manner::Reply("2", "3"), line);
    let tally = &outcome.tally;
    assert!((40..=50).contains(&tally.pings_sent), "{}", tally.pings_sent);
    assert_eq!((tally.pings_unanswered, tally.strays, tally.received), (0, 0, 100));
    assert_eq!(count(&outcome, Kind::Ping), tally.pings_sent);
    // To a server that echoes, it was not the answer.
    let outcome = against(Manner::Echo, line);
    assert_eq!(outcome.tally.pings_unanswered, outcome.tally.pings_sent);
    assert!(outcome.tally.strays >= 40, "{}", outcome.tally.strays);
    assert_eq!(outcome.tally.received, 100, "messages are none the worse");
}

/// All at once, from the beginning of the window on.
#[test]
fn heartbeats_in_step() {
    let line = "-c 50 --mode idle --heartbeat 400ms --heartbeat-phase sync -d 1s --warmup 150ms";
    let outcome = against(Manner::Echo, line);
    // At 0, 400 and 800 ms; spread over the interval there would be 125.
    assert_eq!((outcome.tally.due, outcome.tally.pings_sent), (150, 150));
    let spread = against(Manner::Echo, &line.replace("sync", "spread"));
    assert!((120..=130).contains(&spread.tally.due), "{}", spread.tally.due);
}

/// Each connection asks with what is its own: path, header, cookie, line of a file.
#[test]
fn requests_of_ones_own() {
    let tokens = std::env::temp_dir().join(format!("loadgen-run-{}", std::process::id()));
    std::fs::write(&tokens, "red\ngreen\n").unwrap();
    let (address, requests) = raw::listen_to_requests();
    let line = format!(
        "ws://{address}/room/{{connection}}?n={{connection}} -c 4 -t 2 -d 1s --warmup 0ms \
         -H X-User:u{{connection}} --cookie id={{connection}} --cookie t={{line:{}}}",
        tokens.display()
    );
    let error = start(&line).err().unwrap().to_string();
    std::fs::remove_file(tokens).unwrap();
    assert!(error.contains("404"), "{error}");
    let wait = Duration::from_secs(5);
    let heads: Vec<String> = (0..4).map(|_| requests.recv_timeout(wait).unwrap()).collect();
    let heads: BTreeSet<&str> = heads.iter().map(String::as_str).collect();
    for (head, (n, token)) in heads.iter().zip([(0, "red"), (1, "green"), (2, "red"), (3, "green")])
    {
        assert!(head.starts_with(&format!("GET /room/{n}?n={n} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains(&format!("\r\nX-User: u{n}\r\n")), "{head}");
        assert!(head.contains(&format!("\r\nCookie: id={n}; t={token}\r\n")), "{head}");
    }
}
