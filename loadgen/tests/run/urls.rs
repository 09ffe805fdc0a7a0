//! Several servers under one load.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use loadgen::measure::{Outcome, ServerTally};
use plimsoll::config::Config;
use plimsoll::server::Server as Rooms;

use crate::server::{Manner, Server};
use crate::start;

const RUN: &str = "-R 200 -d 500ms --warmup 100ms --heartbeat off";

fn url(to: SocketAddr) -> String {
    format!("ws://{to}/")
}

/// Connections and messages of what a server has counted.
fn seen(server: &Server) -> (u64, u64) {
    let counters = server.counters();
    let opened = counters.iter().map(|shard| shard.opened.get()).sum();
    (opened, counters.iter().map(|shard| shard.messages_in.get()).sum())
}

fn established(outcome: &Outcome) -> Vec<(&str, u64, u64, u64)> {
    let each = |server: &'_ ServerTally| (server.requested, server.established, server.failed);
    let servers = outcome.servers.iter();
    servers
        .map(|server| (server.url.as_str(), each(server)))
        .map(|(u, (a, b, c))| (u, a, b, c))
        .collect()
}

#[test]
fn connections_take_turns() {
    let (a, b) = (Server::start(Manner::Echo), Server::start(Manner::Echo));
    let (first, second) = (url(a.address), url(b.address));
    // Threads that share a factor with the servers, and some that share none.
    for threads in [1, 2, 3] {
        let before = (seen(&a), seen(&b));
        let outcome = start(&format!("{first} {second} -c 30 -t {threads} {RUN}")).unwrap();
        let tally = &outcome.tally;
        assert_eq!((tally.established, tally.failed, tally.unanswered), (30, 0, 0));
        let new = |now: (u64, u64), before: (u64, u64)| (now.0 - before.0, now.1 - before.1);
        let (at_a, at_b) = (new(seen(&a), before.0), new(seen(&b), before.1));
        assert_eq!((at_a.0, at_b.0), (15, 15), "{threads} threads");
        // 100 messages in the window and 20 before, an equal part on each connection.
        assert_eq!((at_a.1, at_b.1), (60, 60), "{threads} threads");
        assert_eq!(established(&outcome), [(&*first, 15, 15, 0), (&*second, 15, 15, 0)]);
        assert_eq!(outcome.target, format!("{first}, {second}"));
    }
}

#[test]
fn one_url_twice_counts_twice() {
    let (a, b) = (Server::start(Manner::Echo), Server::start(Manner::Echo));
    let (first, second) = (url(a.address), url(b.address));
    let outcome = start(&format!("{first} {second} {first} -c 30 {RUN}")).unwrap();
    assert_eq!((seen(&a).0, seen(&b).0), (20, 10));
    assert_eq!(established(&outcome).len(), 3);
}

/// A port where nobody listens.
fn dead() -> SocketAddr {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    gone.local_addr().unwrap()
}

#[test]
fn a_dead_server_is_named_and_the_others_work() {
    let live = Server::start(Manner::Echo);
    let dead = dead();
    let (first, second) = (url(dead), url(live.address));
    let outcome = start(&format!("{first} {second} -c 200 {RUN}")).unwrap();
    let tally = &outcome.tally;
    assert_eq!((tally.established, tally.failed), (100, 100));
    assert_eq!(established(&outcome), [(&*first, 100, 0, 100), (&*second, 100, 100, 0)]);
    let (cause, count) = tally.errors.iter().next().unwrap();
    assert!(cause.starts_with(&format!("{dead} connection refused")), "{:?}", tally.errors);
    assert_eq!((*count, tally.errors.len()), (100, 1));
    assert_eq!((tally.due, tally.received), (100, 100));
}

#[test]
fn none_of_several_is_no_run() {
    let (a, b) = (dead(), dead());
    let error = start(&format!("{} {} -c 4 {RUN}", url(a), url(b))).err().unwrap().to_string();
    assert!(error.contains(&a.to_string()) && error.contains(&b.to_string()), "{error}");
    assert!(error.contains("connection refused"), "{error}");
    let unknown = start(&format!("{} ws://no-such-host.invalid/ {RUN}", url(a)));
    let unknown = unknown.err().unwrap().to_string();
    assert!(unknown.contains("'no-such-host.invalid' does not resolve"), "{unknown}");
}

#[test]
fn who_leaves_is_counted_at_its_server() {
    let (leaves, stays) = (Server::start(Manner::Leave), Server::start(Manner::Echo));
    let (first, second) = (url(leaves.address), url(stays.address));
    let outcome = start(&format!("{first} {second} -c 10 {RUN}")).unwrap();
    let early: Vec<u64> = outcome.servers.iter().map(|server| server.closed_early).collect();
    assert_eq!(early, [5, 0]);
    let cause = outcome.tally.errors.keys().next().unwrap();
    assert!(cause.starts_with(&format!("{} closed early: ", leaves.address)), "{cause}");
}

fn rooms() -> Rooms {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Rooms::start(Config { listen, admin: None, pin: false, ..Config::default() }).unwrap()
}

/// Each room is on one server as a whole: else its members would miss what others publish.
#[test]
fn rooms_take_turns() {
    let (a, b) = (rooms(), rooms());
    let urls = format!("{} {}", url(a.addr()), url(b.addr()));
    for (count, members) in [(4, [20, 20]), (3, [27, 13])] {
        let outcome = start(&format!(
            "{urls} --mode broadcast --rooms {count} --publishers {count} \
             --subscribers {} -R 100 -d 500ms --warmup 100ms --heartbeat off",
            40 - count
        ))
        .unwrap();
        let tally = &outcome.tally;
        let rooms = tally.broadcast.as_ref().unwrap();
        assert_eq!((tally.established, tally.strays, rooms.duplicate), (40, 0, 0));
        assert!(rooms.expected > 0 && rooms.lost() == 0, "{rooms:?}");
        let found: Vec<u64> = outcome.servers.iter().map(|server| server.established).collect();
        assert_eq!(found, members, "{count} rooms");
    }
}
