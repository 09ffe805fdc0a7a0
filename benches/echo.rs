//! A round trip through a whole server over loopback: ours, and the naive one beside it.
//!
//! `naive` is what a first try looks like: a thread for each connection, a blocking library, one
//! write for each message. Both are driven by the same client on the same bytes, so the client's
//! share is in both figures. Wall time on a shared machine: for claims use `scripts/bench-peers`,
//! which reads the server's own CPU time.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::hint::black_box;
use std::net::TcpListener;
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{Client, embedded};

/// Payload bytes and messages in flight.
const ROWS: [(usize, usize); 5] = [(20, 1), (20, 16), (1024, 1), (16 * 1024, 1), (1 << 20, 1)];

/// The naive server; its threads end when their clients leave.
fn naive() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    if message.is_binary() && socket.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn echo(c: &mut Criterion) {
    let server = embedded();
    let servers = [("plimsoll", server.addr()), ("naive", naive())];
    for (size, in_flight) in ROWS {
        let mut group = c.benchmark_group(format!("echo/{size}B-x{in_flight}"));
        group.throughput(Throughput::Elements(in_flight as u64));
        for (name, address) in servers {
            let mut client = Client::connect(address, "/echo");
            let request = support::masked(size).repeat(in_flight);
            let answer = support::plain(size).repeat(in_flight);
            group.bench_function(name, |b| {
                b.iter(|| {
                    client.send(&request);
                    assert!(client.receive(answer.len()) == answer.as_slice(), "a wrong echo");
                    black_box(());
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, echo);
criterion_main!(benches);
