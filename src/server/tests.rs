//! Starting and ending inside this process, as the load generator does it.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::*;
use crate::config::Threads;
use crate::limits;

fn config() -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        admin: None,
        threads: Threads::Count(2),
        drain_timeout: Duration::from_millis(300),
        ..Config::default()
    }
}

/// Twins that stand on floors which do not look at the limits.
#[test]
fn what_is_written_twice_is_the_same() {
    use crate::wire::violation::Violation;
    assert_eq!(limits::TICK, Duration::from_millis(crate::conn::Tick::MILLIS.into()));
    assert_eq!(limits::MAX_HEADERS, crate::wire::handshake::MAX_HEADERS);
    let text = Violation::MessageTooBig { limit: 1 }.to_string();
    assert!(text.contains(&format!("counts for {} at least", limits::FRAME_COST)), "{text}");
}

/// The status line that a plain request gets.
fn status(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8(line.to_vec()).unwrap()
}

#[test]
fn it_serves_until_it_is_drained() {
    let server = Server::start(config()).unwrap();
    let (addr, counters) = (server.addr(), server.counters());
    assert_eq!((server.shards(), status(addr).as_str()), (2, "HTTP/1.1 426"));
    let handle = server.handle();
    let waiting = std::thread::spawn(move || server.wait());
    handle.drain();
    waiting.join().unwrap().unwrap();
    assert!(TcpStream::connect(addr).is_err());
    assert_eq!(counters.iter().map(|c| c.refused.get()).sum::<u64>(), 1);
}

#[test]
fn who_does_not_leave_is_cut_at_the_drain_timeout() {
    let server = Server::start(config()).unwrap();
    let silent = TcpStream::connect(server.addr()).unwrap();
    let begin = Instant::now();
    server.drain();
    server.wait().unwrap();
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
    drop(silent);
}

#[test]
fn a_dropped_server_is_gone() {
    let server = Server::start(config()).unwrap();
    let addr = server.addr();
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn two_servers_may_share_a_launch() {
    let plan = config().plan(&this_machine()).unwrap();
    let launch = Launch::new(2 * plan.shards);
    let one = Starting::spawn(config(), plan.clone(), &launch).unwrap();
    let two = Starting::spawn(config(), plan, &launch).unwrap();
    let (one, two) = (one.ready().unwrap(), two.ready().unwrap());
    for server in [&one, &two] {
        assert_eq!(status(server.addr()), "HTTP/1.1 426");
    }
    drop(one);
    assert_eq!(status(two.addr()), "HTTP/1.1 426");
}

#[test]
fn an_address_in_use_stops_the_start() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    let error = Server::start(Config { listen, ..config() }).unwrap_err();
    assert!(matches!(error, StartError::Listen { addr, .. } if addr == listen), "{error}");
}

/// One that does not exist, and one that only a privileged process may have: neither is the
/// address's fault.
#[test]
fn a_congestion_control_that_is_refused_is_named() {
    let restricted = io::Error::new(io::ErrorKind::Unsupported, "TCP_CONGESTION: EPERM");
    let config = Config { congestion: Some("nosuchthing".into()), ..config() };
    let error = start_error(&config, restricted);
    assert!(matches!(error, StartError::Congestion { .. }), "{error}");
    let error = Server::start(config).unwrap_err();
    assert!(matches!(&error, StartError::Congestion { name, .. } if name == "nosuchthing"));
    let error = error.to_string();
    assert!(error.contains("--congestion") && !error.contains("listen"), "{error}");
}

#[test]
fn a_shard_that_ends_by_itself_takes_the_server_down() {
    for panicked in [true, false] {
        let server = Server::start(config()).unwrap();
        let addr = server.addr();
        server.handle.events.send(Event::ShardEnded { panicked }).unwrap();
        server.wait().unwrap();
        assert!(TcpStream::connect(addr).is_err());
    }
}
