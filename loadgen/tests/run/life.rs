//! Connections that leave and come back: churn, reconnects, storms.

use std::time::Duration;

use loadgen::measure::{Kind, Outcome};
use plimsoll::conn::End;

use super::server::{Manner, Server};
use super::{Args, count, go, judge};
use clap::Parser as _;

/// Whatever left, each message is answered, unanswered or abandoned, and none is both.
fn balanced(outcome: &Outcome) {
    let tally = &outcome.tally;
    assert!(tally.sent <= tally.due && tally.carried <= tally.sent, "{tally:?}");
    let ends = tally.received + tally.unanswered + tally.life.abandoned;
    assert_eq!(tally.due, ends, "{tally:?}");
}

fn run(server: &Server, arguments: &str) -> Outcome {
    let outcome = go(server, arguments).unwrap();
    balanced(&outcome);
    outcome
}

/// Handshakes that the server completed.
fn opened(server: &Server) -> u64 {
    server.counters().iter().map(|shard| shard.opened.get()).sum()
}

/// Connections of the server that ended so.
fn ended(server: &Server, end: &End) -> u64 {
    server.counters().iter().map(|shard| shard.ends[end.index()].get()).sum()
}

/// Each turn is one proper close and one new connection, and costs no message.
#[test]
fn churn_closes_and_opens_exactly_at_its_rate() {
    let server = Server::start(Manner::Echo);
    let flags =
        "-c 20 -R 400 -d 1s --warmup 0ms --drain 5s --heartbeat 200ms --churn 50/s --verify";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!((life.churned + life.churn_missed, life.still_away), (50, 0), "{life:?}");
    assert_eq!((life.replaced, life.failures()), (life.churned, 0));
    assert!(life.churned > 0, "{life:?}");
    assert_eq!((tally.established, tally.closed_early), (20, 0), "{:?}", tally.errors);
    assert_eq!((tally.unanswered, life.abandoned, tally.pings_unanswered), (0, 0, 0));
    assert_eq!((tally.due + life.skipped, tally.verified), (400, tally.due));
    assert!(tally.close_errors.is_empty(), "{:?}", tally.close_errors);
    for kind in [Kind::Connect, Kind::Handshake, Kind::Close] {
        assert_eq!(count(&outcome, kind), 20 + life.churned, "{kind:?}");
    }
    assert_eq!(opened(&server), 20 + life.churned, "the server has seen them all");
}

/// A lost reply stays lost, also when its connection had to go: churn hides nothing.
#[test]
fn churn_hides_no_lost_message() {
    let server = Server::start(Manner::Swallow);
    let flags =
        "-c 10 -R 200 -d 1s --warmup 0ms --drain 300ms --heartbeat off --churn 20/s --seed 5";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!(tally.unanswered, tally.sent / 10, "{tally:?}");
    assert_eq!((life.abandoned, tally.duplicate, tally.strays), (0, 0, 0));
    assert!(life.churned >= 10, "{life:?}");
}

/// Idle connections churn too, and a closed loop goes on with who is back.
#[test]
fn churn_in_every_mode() {
    let server = Server::start(Manner::Echo);
    let flags = "-c 10 --mode idle --heartbeat 100ms -d 1s --warmup 0ms --churn 20/s";
    let outcome = run(&server, flags);
    let life = &outcome.tally.life;
    assert_eq!((life.churned + life.churn_missed, life.replaced), (20, life.churned));
    assert_eq!((outcome.tally.unanswered, outcome.tally.due + life.skipped), (0, 100));

    let flags = "-c 1 -d 1s --warmup 0ms --heartbeat off --churn 4/s --verify";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!((life.churned, life.replaced, tally.unanswered), (4, 4, 0));
    assert_eq!((tally.frozen, tally.received), (0, tally.sent));
    // The first turn is at once: had the loop not gone on, there would be one message.
    assert!(tally.sent > 20, "{}", tally.sent);
}

/// A room's reach is that of those who stayed; publishers do not leave.
#[test]
fn churn_in_a_room_is_no_loss() {
    let server = Server::start(Manner::Echo);
    let flags = "--mode broadcast --publishers 1 --subscribers 9 -R 50 -d 1s --warmup 0ms \
                --drain 200ms --churn 5/s --size 40";
    let outcome = go(&server, flags).unwrap();
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!((tally.sent, life.churned, life.replaced), (50, 5, 5), "{tally:?}");
    // This server echoes: the publisher alone hears, of those four who never left and itself.
    let rooms = tally.broadcast.as_ref().unwrap();
    assert_eq!((rooms.expected, rooms.received), (50 * 5, 50));
}

/// Who was thrown out waits its time, comes back, and sends what fell due meanwhile.
#[test]
fn a_connection_that_the_server_ended_comes_back() {
    let server = Server::start(Manner::LeaveFirst(5));
    let flags = "-c 5 -R 100 -d 1s --warmup 0ms --drain 5s --heartbeat off --reconnect fixed:200ms";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!((tally.closed_early, life.reconnected, life.still_away), (5, 5, 0), "{tally:?}");
    let cause = "closed early: the server closed with code 1013";
    assert_eq!(tally.errors.get(cause), Some(&5), "{:?}", tally.errors);
    // The message that each was closed at is lost, those of the time away are late.
    assert_eq!((tally.due, tally.unanswered, tally.sent), (100, 5, 100));
    assert_eq!((life.skipped, life.away.count(), opened(&server)), (0, 5, 10));
    assert!(life.away.quantile(0.0) >= 199_000_000, "{}", life.away.quantile(0.0));
    assert!(super::p(&outcome, Kind::Response, 1.0) > Duration::from_millis(100));
    let plan = format!("loadgen {flags}");
    let plan = Args::try_parse_from(plan.split_ascii_whitespace()).unwrap().plan().unwrap();
    let reasons = judge(&plan, &outcome).reasons;
    assert!(!reasons.iter().any(|reason| reason.contains("ended early")), "{reasons:?}");
}

/// One attempt at a time, each after a wait; what fails is counted by its cause.
#[test]
fn attempts_that_fail_are_counted_and_made_again() {
    let manner = Manner::Shy { leave: 4, after: 4, refusals: 6 };
    let server = Server::start(manner);
    let flags = "-c 4 -R 80 -d 1s --warmup 0ms --drain 10s --heartbeat off \
                --reconnect backoff:20ms..200ms";
    let outcome = run(&server, flags);
    let life = &outcome.tally.life;
    assert_eq!((life.reconnected, life.failures(), life.still_away), (4, 6, 0), "{life:?}");
    let (cause, times) = life.errors.first_key_value().unwrap();
    assert!(cause.contains("503") && *times == 6, "{:?}", life.errors);
    // Without the flag they stay away.
    let server = Server::start(manner);
    let flags = "-c 4 -R 80 -d 500ms --warmup 0ms --drain 0ms --heartbeat off";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    assert_eq!((tally.closed_early, life.reconnected, opened(&server)), (4, 0, 4));
}

/// Half of all at once, by resets; back at the ramp's pace, and the server has done nothing wrong.
#[test]
fn a_storm_drops_its_share_and_all_come_back() {
    let server = Server::start(Manner::Echo);
    let flags = "-c 40 -R 400 -d 2s --warmup 0ms --drain 5s --heartbeat 500ms --ramp 100/s \
                --storm 50%@500ms";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    let [storm] = &life.storms[..] else { panic!("{life:?}") };
    assert_eq!((storm.begun, storm.dropped, storm.returned), (true, 20, 20));
    assert_eq!((life.still_away, tally.closed_early, tally.unanswered), (0, 0, 0), "{tally:?}");
    assert_eq!(ended(&server, &End::Socket("")), 20, "resets");
    assert_eq!(opened(&server), 60);
    // Handshakes of the storm stand apart.
    assert_eq!((count(&outcome, Kind::Handshake), storm.handshake.count()), (40, 20));
    assert_eq!((count(&outcome, Kind::Connect), storm.connect.count()), (40, 20));
    // The last of 20 begins 190 ms after the storm.
    let [most, all] = [0.99, 1.0].map(|share| storm.until_back(share).unwrap());
    assert!(most <= all && all >= 190_000_000, "{most} {all}");
    // Half of the messages of these 190 ms at least fell due on who was away.
    assert!(life.skipped >= 15, "{}", life.skipped);
    assert_eq!(tally.due + life.skipped, 800);
    // 200 fell due before, of which a slow machine may answer some later; of the 76 until all are
    // back those of the other half.
    assert!((1..=200).contains(&storm.before.count()), "{}", storm.before.count());
    assert!(storm.before.count() + storm.during.count() + life.abandoned >= 220, "{storm:?}");
    let plan = format!("loadgen {flags}");
    let plan = Args::try_parse_from(plan.split_ascii_whitespace()).unwrap().plan().unwrap();
    let reasons = judge(&plan, &outcome).reasons;
    let blamed = |words| reasons.iter().any(|reason| reason.contains(words));
    assert!(!blamed("of the") || !blamed("requested"), "on purpose: {reasons:?}");
}

/// A refused attempt is tried again; a closed loop goes on; the next storm is another.
#[test]
fn storms_one_after_the_other() {
    let server = Server::start(Manner::Shy { leave: 0, after: 10, refusals: 3 });
    let flags = "-c 10 -d 3s --warmup 0ms --heartbeat off --storm 100%@200ms:fin \
                --storm 20%@2s:fin --reconnect backoff:10ms..50ms";
    let outcome = run(&server, flags);
    let (tally, life) = (&outcome.tally, &outcome.tally.life);
    let [first, second] = &life.storms[..] else { panic!("{life:?}") };
    assert_eq!((first.dropped, first.returned, first.errors.values().sum::<u64>()), (10, 10, 3));
    assert_eq!((second.dropped, second.returned, second.errors.len()), (2, 2, 0));
    assert_eq!((life.skipped, tally.frozen, tally.unanswered), (0, 0, 0));
    assert_eq!(first.during.count(), 0, "nobody stayed");
    assert!(second.before.count() > 100, "the loop went on: {}", second.before.count());
    assert_eq!(opened(&server), 22);
}

/// Which end of TCP it is can be chosen, and a server sees the difference.
#[test]
fn how_a_storm_ends_its_connections() {
    for (farewell, end) in [(":fin", End::Eof), (":reset", End::Socket("")), ("", End::Socket(""))]
    {
        let server = Server::start(Manner::Echo);
        let flags = "-c 10 --mode idle --heartbeat off -d 500ms --warmup 0ms --storm 50%@100ms";
        let outcome = run(&server, &format!("{flags}{farewell}"));
        assert_eq!(outcome.tally.life.storms[0].returned, 5);
        assert_eq!(ended(&server, &end), 5, "'{farewell}'");
    }
}

/// Who does not come back is said to be away, and is nobody's error but the storm's.
#[test]
fn a_storm_from_which_nobody_comes_back() {
    let server = Server::start(Manner::Shy { leave: 0, after: 10, refusals: u32::MAX });
    let flags = "-c 10 -R 100 -d 1s --warmup 0ms --drain 200ms --heartbeat off --storm 30%@300ms";
    let outcome = run(&server, flags);
    let life = &outcome.tally.life;
    let [storm] = &life.storms[..] else { panic!("{life:?}") };
    assert_eq!((storm.dropped, storm.returned, life.still_away), (3, 0, 3));
    assert_eq!((storm.until_back(0.99), storm.handshake.count()), (None, 0));
    assert!(storm.errors.keys().all(|cause| cause.contains("503")), "{:?}", storm.errors);
    assert!(storm.errors.values().sum::<u64>() >= 3, "{:?}", storm.errors);
    assert!(outcome.tally.errors.is_empty() && life.errors.is_empty(), "{:?}", outcome.tally);
}

/// Bytes of each read of the server, on average.
fn bytes_of_a_read(server: &Server) -> f64 {
    let counters = server.counters();
    let sum = |of: fn(&plimsoll::shard::Counters) -> u64| counters.iter().map(of).sum::<u64>();
    sum(|shard| shard.bytes_in.get()) as f64 / sum(|shard| shard.reads.get()) as f64
}

/// A server reads heads and frames piece by piece, and all of it is there in the end.
#[test]
fn a_dribble_comes_in_tiny_segments() {
    let flags = "-c 4 -R 40 -d 1s --warmup 0ms --drain 10s --heartbeat off --verify";
    let reads = |extra: &str| {
        let server = Server::start(Manner::Echo);
        let outcome = run(&server, &format!("{flags} {extra}"));
        assert_eq!((outcome.tally.verified, outcome.tally.held_back), (40, 0));
        bytes_of_a_read(&server)
    };
    let (whole, tiny) = (reads(""), reads("--dribble 8@1ms"));
    // Four and a half bytes are a segment's; a server that was held up reads several at once.
    assert!(whole > 60.0 && tiny < 20.0, "{whole} and {tiny} bytes in a read");
}

/// Slow readers read what they may, and nobody else's figures show it.
#[test]
fn slow_consumers_stand_apart() {
    let server = Server::start(Manner::Echo);
    let flags = "-c 10 -R 100 -d 2s --warmup 0ms --drain 500ms --heartbeat 500ms --size 1000 \
                 --slow-consumers 20%:1kB/s --verify";
    let outcome = run(&server, flags);
    let (tally, slow) = (&outcome.tally, outcome.tally.slow.as_ref().unwrap());
    assert_eq!((tally.established, slow.connections, slow.due, slow.sent), (10, 2, 40, 40));
    assert_eq!((tally.due, tally.verified, tally.unanswered), (160, 160, 0));
    assert_eq!((count(&outcome, Kind::Response), tally.pings_unanswered), (160, 0));
    assert_eq!(count(&outcome, Kind::Ping), tally.pings_sent);
    // 2.5 s at 1 kB/s each, and what a noisy machine adds: a tenth of what was sent back.
    assert!((2_000..14_000).contains(&slow.bytes_read), "{}", slow.bytes_read);
    assert!(slow.received <= 12 && slow.unanswered == 40 - slow.received, "{}", slow.received);
    assert_eq!((slow.closed_early, slow.answers.count()), (0, slow.received));
    assert!(tally.errors.is_empty() && tally.close_errors.is_empty(), "{tally:?}");
}

/// A room's slow members are let go by the server: that is their line, and no one's loss.
#[test]
fn a_server_lets_slow_members_go() {
    let outcome = super::inside(
        "--mode broadcast --publishers 1 --subscribers 9 -R 400 -d 2s --warmup 0ms --drain 3s \
         --size 16KiB --slow-consumers 22%:1kB/s",
    );
    let (tally, slow) = (&outcome.tally, outcome.tally.slow.as_ref().unwrap());
    let ends = (slow.closed_early, tally.closed_early);
    assert_eq!((slow.connections, ends), (2, (2, 0)), "{:?}", slow.errors);
    let rooms = tally.broadcast.as_ref().unwrap();
    assert_eq!((rooms.expected, rooms.received), (tally.sent * 8, tally.sent * 8));
    assert_eq!(slow.errors.values().sum::<u64>(), 2, "{:?}", slow.errors);
    let (heard, read) = (slow.received, slow.bytes_read);
    assert!(heard < 10 && read < 100_000, "{heard} messages in {read} bytes");
}
