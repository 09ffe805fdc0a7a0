//! The admin HTTP over a real socket.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;

fn facts() -> Facts {
    Facts {
        name: "none".to_owned(),
        listen: "127.0.0.1:9001".parse().unwrap(),
        counters: (0..2).map(|_| Counters::default()).collect(),
        blocks: Tally::default(),
        draining: Arc::new(AtomicBool::new(false)),
        started: Instant::now(),
        max_connections: 10,
        max_buffered: 1 << 20,
    }
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[test]
fn health_readiness_and_metrics() {
    let facts = facts();
    facts.counters[1].opened.add(5);
    let draining = Arc::clone(&facts.draining);
    let control = start(Some(any_port()), facts, None, None).unwrap();
    let addr = control.addr().unwrap();
    assert!(get(addr, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(addr, "/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    draining.store(true, Relaxed);
    assert!(get(addr, "/readyz").starts_with("HTTP/1.1 503 "));
    assert!(get(addr, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    let metrics = get(addr, "/metrics");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("\nplimsoll_handshakes_total{shard=\"1\"} 5\n"), "{metrics}");
    assert!(metrics.contains("\nplimsoll_draining 1\n"), "{metrics}");
    let page = get(addr, "/");
    assert!(page.contains("content-type: text/html") && page.ends_with("</html>\n"), "{page}");
    assert!(get(addr, "/other").starts_with("HTTP/1.1 404 "));
    drop(control);
    assert!(TcpStream::connect(addr).is_err(), "the listener is gone with its owner");
}

#[test]
fn an_address_in_use_is_named_with_a_remedy() {
    let taken = TcpListener::bind(any_port()).unwrap();
    let addr = taken.local_addr().unwrap();
    let error = start(Some(addr), facts(), None, None).unwrap_err().to_string();
    assert!(error.contains(&addr.to_string()) && error.contains("--admin off"), "{error}");
}

#[test]
fn without_a_listener_there_is_no_address() {
    assert_eq!(start(None, facts(), None, None).unwrap().addr(), None);
}
