//! What the benches over sockets share: a server inside this process and a client of plain bytes.

#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll::config::{Config, Threads};
use plimsoll::server::Server;
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::mask::{Key, Masker};

/// A server of one shard on a free port of loopback.
pub fn embedded() -> Server {
    let config = Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin: None,
        threads: Threads::Count(1),
        max_message: 2 << 20,
        ..Config::default()
    };
    Server::start(config).unwrap()
}

/// A connection past its handshake, spoken to in bytes.
pub struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.extend_from_slice(&byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Self { stream, bytes: Vec::new() }
    }

    /// Writes all of it, reading nothing meanwhile: the socket buffers hold what the benches send.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next `n` bytes.
    pub fn receive(&mut self, n: usize) -> &[u8] {
        self.bytes.resize(n, 0);
        self.stream.read_exact(&mut self.bytes).unwrap();
        &self.bytes
    }
}

fn payload(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 31 % 251) as u8).collect()
}

/// A binary message as a client sends it.
pub fn masked(size: usize) -> Vec<u8> {
    let key = Key([0x37, 0xfa, 0x21, 0x3d]);
    let mut header = [0; MAX_HEADER];
    let head = frame::encode(true, Opcode::Binary, size, Some(key), &mut header);
    let mut bytes = payload(size);
    Masker::detect().apply(key, &mut bytes);
    [&header[..head], &bytes].concat()
}

/// The header of a binary message as a server sends it.
pub fn header(size: usize) -> Vec<u8> {
    let mut header = [0; MAX_HEADER];
    let head = frame::encode(true, Opcode::Binary, size, None, &mut header);
    header[..head].to_vec()
}

/// A binary message as a server sends it.
pub fn plain(size: usize) -> Vec<u8> {
    [header(size), payload(size)].concat()
}
