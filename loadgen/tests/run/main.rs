//! Whole runs against servers that are honest or have one fault: what the generator says of each.

#![allow(clippy::unwrap_used)]

mod cost;
mod life;
mod load;
mod phases;
mod raw;
mod rooms;
mod server;
mod stalls;
mod urls;
mod words;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser as _;
use loadgen::cli::Args;
use loadgen::judge::judge;
use loadgen::measure::{Kind, Latency, Outcome};
use loadgen::run::{RunError, run, run_until};
use raw::Answer;
use rustix::process::{Pid, Signal, kill_process};
use server::{Manner, Server};

fn start(arguments: &str) -> Result<Outcome, RunError> {
    let line = format!("loadgen --quiet --no-pin --floor off {arguments}");
    run(&Args::try_parse_from(line.split_ascii_whitespace()).unwrap().plan().unwrap())
}

fn go(server: &Server, arguments: &str) -> Result<Outcome, RunError> {
    start(&format!("ws://{}/ {arguments}", server.address))
}

fn against(manner: Manner, arguments: &str) -> Outcome {
    let outcome = go(&Server::start(manner), arguments).unwrap();
    let tally = &outcome.tally;
    assert!(tally.sent <= tally.due && tally.carried <= tally.sent, "{tally:?}");
    if tally.broadcast.is_none() {
        assert_eq!(tally.due, tally.received + tally.unanswered, "{tally:?}");
    }
    outcome
}

fn count(outcome: &Outcome, kind: Kind) -> u64 {
    outcome.latencies.get(kind).map_or(0, Latency::count)
}

fn p(outcome: &Outcome, kind: Kind, quantile: f64) -> Duration {
    Duration::from_nanos(outcome.latencies.get(kind).unwrap().quantile(quantile))
}

#[test]
fn open_loop_sends_the_rate_exactly() {
    let outcome =
        against(Manner::Echo, "-c 50 -R 1000 -d 1s --warmup 200ms --heartbeat 300ms --verify");
    let tally = &outcome.tally;
    assert_eq!((tally.requested, tally.established, tally.failed), (50, 50, 0));
    assert_eq!((tally.due, tally.sent, tally.received, tally.unanswered), (1000, 1000, 1000, 0));
    assert_eq!((tally.verified, tally.corrupt, tally.duplicate, tally.reordered), (1000, 0, 0, 0));
    // Three or four beats of each connection begin in any second.
    assert!((150..=200).contains(&tally.pings_sent), "{}", tally.pings_sent);
    assert_eq!(tally.pings_unanswered, 0);
    assert_eq!(count(&outcome, Kind::Ping), tally.pings_sent);
    for kind in [Kind::SendLag, Kind::Response, Kind::Service] {
        assert_eq!(count(&outcome, kind), 1000, "{kind:?}");
    }
    for kind in [Kind::Connect, Kind::Handshake, Kind::Close] {
        assert_eq!(count(&outcome, kind), 50, "{kind:?}");
    }
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
}

#[test]
fn poisson_is_about_the_rate() {
    let outcome = against(Manner::Echo, "-c 20 -R 2000 --arrival poisson -d 1s --warmup 100ms");
    let tally = &outcome.tally;
    assert!((1800..2200).contains(&tally.sent), "{}", tally.sent);
    assert_eq!((tally.due, tally.received, tally.unanswered), (tally.sent, tally.sent, 0));
}

#[test]
fn closed_loop_keeps_its_pipeline_full() {
    let outcome = against(Manner::Echo, "-c 4 --pipeline 16 -d 500ms --warmup 100ms --verify");
    let tally = &outcome.tally;
    assert!(tally.sent > 1000, "{}", tally.sent);
    assert_eq!((tally.received, tally.verified), (tally.sent, tally.sent));
    assert_eq!((tally.corrupt, tally.duplicate, tally.reordered), (0, 0, 0));
}

/// A server that sleeps 400 ms answers late what was sent meanwhile: it all counts from its own
/// intended time, and the generator sends it nevertheless.
#[test]
fn a_stall_is_not_omitted() {
    let stall = Manner::Stall(Duration::from_millis(400));
    let outcome = against(stall, "-c 10 -R 1000 -d 1500ms --warmup 0ms --heartbeat off");
    assert_eq!((outcome.tally.sent, outcome.tally.received), (1500, 1500));
    // 400 of 1,500 messages fell into the stall and waited 200 ms on average.
    let late = p(&outcome, Kind::Response, 0.80);
    assert!(late > Duration::from_millis(50), "p80 {late:?}");
    assert!(p(&outcome, Kind::Response, 1.0) >= Duration::from_millis(390));
    assert!(p(&outcome, Kind::SendLag, 0.9) < Duration::from_millis(50));
}

/// Messages that a stalled server's full sockets hold back go out late, with their own times.
#[test]
fn what_is_held_back_keeps_its_time() {
    // 20 MiB fall due meanwhile, more than the sockets hold, and no load even for a busy machine.
    let stall = Manner::StallAtOnce(Duration::from_secs(1));
    let outcome =
        against(stall, "-c 1 -R 40 -d 1500ms --warmup 0ms --heartbeat off --size 512KiB --verify");
    assert_eq!((outcome.tally.sent, outcome.tally.verified), (60, 60));
    assert!(p(&outcome, Kind::SendLag, 1.0) > Duration::from_millis(100));
    // A slow server is a result: what it held back is no lag of the generator's own.
    assert!(outcome.tally.held_back > 10, "{}", outcome.tally.held_back);
    assert_eq!(outcome.tally.own_lag.count(), 60 - outcome.tally.held_back);
    assert!(outcome.notes.iter().any(|note| note.contains("took no more bytes")));
    assert!(p(&outcome, Kind::Response, 1.0) >= Duration::from_millis(900));
    assert!(p(&outcome, Kind::Response, 0.8) > p(&outcome, Kind::Service, 0.8));
}

#[test]
fn fragments_and_pings_between_them() {
    let outcome = against(
        Manner::Echo,
        "-c 20 -R 200 -d 1s --warmup 100ms --fragments 4 --fragment-gap 5ms --interleave-ping \
         --heartbeat 250ms --verify --size 64..300",
    );
    let tally = &outcome.tally;
    assert_eq!((tally.sent, tally.received, tally.verified), (200, 200, 200));
    assert_eq!((tally.corrupt, tally.pings_unanswered), (0, 0));
    // 80 heartbeats and three pings in each message.
    assert!((660..=700).contains(&tally.pings_sent), "{}", tally.pings_sent);
    assert_eq!(count(&outcome, Kind::Fragmented), 200);
    // Pings between them have no lag that would flatter the messages'.
    assert_eq!(count(&outcome, Kind::SendLag), 200);
    assert_eq!(tally.own_lag.count(), 800, "each fragment has a time of its own");
    // Three gaps lie in the response, none of them in what follows the last fragment.
    assert!(p(&outcome, Kind::Response, 0.0) >= Duration::from_millis(15));
    assert!(p(&outcome, Kind::Fragmented, 0.5) < Duration::from_millis(15));
}

/// The drain begins when the last message's last fragment was due, not its first.
#[test]
fn the_drain_waits_for_the_last_fragments() {
    let outcome = against(
        Manner::Echo,
        "-c 40 -R 100 -d 500ms --warmup 0ms --drain 200ms --heartbeat off --fragments 4 \
         --fragment-gap 80ms",
    );
    assert_eq!((outcome.tally.sent, outcome.tally.received), (50, 50));
}

/// Connections that do not answer the close frame are no early ends, and no close times.
#[test]
fn closes_that_are_not_answered() {
    let server = Server::start(Manner::Deaf);
    let line = "-c 150 -t 1 -R 300 -d 1s --warmup 0ms --drain 0ms --heartbeat off";
    let outcome = go(&server, line).unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.closed_early), (150, 0), "{:?}", tally.errors);
    assert_eq!(count(&outcome, Kind::Close), 0);
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    // 64 are asked at a time, and two such times are more than there is.
    assert_eq!(tally.close_errors.values().sum::<u64>(), 150, "{:?}", tally.close_errors);
    for cause in ["not answered in time", "time was up before the close frame was sent"] {
        assert!(tally.close_errors.contains_key(cause), "{:?}", tally.close_errors);
    }
}

#[test]
fn text_heartbeats_are_answered_by_their_echo() {
    let outcome = against(
        Manner::Echo,
        "-c 10 -R 100 -d 1s --warmup 0ms --text --heartbeat 200ms --heartbeat-kind text \
         --fragments 2 --fragment-gap 20ms --interleave-ping --verify",
    );
    let tally = &outcome.tally;
    assert_eq!((tally.sent, tally.received, tally.verified), (100, 100, 100));
    assert_eq!((tally.corrupt, tally.duplicate, tally.pings_unanswered), (0, 0, 0));
    assert!((140..=150).contains(&tally.pings_sent), "{}", tally.pings_sent);
}

#[test]
fn idle_connections_count_their_pings() {
    let outcome =
        against(Manner::Echo, "-c 40 --mode idle --heartbeat 100ms -d 500ms --warmup 0ms");
    let tally = &outcome.tally;
    assert_eq!((tally.sent, tally.received, tally.unanswered), (200, 200, 0));
    for kind in [Kind::Ping, Kind::SendLag] {
        assert_eq!(count(&outcome, kind), 200, "{kind:?}");
    }
}

/// RFC 6455 5.5.3: one pong for several pings is an answer to all of them.
#[test]
fn one_pong_for_several_pings() {
    let address = raw::serve(Answer::LastPing);
    let line = "-c 1 --mode idle --heartbeat 100ms -d 1s --warmup 0ms --drain 1s";
    let outcome = start(&format!("ws://{address}/ {line}")).unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.pings_sent, tally.pings_unanswered), (10, 0), "{tally:?}");
    assert_eq!((tally.due, tally.received, tally.unanswered), (10, 10, 0));
    assert!(tally.pings_coalesced >= 4, "{}", tally.pings_coalesced);
    assert_eq!(count(&outcome, Kind::Ping), 10, "each at its own age");
    assert!(p(&outcome, Kind::Ping, 1.0) > Duration::from_millis(150));
}

#[test]
fn tiny_messages_are_paired_in_order() {
    let outcome = against(Manner::Echo, "-c 5 -R 500 -d 500ms --warmup 0ms --size 2");
    assert_eq!((outcome.tally.sent, outcome.tally.received), (250, 250));
    assert!(outcome.notes.iter().any(|note| note.contains("first in, first out")));
}

#[test]
fn each_fault_has_its_count() {
    let run = "-c 2 -R 500 -d 1s --warmup 0ms --drain 300ms --heartbeat off --verify";
    let twice = against(Manner::Twice, run).tally;
    assert_eq!((twice.sent, twice.received, twice.duplicate), (500, 500, 50));
    let flip = against(Manner::Flip, run).tally;
    assert_eq!((flip.received, flip.verified, flip.corrupt), (500, 450, 50));
    let swap = against(Manner::Swap, run).tally;
    assert_eq!((swap.received, swap.unanswered), (499, 1), "the last one is kept");
    assert!((40..=50).contains(&swap.reordered), "{}", swap.reordered);
    let swallow = against(Manner::Swallow, run).tally;
    assert_eq!((swallow.sent, swallow.received, swallow.unanswered), (500, 450, 50));
    assert!(swallow.unanswered_age.quantile(1.0) >= 1_200_000_000, "reported at its age");
    let greet = against(Manner::Greet, run);
    assert_eq!((greet.tally.received, greet.tally.corrupt, greet.tally.strays), (500, 0, 2));
    assert!(greet.notes.iter().any(|note| note.contains("answered nothing")), "{:?}", greet.notes);
}

/// What the server does not take waits in the generator, keeps its time and is not lost sight of.
#[test]
fn a_server_that_stops_reading() {
    let outcome = against(
        Manner::Deaf,
        "-c 2 -R 1000 -d 1s --warmup 0ms --drain 100ms --heartbeat off --size 64KiB",
    );
    let tally = &outcome.tally;
    assert_eq!(tally.received + tally.unanswered, 1000);
    assert!(tally.received <= 10 && tally.sent < 500, "{tally:?}");
    assert!(outcome.notes.iter().any(|note| note.contains("never sent")), "{:?}", outcome.notes);
    assert!(tally.errors.is_empty(), "{:?}", tally.errors);
    assert_eq!(tally.close_errors.values().sum::<u64>(), 2, "{:?}", tally.close_errors);
}

/// A rate that no generator keeps: what it did not get to is counted, not forgotten.
#[test]
fn a_generator_that_is_too_slow() {
    let server = Server::start(Manner::Echo);
    let outcome = go(
        &server,
        "-c 2 -t 1 -R 10M -d 100ms --warmup 0ms --drain 100ms --size 9 --heartbeat off",
    );
    let tally = outcome.unwrap().tally;
    assert_eq!(tally.due, 1_000_000);
    assert!(tally.sent < 1_000_000, "{}", tally.sent);
    assert_eq!(tally.received + tally.unanswered, 1_000_000);
}

/// Ctrl-C amid the window: what was measured is whole and reported.
#[test]
fn a_run_can_be_cut_short() {
    let server = Server::start(Manner::Echo);
    let line =
        format!("loadgen ws://{}/ --quiet --no-pin --floor off -c 10 -R 500 -d 1m", server.address);
    let plan = Args::try_parse_from(line.split(' ')).unwrap().plan().unwrap();
    let begun = Instant::now();
    let stop_after = |time: Duration| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(time);
                stop.store(true, Relaxed);
            });
            run_until(&plan, &stop)
        })
    };
    let outcome = stop_after(Duration::from_secs(3)).unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.due, tally.received, tally.unanswered), (tally.sent, tally.sent, 0));
    // Two seconds of warm-up, then about one.
    let measured = outcome.phases.measure.as_secs_f64();
    assert!((0.5..3.0).contains(&measured), "{measured} s");
    assert!((tally.sent as f64 - 500.0 * measured).abs() <= 1.0, "{} in {measured} s", tally.sent);
    assert!(outcome.notes.iter().any(|note| note.starts_with("interrupted: ")));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let early = stop_after(Duration::from_millis(500)).err().unwrap();
    assert!(matches!(early, RunError::Interrupted), "{early}");
}

/// The program itself: one SIGINT and the report comes, two and it is gone.
#[test]
fn control_c() {
    let child = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
        command.args([
            "-c", "5", "-R", "100", "-d", "1m", "--warmup", "0ms", "--no-pin", "--floor", "off",
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let interrupt = |child: &Child| kill_process(Pid::from_child(child), Signal::INT).unwrap();
    // A full machine may be late to begin what is to be cut short.
    let report = [2, 6, 18].into_iter().map(|seconds| {
        let one = child();
        std::thread::sleep(Duration::from_secs(seconds));
        interrupt(&one);
        String::from_utf8(one.wait_with_output().unwrap().stdout).unwrap()
    });
    let mut report = report.skip_while(String::is_empty);
    let report = report.next().unwrap_or_default();
    assert!(report.contains("interrupted: ") && report.contains("latency"), "{report}");
    let mut two = child();
    std::thread::sleep(Duration::from_secs(2));
    // Signals that come too close together are one.
    while two.try_wait().unwrap().is_none() {
        interrupt(&two);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(two.wait().unwrap().code(), Some(130));
}

#[test]
fn a_server_that_hangs_up() {
    let tally = against(Manner::Leave, "-c 5 -R 100 -d 300ms --warmup 0ms").tally;
    assert_eq!((tally.established, tally.closed_early, tally.failed), (5, 5, 0));
    let cause = "closed early: the server closed with code 1013";
    assert_eq!(tally.errors.get(cause), Some(&5), "{:?}", tally.errors);
    // What fell due on connections that were gone is not forgotten.
    assert_eq!((tally.due, tally.received, tally.unanswered), (30, 0, 30));
    assert!(tally.sent < 20, "{}", tally.sent);
}

/// A closed loop against a server that answers one message of each connection and then no more.
#[test]
fn connections_that_froze_in_the_warm_up() {
    let line = "-c 2 -d 600ms --warmup 400ms --drain 0ms --heartbeat off";
    let outcome = against(Manner::Deaf, line);
    let tally = &outcome.tally;
    assert_eq!((tally.due, tally.received, tally.unanswered), (2, 0, 2));
    assert_eq!((tally.carried, tally.frozen), (2, 2));
    assert!(tally.unanswered_age.quantile(0.0) > 600_000_000, "since the warm-up");
    let args = format!("loadgen {line}");
    let plan = Args::try_parse_from(args.split(' ')).unwrap().plan().unwrap();
    let reasons = judge(&plan, &outcome).reasons;
    assert!(reasons.iter().any(|reason| reason.contains("2 froze unanswered")), "{reasons:?}");
}

/// A reply that was due before the window and comes in it is a sample of its whole length.
#[test]
fn a_stall_across_the_end_of_the_warm_up() {
    let stall = Manner::StallAtOnce(Duration::from_millis(600));
    let outcome = against(stall, "-c 1 -d 600ms --warmup 300ms --heartbeat off");
    assert_eq!(outcome.tally.carried, 1);
    assert!(p(&outcome, Kind::Response, 1.0) > Duration::from_millis(550));
    assert_eq!(outcome.tally.frozen, 0);
}

/// Heartbeats on connections that are gone, and pings that nobody answers.
#[test]
fn heartbeats_that_could_not_be_sent() {
    let outcome = against(Manner::Leave, "-c 5 -R 50 -d 1s --warmup 0ms --heartbeat 100ms");
    let tally = &outcome.tally;
    assert_eq!(tally.pings_sent + tally.pings_unsent, 50, "{tally:?}");
    assert!(tally.pings_unsent > 20, "{tally:?}");
}

fn error_from(address: SocketAddr, arguments: &str) -> String {
    let begun = Instant::now();
    let error = start(&format!("ws://{address}/ {arguments}")).err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(matches!(error, RunError::NothingConnected { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && !text.contains('\n'), "{text}");
    text
}

#[test]
fn nobody_connected_fails_fast_and_says_why() {
    let gone = Server::start(Manner::Echo).address;
    let text = error_from(gone, "-c 5000");
    assert!(text.contains("connection refused"), "{text}");
    let accept = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Accept: c3BlZWQgbGltaXQgaGVyZSBvaw==\r\n\r\n";
    for (answer, cause) in [
        (Answer::Bytes(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), "answered 401"),
        (Answer::Bytes(accept), "Sec-WebSocket-Accept is not that of our key"),
        (Answer::Bytes(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "not an HTTP/1.1 head"),
        (Answer::HangUp, "closed TCP before it answered the upgrade"),
        (Answer::Only(0), "no 101 in time"),
    ] {
        let text = error_from(raw::serve(answer), "-c 100 --timeout 1s");
        assert!(text.contains(cause), "{cause}: {text}");
    }
}

/// A server that answers nobody any more is not waited for 20,000 times.
#[test]
fn a_server_that_stops_answering_is_given_up() {
    let begun = Instant::now();
    let address = raw::serve(Answer::Only(3));
    let outcome = start(&format!(
        "ws://{address}/ -c 2000 -t 1 --timeout 500ms -R 10 -d 200ms --warmup 0ms --drain 0ms"
    ))
    .unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.failed), (3, 1997));
    let count = |words: &str| {
        let of = tally.errors.iter().filter(|(cause, _)| cause.contains(words));
        of.map(|(_, n)| n).sum::<u64>()
    };
    assert!(count("no 101 in time") >= 32, "{:?}", tally.errors);
    assert_eq!(count("no 101 in time") + count("not begun"), 1997, "{:?}", tally.errors);
    assert!(outcome.notes.iter().any(|note| note == "3 of 2000 connections took part"));
    // All of them in turn would take 31 s; the three mute ones cost a close timeout of 5 s.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// Who is left carries the whole rate.
#[test]
fn a_full_server_is_a_declared_shortfall() {
    let server = Server::with_room(Manner::Echo, 30);
    let outcome = go(&server, "-c 50 -R 300 -d 1s --warmup 0ms").unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.failed), (30, 20), "{:?}", tally.errors);
    assert_eq!((tally.sent, tally.received), (300, 300));
    let (cause, count) = tally.errors.first_key_value().unwrap();
    assert!(cause.contains("answered 503") && *count == 20, "{:?}", tally.errors);
}

/// A slow ramp: the first connections are pinged while the last ones are still to come.
#[test]
fn heartbeats_begin_before_the_last_connection() {
    let server = Server::start(Manner::Echo);
    go(&server, "-c 20 --ramp 10 --heartbeat 200ms -R 10 -d 100ms --warmup 0ms").unwrap();
    // In two seconds the first was due for nine, the last for none.
    let pings: u64 = server.counters().iter().map(|shard| shard.pings_in.get()).sum();
    assert!((70..=130).contains(&pings), "{pings}");
}

/// From waiting for others to the run's own heartbeats: no pause is longer than the interval.
#[test]
fn heartbeats_go_on_when_the_run_begins() {
    let server = Server::start(Manner::Echo);
    let line = "-c 20 --ramp 10 --heartbeat 1s -R 10 -d 1s --warmup 0ms";
    let outcome = go(&server, line).unwrap();
    assert_eq!(outcome.tally.pings_sent, 20, "the others are not measured");
    // Ten while the others connect, then ten that come before their connection's first turn.
    let pings: u64 = server.counters().iter().map(|shard| shard.pings_in.get()).sum();
    assert!((35..=45).contains(&pings), "{pings}");
}

#[test]
fn what_cannot_work_is_refused_before_the_run() {
    for (arguments, words) in [
        ("-c 30000 --source-ip 127.0.0.1", "no local port left for 127.0.0.1 -> 127.0.0.1:"),
        ("--source-ip 192.0.2.1", "--source-ip 192.0.2.1: not an address of this machine"),
        ("ws://no-such-host.invalid/", "the name 'no-such-host.invalid' does not resolve"),
        ("-c 100M -t 1", "open-file limit"),
    ] {
        let error = start(arguments).err().unwrap().to_string();
        assert!(error.contains(words), "{arguments}: {error}");
    }
}

fn inside(arguments: &str) -> Outcome {
    start(arguments).unwrap()
}

#[test]
fn without_a_url_the_server_is_inside() {
    let outcome = inside("-c 500 -R 500 -d 500ms --warmup 100ms --verify");
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.sent, tally.verified), (500, 250, 250));
    assert!(outcome.embedded && outcome.loopback);
    assert!(outcome.server.is_some_and(|cost| cost.cpu > Duration::ZERO), "its threads are found");
}

/// Fragmentation and heartbeat load together: nothing is lost, and each kind of latency is filled.
#[test]
fn fragments_and_heartbeats_on_a_thousand_connections() {
    let outcome = inside(
        "-c 1000 -R 500 -d 1s --warmup 200ms --drain 5s --fragments 4 --fragment-gap 5ms \
         --interleave-ping --heartbeat 1s --verify",
    );
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.due, tally.unsent()), (1000, 500, 0));
    assert_eq!((tally.received, tally.verified, tally.unanswered), (500, 500, 0));
    assert_eq!((tally.corrupt, tally.strays, tally.pings_unanswered), (0, 0, 0));
    // A heartbeat each and three pings in each message, but for those at the window's two edges: on
    // a busy machine fragments, and so the pings between them, are late and fall beyond.
    assert!((1500..=1000 + 3 * 500 + 5).contains(&tally.pings_sent), "{}", tally.pings_sent);
    let elsewhere = |kind: &Kind| matches!(kind, Kind::Delivery | Kind::Join);
    for kind in Kind::ALL.into_iter().filter(|kind| !elsewhere(kind)) {
        assert!(count(&outcome, kind) >= 500, "{kind:?}");
    }
}

#[test]
fn more_connections_than_one_source_has_room_for() {
    let outcome = inside("-c 9000 -R 1000 -d 500ms --warmup 100ms --ramp off --heartbeat off");
    assert_eq!((outcome.tally.established, outcome.tally.unanswered), (9000, 0));
    let note = "connecting from 2 addresses, 127.0.0.1 to 127.0.0.2";
    assert!(outcome.notes.iter().any(|line| line == note), "{:?}", outcome.notes);
}

#[test]
fn every_member_of_a_room_hears_every_message_once() {
    for extra in ["", "--text --arrival poisson", "--fragments 3 --fragment-gap 2ms"] {
        let outcome = inside(&format!(
            "--mode broadcast --rooms 3 --publishers 6 --subscribers 54 -R 100 -d 1s \
             --warmup 200ms --drain 500ms --size 30..90 --verify {extra}"
        ));
        let tally = &outcome.tally;
        let rooms = tally.broadcast.as_ref().unwrap();
        assert_eq!(rooms.expected, tally.sent * 20, "three rooms of twenty");
        assert_eq!((rooms.received, rooms.duplicate, rooms.reordered), (rooms.expected, 0, 0));
        assert_eq!((tally.verified, tally.corrupt), (rooms.expected, 0));
        assert_eq!(count(&outcome, Kind::Delivery), rooms.expected);
        assert_eq!(rooms.spread.count(), tally.sent);
        assert_eq!(tally.unanswered, 0);
    }
}

/// To one member alone, an echo is a broadcast; to two it is one that loses half.
#[test]
fn a_broadcast_with_a_fault() {
    let run = "--mode broadcast --publishers 1 --subscribers 0 -R 200 -d 500ms --warmup 0ms \
               --drain 100ms --size 30";
    let rooms = |manner, run: &str| against(manner, run).tally.broadcast.unwrap();
    let swallow = rooms(Manner::Swallow, run);
    assert_eq!((swallow.expected, swallow.received, swallow.lost()), (100, 90, 10));
    let twice = rooms(Manner::Twice, run);
    assert_eq!((twice.received, twice.duplicate, twice.lost()), (100, 10, 0));
    let swap = rooms(Manner::Swap, run);
    assert_eq!((swap.received, swap.reordered, swap.lost()), (99, 9, 1), "the last one is kept");
    let half = rooms(Manner::Echo, &run.replace("--subscribers 0", "--subscribers 1"));
    assert_eq!((half.expected, half.received), (200, 100));
}
