//! A TCP echo on one thread: edge-triggered epoll, one shared buffer, one read, one write.
//!
//! It stops after a short read, as the servers it is compared with may, and keeps what the socket
//! did not take. On a second port it is a relay: one read, and one write of the same bytes to each
//! connection there. It does nothing else: no limits, no timers, no framing.

use crate::options::USAGE;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

/// Bytes of the shared buffer: half of a common L2.
const BUFFER: usize = 128 * 1024;
/// Events taken in one turn.
const EVENTS: usize = 1024;
const ECHO: Token = Token(usize::MAX);
const RELAY: Token = Token(usize::MAX - 1);

struct Peer {
    stream: TcpStream,
    /// What the socket did not take, and how much of it since; nothing is read while there is some.
    owed: Vec<u8>,
    paid: usize,
    /// What it sends goes to everyone of its kind.
    relay: bool,
}

/// Serves until it is killed.
///
/// # Errors
/// When the address can't be bound or the poll fails.
pub fn serve(mut args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let addr: SocketAddr = match (args.next().as_deref(), args.next()) {
        (None, _) => "127.0.0.1:0".parse()?,
        (Some("--listen"), Some(addr)) => addr.parse()?,
        _ => return Err(USAGE.into()),
    };
    let mut poll = Poll::new()?;
    let mut echo_at = TcpListener::bind(addr)?;
    let mut relay_at = TcpListener::bind(SocketAddr::new(addr.ip(), 0))?;
    poll.registry().register(&mut echo_at, ECHO, Interest::READABLE)?;
    poll.registry().register(&mut relay_at, RELAY, Interest::READABLE)?;
    println!("relaying on tcp://{}", relay_at.local_addr()?);
    println!("listening on tcp://{}", echo_at.local_addr()?);

    let mut events = Events::with_capacity(EVENTS);
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match poll.poll(&mut events, None) {
            // A debugger or a tracer came or went.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        }
        for event in &events {
            let at = match event.token() {
                ECHO => {
                    accept(&echo_at, false, poll.registry(), &mut peers)?;
                    continue;
                }
                RELAY => {
                    accept(&relay_at, true, poll.registry(), &mut peers)?;
                    continue;
                }
                Token(at) => at,
            };
            let open = match peers.get_mut(at) {
                Some(Some(peer)) if peer.relay => relay(&mut peers, at, event, &mut buffer),
                Some(Some(peer)) => echo(peer, event, &mut buffer),
                _ => continue,
            };
            if !matches!(open, Ok(true)) {
                peers[at] = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    relay: bool,
    registry: &Registry,
    peers: &mut Vec<Option<Peer>>,
) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                let free = peers.iter().position(Option::is_none).unwrap_or(peers.len());
                if free == peers.len() {
                    peers.push(None);
                }
                let interest = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut stream, Token(free), interest)?;
                peers[free] = Some(Peer { stream, owed: Vec::new(), paid: 0, relay });
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

impl Peer {
    /// Writes what is owed; whether nothing is left.
    fn pay(&mut self) -> io::Result<bool> {
        if self.owed.is_empty() {
            return Ok(true);
        }
        self.paid += write(&mut self.stream, &self.owed[self.paid..])?;
        if self.paid < self.owed.len() {
            return Ok(false);
        }
        self.owed.clear();
        self.paid = 0;
        Ok(true)
    }
}

/// One turn of a connection of the relay; whether it stays open.
fn relay(
    peers: &mut [Option<Peer>],
    at: usize,
    event: &Event,
    buffer: &mut [u8],
) -> io::Result<bool> {
    sender(peers, at)?.pay()?;
    if !event.is_readable() {
        return Ok(true);
    }
    loop {
        let n = match sender(peers, at)?.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        };
        for peer in peers.iter_mut().flatten().filter(|peer| peer.relay) {
            let taken = if peer.pay()? { write(&mut peer.stream, &buffer[..n])? } else { 0 };
            peer.owed.extend_from_slice(&buffer[taken..n]);
        }
        if n < buffer.len() && !event.is_read_closed() {
            return Ok(true);
        }
    }
}

fn sender(peers: &mut [Option<Peer>], at: usize) -> io::Result<&mut Peer> {
    peers[at].as_mut().ok_or_else(|| io::Error::other("the sender is gone"))
}

/// One turn of one connection of the echo; whether it stays open.
fn echo(peer: &mut Peer, event: &Event, buffer: &mut [u8]) -> io::Result<bool> {
    if !peer.pay()? {
        return Ok(true);
    }
    loop {
        let n = match peer.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        };
        let taken = write(&mut peer.stream, &buffer[..n])?;
        if taken < n {
            peer.owed.extend_from_slice(&buffer[taken..n]);
            return Ok(true);
        }
        if n < buffer.len() && !event.is_read_closed() {
            return Ok(true);
        }
    }
}

/// One write. A socket that takes less is full, and its next edge is sure to come.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}
