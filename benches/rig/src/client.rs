//! The closed loop: N connections on one thread, each with one batch on the way.

use crate::cpu;
use crate::frames::{self, Message};
use crate::options::Options;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::error::Error;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Bytes read at once; the answers are counted, never kept.
const BUFFER: usize = 256 * 1024;
const EVENTS: usize = 1024;
/// Longest wait for an answer before and after the loop, and for an event in it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server must show for the key below: 20 bytes of SHA-1 (RFC 6455 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

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

/// The measured window, closed at both ends.
#[derive(Default)]
struct Tally {
    total: u64,
    from: Option<Mark>,
    to: Option<Mark>,
}

struct Mark {
    at: Instant,
    total: u64,
    server_ns: u64,
    client_ns: u64,
}

/// Runs the client once and prints its figures as one line of JSON.
///
/// # Errors
/// When the server can't be reached, stops answering, or answers wrongly.
pub fn run(args: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let options = Options::parse(args)?;
    let message = Message::new(&options, 1);
    let (mut peers, reply_len) = connect_all(&options, &message)?;
    let mut wire = Vec::new();
    for seed in 0..options.in_flight as u64 {
        wire.extend_from_slice(&Message::new(&options, seed + 2).wire);
    }
    let batch = Batch {
        wire,
        reply_len: reply_len * options.in_flight,
        messages: options.in_flight as u64,
    };
    let mut tally = Tally::default();
    drive(&options, &mut peers, &batch, &mut tally)?;
    let connections = peers.len() as u64;
    for peer in peers {
        let mut stream = std::net::TcpStream::from(peer.stream);
        stream.set_nonblocking(false)?;
        exchange(&mut stream, &options, &message)?;
    }
    // The two exchanges outside the loop are messages too: a count of system calls needs all.
    print(&tally, tally.total + 2 * connections);
    Ok(())
}

/// Connections that have answered one message correctly, and the bytes of that answer.
fn connect_all(options: &Options, message: &Message) -> Result<(Vec<Peer>, usize), Box<dyn Error>> {
    let mut reply_len = 0;
    let mut peers = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        let mut stream = std::net::TcpStream::connect_timeout(&options.addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        if let Some(path) = &options.path {
            upgrade(&mut stream, options, path)?;
        }
        reply_len = exchange(&mut stream, options, message)?;
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream);
        peers.push(Peer { stream, sent: 0, received: 0, idle: true });
    }
    Ok((peers, reply_len))
}

fn upgrade(
    stream: &mut std::net::TcpStream,
    options: &Options,
    path: &str,
) -> Result<(), Box<dyn Error>> {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        options.addr
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT) {
        return Ok(());
    }
    Err(format!("the server refused the upgrade: {head}").into())
}

/// One message and its answer, compared; returns the answer's bytes on the wire. A message larger
/// than both socket buffers would block a writer that does not read: it is sent from a thread.
fn exchange(
    stream: &mut std::net::TcpStream,
    options: &Options,
    message: &Message,
) -> io::Result<usize> {
    let mut writer = stream.try_clone()?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || writer.write_all(&message.wire));
        let reply_len = if options.path.is_some() {
            frames::expect_reply(stream, message)?
        } else {
            let mut back = vec![0; message.wire.len()];
            stream.read_exact(&mut back)?;
            if back != message.wire {
                return Err(io::Error::other("the answer is wrong: its bytes differ"));
            }
            back.len()
        };
        sending.join().map_err(|_| io::Error::other("the sender failed"))??;
        Ok(reply_len)
    })
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
    let mut stopping = false;
    let mut busy = peers.len();
    for peer in peers.iter_mut() {
        peer.idle = false;
        send(peer, batch)?;
    }
    while busy > 0 {
        let now = Instant::now();
        if tally.from.is_none() && now >= start + options.warmup {
            tally.from = Some(mark(options, now, tally.total)?);
        }
        if !stopping {
            let full = options.messages.is_some_and(|limit| tally.total >= limit);
            let over = now >= start + options.warmup + options.window;
            stopping = full || (over && options.messages.is_none());
            if stopping {
                tally.to = Some(mark(options, now, tally.total)?);
            }
        }
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

fn mark(options: &Options, at: Instant, total: u64) -> io::Result<Mark> {
    let server_ns = match options.server_pid {
        Some(pid) => cpu::nanoseconds(&pid.to_string())?,
        None => 0,
    };
    Ok(Mark { at, total, server_ns, client_ns: cpu::nanoseconds("self")? })
}

/// `total` counts every message since the first connection; the rest is of the window.
fn print(tally: &Tally, total: u64) {
    let (Some(from), Some(to)) = (&tally.from, &tally.to) else {
        println!("{{\"total\":{total}}}");
        return;
    };
    println!(
        "{{\"messages\":{},\"seconds\":{:.6},\"server_ns\":{},\"client_ns\":{},\"total\":{total}}}",
        to.total - from.total,
        (to.at - from.at).as_secs_f64(),
        to.server_ns - from.server_ns,
        to.client_ns - from.client_ns,
    );
}
