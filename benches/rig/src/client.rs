//! The closed loop: N connections on one thread, each with one batch on the way.

use crate::connection::{self, PATIENCE};
use crate::frames::Message;
use crate::measured::{self, Tally};
use crate::options::Options;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{self, Read, Write};
use std::time::Instant;

/// Bytes read at once; the answers are counted, never kept.
const BUFFER: usize = 256 * 1024;
const EVENTS: usize = 1024;

struct Peer {
    stream: TcpStream,
    /// Bytes of the batch that the socket has taken.
    sent: usize,
    /// Bytes of the batch's answer that have come.
    received: usize,
    idle: bool,
}

/// What every connection sends and awaits.
struct Batch {
    wire: Vec<u8>,
    reply_len: usize,
    messages: u64,
}

/// Runs the loop once and prints its figures as one line of JSON.
///
/// # Errors
/// When the server can't be reached, stops answering, or answers wrongly.
pub fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let message = Message::new(options, 1);
    let (mut peers, reply_len) = connect_all(options, &message)?;
    let batch = Batch {
        wire: Message::batch(options),
        reply_len: reply_len * options.in_flight,
        messages: options.in_flight as u64,
    };
    let mut tally = Tally::default();
    if options.gated {
        measured::gate(options, "\"connected\"")?;
    }
    drive(options, &mut peers, &batch, &mut tally)?;
    measured::gate(options, &tally.line())?;
    for peer in peers {
        let mut stream = std::net::TcpStream::from(peer.stream);
        stream.set_nonblocking(false)?;
        connection::exchange(&mut stream, options, &message)?;
    }
    Ok(())
}

/// Connections that have answered one message correctly, and the bytes of that answer.
fn connect_all(options: &Options, message: &Message) -> Result<(Vec<Peer>, usize), Box<dyn Error>> {
    let mut reply_len = 0;
    let mut peers = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let mut stream = connection::open(options)?;
        reply_len = connection::exchange(&mut stream, options, message)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        peers.push(Peer { stream, sent: 0, received: 0, idle: true });
    }
    Ok((peers, reply_len))
}

fn drive(
    options: &Options,
    peers: &mut [Peer],
    batch: &Batch,
    tally: &mut Tally,
) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let mut buffer = vec![0; BUFFER];
    for (at, peer) in peers.iter_mut().enumerate() {
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut peer.stream, Token(at), interest)?;
    }
    let start = Instant::now();
    let mut busy = peers.len();
    for peer in peers.iter_mut() {
        peer.idle = false;
        send(peer, batch)?;
    }
    while busy > 0 {
        let stopping = tally.tick(options, start)?;
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("{busy} connections got no answer for {PATIENCE:?}").into());
        }
        for event in &events {
            let peer = &mut peers[event.token().0];
            let was_idle = peer.idle;
            tally.total += turn(peer, batch, &mut buffer, stopping)? * batch.messages;
            busy -= usize::from(!was_idle && peer.idle);
        }
    }
    Ok(())
}

/// Sends and receives what can be; returns how many batches were answered.
fn turn(peer: &mut Peer, batch: &Batch, buffer: &mut [u8], stopping: bool) -> io::Result<u64> {
    let mut answered = 0;
    send(peer, batch)?;
    loop {
        let n = match peer.stream.read(buffer) {
            Ok(0) => return Err(io::Error::other("the server closed a connection")),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(answered),
            Err(e) => return Err(e),
        };
        peer.received += n;
        if peer.received > batch.reply_len || peer.idle {
            return Err(io::Error::other("the server sent more than was asked for"));
        }
        if peer.received == batch.reply_len {
            answered += 1;
            (peer.sent, peer.received, peer.idle) = (0, 0, stopping);
            send(peer, batch)?;
        }
        if n < buffer.len() {
            return Ok(answered);
        }
    }
}

fn send(peer: &mut Peer, batch: &Batch) -> io::Result<()> {
    while !peer.idle && peer.sent < batch.wire.len() {
        match peer.stream.write(&batch.wire[peer.sent..]) {
            Ok(n) => peer.sent += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
