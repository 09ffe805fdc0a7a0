//! A group of real shards on loopback, before any server is built on it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::app::{App, Welcome};
use super::context::Cx;
use super::defaults::default_settings;
use super::group::{Group, Launch, Spec};
use super::mailbox::Command;
use super::net::Net;
use super::peers::{Peer, Peers};
use super::reactor::Limits;
use super::slab::ConnId;
use super::sockets::SocketOptions;
use crate::conn::{End, Message, Settings, Side};
use crate::limits;
use crate::wire::handshake::{Refusal, Request};

/// Echoes, and counts what it closed.
struct Echo {
    ended: Vec<&'static str>,
}

impl App for Echo {
    type State = ();
    type Mail = ();
    type Outcome = Vec<&'static str>;
    const PRECISE: bool = false;

    fn accept(&mut self, _: &mut Cx<'_, ()>, _: &Request<'_>) -> Result<Welcome<()>, Refusal> {
        Ok(Welcome { state: (), protocol: None })
    }

    fn open(&mut self, _: &mut Cx<'_, ()>, _: &mut Peer<'_, ()>) {}

    fn message(&mut self, _: &mut Cx<'_, ()>, peer: &mut Peer<'_, ()>, message: &mut Message<'_>) {
        peer.tx.echo(message);
    }

    fn closed(&mut self, _: &mut Cx<'_, ()>, _: ConnId, (): (), end: End) {
        self.ended.push(end.name());
    }

    fn mail<N: Net>(&mut self, _: &mut Cx<'_, ()>, _: &mut Peers<'_, N, ()>, (): ()) {}

    fn finish(self) -> Self::Outcome {
        self.ended
    }
}

pub(super) fn settings() -> Settings {
    Settings { ping_interval: Some(limits::PING_INTERVAL), ..default_settings(Side::Server) }
}

fn spec(shards: usize) -> Spec {
    Spec {
        name: "test".into(),
        shards,
        pin: true,
        settings: settings(),
        limits: Limits {
            group_connections: 1000,
            shard_connections: 1000,
            buffered: limits::MAX_BUFFERED,
            addresses: None,
            pings: None,
            accepts_per_turn: limits::ACCEPTS_PER_TURN,
            mails_per_turn: 1024,
            read_buffer: limits::READ_BUFFER,
        },
        sockets: SocketOptions {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            backlog: limits::BACKLOG,
            congestion: None,
            precise: false,
        },
        mailbox: 16,
        seed: None,
    }
}

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    let mut byte = [0];
    while !got.ends_with(end) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "ended early: {got:?}");
        got.push(byte[0]);
    }
    got
}

#[test]
fn two_shards_echo_and_drain() {
    let launch = Launch::new(2);
    let group = Group::spawn(&spec(2), &launch, |_| Echo { ended: Vec::new() }).unwrap();
    let address = group.ready().unwrap().unwrap();
    let mut peers: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.write_all(REQUEST).unwrap();
            let head = read_until(&mut stream, b"\r\n\r\n");
            assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
            stream
        })
        .collect();
    for stream in &mut peers {
        let key = [1, 2, 3, 4];
        let mut frame = vec![0x82, 0x80 | 5, 1, 2, 3, 4];
        frame.extend(b"hello".iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
        stream.write_all(&frame.repeat(3)).unwrap();
        let mut echo = [0; 21];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo[..], b"\x82\x05hello".repeat(3));
    }
    group.post().command(Command::Drain);
    for stream in &mut peers {
        let mut close = [0; 4];
        stream.read_exact(&mut close).unwrap();
        assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1001));
        stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9]).unwrap();
        // The server closes first: the rest of the reason, then FIN.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    drop(peers);
    let messages: u64 = group.counters().iter().map(|c| c.messages_in.get()).sum();
    assert_eq!(messages, 60);
    let ended: Vec<_> = group.join().unwrap().into_iter().flatten().collect();
    assert_eq!(ended, ["closed_by_us"; 20]);
}

#[test]
fn an_address_in_use_is_an_error_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = spec(2);
    spec.sockets.listen = Some(taken.local_addr().unwrap());
    let group = Group::spawn(&spec, &Launch::new(2), |_| Echo { ended: Vec::new() }).unwrap();
    let error = group.ready().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(group.join().is_err());
}

/// Echoes, but reads nothing before a mail has come.
#[derive(Default)]
struct Gate {
    passes: bool,
    waiting: Vec<ConnId>,
}

impl App for Gate {
    type State = ();
    type Mail = ();
    type Outcome = ();
    const PRECISE: bool = false;

    fn accept(&mut self, _: &mut Cx<'_, ()>, _: &Request<'_>) -> Result<Welcome<()>, Refusal> {
        Ok(Welcome { state: (), protocol: None })
    }

    fn may_read(&mut self, _: &mut Cx<'_, ()>, id: ConnId, (): &()) -> bool {
        if !self.passes {
            self.waiting.push(id);
        }
        self.passes
    }

    fn open(&mut self, _: &mut Cx<'_, ()>, _: &mut Peer<'_, ()>) {}

    fn message(&mut self, _: &mut Cx<'_, ()>, peer: &mut Peer<'_, ()>, message: &mut Message<'_>) {
        peer.tx.echo(message);
    }

    fn closed(&mut self, _: &mut Cx<'_, ()>, _: ConnId, (): (), _: End) {}

    fn mail<N: Net>(&mut self, _: &mut Cx<'_, ()>, peers: &mut Peers<'_, N, ()>, (): ()) {
        self.passes = true;
        assert_eq!(self.waiting.len(), 1, "asked once, however much has come");
        self.waiting.drain(..).for_each(|id| peers.resume(id));
    }

    fn finish(self) {}
}

#[test]
fn an_app_that_may_not_read_is_handed_nothing_until_it_resumes() {
    let group = Group::spawn(&spec(1), &Launch::new(1), |_| Gate::default()).unwrap();
    let address = group.ready().unwrap().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(REQUEST).unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    for _ in 0..3 {
        stream.write_all(&[0x82, 0x81, 0, 0, 0, 0, b'x']).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let handed: u64 = group.counters()[0].messages_in.get();
    assert_eq!(handed, 0);
    group.post().send(0, ()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut echo = [0; 9];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo[..], b"\x82\x01x".repeat(3));
    group.post().command(Command::Stop);
    group.join().unwrap();
}
