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

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// Read, but not yet looked at.
    rest: Vec<u8>,
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

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new() }
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

    /// Reads until `rest` holds so many bytes; false at the end of the stream.
    fn fill(&mut self, len: usize) -> bool {
        let mut piece = vec![0; 65536];
        while self.rest.len() < len {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(n) => self.rest.extend_from_slice(&piece[..n]),
                Err(e) => panic!("{e} after {} bytes: {}", self.rest.len(), self.shown()),
            }
        }
        true
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
            let more = self.rest.len() + 1;
            assert!(self.fill(more), "no whole head: {}", self.shown());
        }
    }

    /// The next frame of the server: its first byte and its payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        assert!(self.fill(2), "no frame, but the end: {}", self.shown());
        assert_eq!(self.rest[1] & 0x80, 0, "a server's frame is not masked: {}", self.shown());
        let size = match self.rest[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        assert!(self.fill(size));
        let mut len = [0; 8];
        match size {
            2 => len[7] = self.rest[1],
            _ => len[10 - size..].copy_from_slice(&self.rest[2..size]),
        }
        let end = size + u64::from_be_bytes(len) as usize;
        assert!(self.fill(end), "a frame of {end} bytes, cut after {}", self.rest.len());
        let mut bytes: Vec<u8> = self.rest.drain(..end).collect();
        (bytes[0], bytes.split_off(size))
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
        while self.fill(self.rest.len() + 1) {}
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
