//! A peer that sends whatever it likes: raw bytes over a blocking socket, frames made by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use plimsoll::config::{Config, Threads};
use plimsoll::conn::End;
use plimsoll::server::Server;
use plimsoll::shard::Counters;
use socket2::{Domain, SockRef, Socket, Type};

/// No answer takes so long on a busy machine; a test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A key and the fields that every request here has.
pub(crate) const UPGRADE: &str = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                                  Sec-WebSocket-Version: 13\r\n\
                                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;

/// A server in this process: one shard, unless the change says otherwise.
pub(crate) fn serve(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin: None,
        threads: Threads::Count(1),
        pin: false,
        ..Config::default()
    };
    change(&mut config);
    Server::start(config).unwrap()
}

/// A counter's or gauge's sum over all shards.
pub(crate) fn sum(server: &Server, of: impl Fn(&Counters) -> u64) -> u64 {
    server.counters().iter().map(of).sum()
}

/// Connections that ended for this reason.
pub(crate) fn ended(server: &Server, name: &str) -> u64 {
    let index = End::NAMES.iter().position(|n| *n == name).unwrap();
    sum(server, |c| c.ends[index].get())
}

pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// After whatever happened: nobody is there and nothing is held.
pub(crate) fn nothing_is_left(server: &Server) {
    eventually("every socket closed", || sum(server, |c| c.connections.get()) == 0);
    eventually("every buffer given back", || sum(server, |c| c.buffered_bytes.get()) == 0);
    eventually("no connection open", || sum(server, |c| c.open.get()) == 0);
}

/// One frame as a client sends it, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0xfe);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0xff);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let key = [0x11, 0x22, 0x33, 0x44];
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// Bytes of the header at the front of what has come, and of the payload after it. What has not
/// come yet is more than what has.
fn header(bytes: &[u8]) -> (usize, usize) {
    let size = match bytes.get(1).map(|second| second & 0x7f) {
        None => return (2, 0),
        Some(126) => 4,
        Some(127) => 10,
        Some(short) => return (2, usize::from(short)),
    };
    let Some(length) = bytes.get(2..size) else { return (size, 0) };
    (size, length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Read, but not yet looked at.
    rest: Vec<u8>,
    /// What one read may fill.
    piece: Vec<u8>,
}

impl Peer {
    /// TCP, and nothing said.
    pub(crate) fn connect(server: SocketAddr) -> Self {
        Self::over(TcpStream::connect(server).unwrap())
    }

    /// As [`Peer::connect`], with a receive buffer that is soon full.
    pub(crate) fn connect_narrow(server: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        socket.connect(&server.into()).unwrap();
        Self::over(socket.into())
    }

    /// As [`Peer::open`] on `/`, from another address of this machine.
    pub(crate) fn open_from(address: [u8; 4], server: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&server.into()).unwrap();
        Self::over(socket.into()).upgraded("/")
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new(), piece: vec![0; 16 << 10] }
    }

    /// TCP and a good handshake.
    pub(crate) fn open(server: SocketAddr, path: &str) -> Self {
        Self::connect(server).upgraded(path)
    }

    pub(crate) fn upgraded(mut self, path: &str) -> Self {
        self.send(format!("GET {path} HTTP/1.1\r\n{UPGRADE}\r\n"));
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        self
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(frame(first, payload));
    }

    /// One read; false at the end of the stream.
    fn more(&mut self) -> bool {
        match self.stream.read(&mut self.piece) {
            Ok(n) => {
                self.rest.extend_from_slice(&self.piece[..n]);
                n > 0
            }
            Err(e) => panic!("{e} after {} bytes: {}", self.rest.len(), self.shown()),
        }
    }

    fn shown(&self) -> String {
        self.rest[..self.rest.len().min(200)].escape_ascii().to_string()
    }

    /// The answer's head.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.rest.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more(), "no whole head: {}", self.shown());
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (size, len) = header(&self.rest);
        if self.rest.len() < size + len {
            return None;
        }
        assert_eq!(self.rest[1] & 0x80, 0, "a server's frame is not masked");
        let mut bytes: Vec<u8> = self.rest.drain(..size + len).collect();
        Some((bytes[0], bytes.split_off(size)))
    }

    /// As [`Peer::frame`]; `None` at the end of the stream, be it within a frame or a reset.
    pub(crate) fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some(frame) = self.take_frame() {
                return Some(frame);
            }
            match self.stream.read(&mut self.piece) {
                Ok(n) if n > 0 => self.rest.extend_from_slice(&self.piece[..n]),
                _ => return None,
            }
        }
    }

    /// Whether bytes have come that were not looked at yet.
    pub(crate) fn has_something(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let come = self.stream.peek(&mut [0]).is_ok_and(|n| n > 0);
        self.stream.set_nonblocking(false).unwrap();
        come || !self.rest.is_empty()
    }

    /// The next frame of the server: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some(frame) = self.take_frame() {
                return frame;
            }
            assert!(self.more(), "no whole frame before the end: {}", self.shown());
        }
    }

    /// A message there and back.
    pub(crate) fn echoes(&mut self, message: &[u8]) {
        self.send_frame(BINARY, message);
        let (first, payload) = self.frame();
        assert_eq!(first, BINARY);
        assert!(payload == message, "{} bytes came back otherwise", message.len());
    }

    /// What comes until the end, which is a FIN and not a reset.
    pub(crate) fn all(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.rest)
    }

    /// The close frame that comes next, with its reason; after it nothing but the end.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        let (first, body) = self.frame();
        assert_eq!(first, CLOSE, "not a close frame: {}", body.escape_ascii());
        let after = self.all();
        assert!(after.is_empty(), "after the close frame: {}", after.escape_ascii());
        let code = u16::from_be_bytes([body[0], body[1]]);
        (code, String::from_utf8(body[2..].to_vec()).unwrap())
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
