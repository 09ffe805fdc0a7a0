//! A TCP echo on one thread: edge-triggered epoll, one shared buffer, one read, one write.
//!
//! It stops after a short read, as the servers it is compared with may, and keeps what the socket
//! did not take. It does nothing else: no limits, no timers, no framing.

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
const LISTENER: Token = Token(usize::MAX);

struct Peer {
    stream: TcpStream,
    /// What the socket did not take, and how much of it since; nothing is read while there is some.
    owed: Vec<u8>,
    paid: usize,
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
    let mut listener = TcpListener::bind(addr)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on tcp://{}", listener.local_addr()?);

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
            if event.token() == LISTENER {
                accept(&listener, poll.registry(), &mut peers)?;
                continue;
            }
            let Some(slot) = peers.get_mut(event.token().0) else { continue };
            if let Some(peer) = slot
                && !matches!(echo(peer, event, &mut buffer), Ok(true))
            {
                *slot = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
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
                peers[free] = Some(Peer { stream, owed: Vec::new(), paid: 0 });
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

/// One turn of one connection; whether it stays open.
fn echo(peer: &mut Peer, event: &Event, buffer: &mut [u8]) -> io::Result<bool> {
    if !peer.owed.is_empty() {
        peer.paid += write(&mut peer.stream, &peer.owed[peer.paid..])?;
        if peer.paid < peer.owed.len() {
            return Ok(true);
        }
        peer.owed.clear();
        peer.paid = 0;
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
