//! One message to many subscribers over loopback: ours, and the naive loop beside it.
//!
//! `naive` encodes the frame again for each subscriber and writes to blocking sockets one by one. A
//! round ends when the last subscriber has the whole batch, so the reading client's share is in
//! both figures.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{Client, embedded};

const SUBSCRIBERS: usize = 200;
const SIZE: usize = 64;
/// Messages published at once.
const BATCHES: [usize; 2] = [1, 16];

/// The naive fan-out: reads whole frames of the first connection, writes each to every connection.
fn naive() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (joined, members): (_, Receiver<TcpStream>) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            let socket = tungstenite::accept(stream).unwrap();
            let _ = joined.send(socket.get_ref().try_clone().unwrap());
        }
    });
    thread::spawn(move || {
        let first = members.recv().unwrap();
        let mut publisher = tungstenite::WebSocket::from_raw_socket(
            first.try_clone().unwrap(),
            tungstenite::protocol::Role::Server,
            None,
        );
        let mut room = vec![first];
        while let Ok(message) = publisher.read() {
            room.extend(members.try_iter());
            for member in &mut room {
                let mut frame = support::header(message.len());
                frame.extend_from_slice(&message.clone().into_data());
                if member.write_all(&frame).is_err() {
                    return;
                }
            }
        }
    });
    address
}

fn fanout(c: &mut Criterion) {
    let server = embedded();
    for (name, address) in [("plimsoll", server.addr()), ("naive", naive())] {
        let mut publisher = Client::connect(address, "/broadcast/bench");
        let mut rest: Vec<_> =
            (1..SUBSCRIBERS).map(|_| Client::connect(address, "/broadcast/bench")).collect();
        for batch in BATCHES {
            let mut group = c.benchmark_group(format!("fanout/{SUBSCRIBERS}x{SIZE}B-x{batch}"));
            group.throughput(Throughput::Elements((SUBSCRIBERS * batch) as u64));
            let request = support::masked(SIZE).repeat(batch);
            let delivery = support::plain(SIZE).repeat(batch);
            group.bench_function(name, |b| {
                b.iter(|| {
                    publisher.send(&request);
                    for member in rest.iter_mut().chain([&mut publisher]) {
                        let got = member.receive(delivery.len());
                        assert!(got == delivery.as_slice(), "a wrong delivery");
                    }
                });
            });
            group.finish();
        }
    }
}

criterion_group!(benches, fanout);
criterion_main!(benches);
