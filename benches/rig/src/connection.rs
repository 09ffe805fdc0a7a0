//! One connection outside the measured loop: opened, and one message and its answer compared.

use crate::frames::{self, Message};
use crate::options::Options;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longest wait for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Longest head of an answer.
const MOST_HEAD: usize = 16 * 1024;
/// Any socket takes this much at once.
const SMALL: usize = 16 * 1024;

/// What the server must show for the key below: 20 bytes of SHA-1 (RFC 6455 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A connected socket, upgraded where there is a path to ask for.
///
/// # Errors
/// When the server can't be reached or refuses.
pub fn open(options: &Options) -> Result<TcpStream, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&options.addr, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if let Some(path) = &options.path {
        upgrade(&mut stream, options, path)?;
    }
    Ok(stream)
}

fn upgrade(stream: &mut TcpStream, options: &Options, path: &str) -> Result<(), Box<dyn Error>> {
    // In one write: how a server takes a head in pieces is not what is measured here.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        options.addr
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    // Nothing follows the head before something is sent, so a read can't take too much.
    while !head.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        let n = stream.read(&mut part)?;
        if n == 0 || head.len() > MOST_HEAD {
            return Err(format!("no answer to the upgrade: {:?}", head.escape_ascii()).into());
        }
        head.extend_from_slice(&part[..n]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT) {
        return Ok(());
    }
    Err(format!("the server refused the upgrade: {head}").into())
}

/// One message and its answer, compared; returns the answer's bytes on the wire. A message larger
/// than both socket buffers would block a writer that does not read: it is sent from a thread.
///
/// # Errors
/// When the socket fails or the answer is not what was sent.
pub fn exchange(stream: &mut TcpStream, options: &Options, message: &Message) -> io::Result<usize> {
    if message.wire.len() <= SMALL {
        stream.write_all(&message.wire)?;
        return receive(stream, options, message);
    }
    let mut writer = stream.try_clone()?;
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || writer.write_all(&message.wire));
        let reply_len = receive(stream, options, message)?;
        sending.join().map_err(|_| io::Error::other("the sender failed"))??;
        Ok(reply_len)
    })
}

/// What the server sends for `message`, compared; its bytes on the wire.
///
/// # Errors
/// When the socket fails or the answer is not what was sent.
pub fn receive(stream: &mut TcpStream, options: &Options, message: &Message) -> io::Result<usize> {
    if options.path.is_some() {
        frames::expect_reply(stream, message)
    } else {
        frames::expect_same(stream, message)
    }
}
