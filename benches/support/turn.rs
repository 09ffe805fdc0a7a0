//! What one read brings, and the connection that it is brought to: shared by the benches of `conn`.

#![allow(dead_code, unreachable_pub, reason = "each bench uses its part")]

use std::hint::black_box;

use plimsoll::conn::{Conn, Event, Gear, Input, MAX_TAIL, Side};
use plimsoll::limits;
use plimsoll::shard::default_settings;
use plimsoll::wire::frame::{self, MAX_HEADER, Opcode};
use plimsoll::wire::handshake::parse_request;
use plimsoll::wire::mask::{Key, Masker};

pub const KEY: Key = Key([0x37, 0xfa, 0x21, 0x3d]);

pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What one read brings.
#[derive(Clone, Copy)]
pub struct Load {
    pub name: &'static str,
    pub opcode: Opcode,
    /// Bytes of one message.
    pub size: usize,
    pub messages: usize,
    /// Frames of one message.
    pub fragments: usize,
}

pub const LOADS: [Load; 10] = [
    Load { name: "binary/20", opcode: Opcode::Binary, size: 20, messages: 1, fragments: 1 },
    Load { name: "binary/125", opcode: Opcode::Binary, size: 125, messages: 1, fragments: 1 },
    Load { name: "text/125", opcode: Opcode::Text, size: 125, messages: 1, fragments: 1 },
    Load { name: "binary/1024", opcode: Opcode::Binary, size: 1024, messages: 1, fragments: 1 },
    Load { name: "binary/16384", opcode: Opcode::Binary, size: 16384, messages: 1, fragments: 1 },
    Load { name: "text/16384", opcode: Opcode::Text, size: 16384, messages: 1, fragments: 1 },
    Load { name: "16x20", opcode: Opcode::Binary, size: 20, messages: 16, fragments: 1 },
    Load { name: "16x125", opcode: Opcode::Binary, size: 125, messages: 16, fragments: 1 },
    Load {
        name: "4-fragments/1024",
        opcode: Opcode::Binary,
        size: 1024,
        messages: 1,
        fragments: 4,
    },
    Load { name: "4-fragments/4096", opcode: Opcode::Text, size: 4096, messages: 1, fragments: 4 },
];

impl Load {
    /// Its frames as a client sends them.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.messages {
            for fragment in 0..self.fragments {
                let last = fragment + 1 == self.fragments;
                let opcode = if fragment == 0 { self.opcode } else { Opcode::Continuation };
                let len = self.size / self.fragments;
                let mut header = [0; MAX_HEADER];
                let size = frame::encode(last, opcode, len, Some(KEY), &mut header);
                bytes.extend_from_slice(&header[..size]);
                bytes.extend((0..len).map(|i| (b'a' + (i % 26) as u8) ^ KEY.0[i % 4]));
            }
        }
        bytes
    }
}

/// A server's connection past its handshake, with its shard's tools and read buffer.
pub struct Shard {
    conn: Conn,
    gear: Gear,
    buffer: Vec<u8>,
    /// Bytes that the last read brought.
    arrived: usize,
}

impl Shard {
    pub fn new(masker: Masker) -> Self {
        let settings = default_settings(Side::Server);
        let mut gear = Gear::new(settings, Some(1));
        gear.masker = masker;
        let conn = Conn::server(&mut gear);
        let buffer = vec![0; MAX_TAIL + limits::READ_BUFFER];
        let mut shard = Self { conn, gear, buffer, arrived: 0 };
        shard.fill(REQUEST);
        shard.turn();
        assert!(shard.conn.is_open(), "the handshake is right");
        shard
    }

    /// What the kernel does in a read: not the connection's work, and to be done before each turn,
    /// since unmasking is in place.
    pub fn fill(&mut self, arrived: &[u8]) {
        self.buffer[MAX_TAIL..][..arrived.len()].copy_from_slice(arrived);
        self.arrived = arrived.len();
    }

    /// The rest of that read turn; gives the bytes that it would write.
    pub fn turn(&mut self) -> usize {
        let Self { conn, gear, buffer, arrived } = self;
        conn.heard(gear);
        let start = MAX_TAIL - conn.restore_tail(&mut buffer[..MAX_TAIL], gear);
        let mut input = Input::new(&mut buffer[start..MAX_TAIL + *arrived], start);
        loop {
            while let Some(mut message) = conn.next_whole(&mut input, gear) {
                conn.sender(gear).echo(&mut message);
                message.reclaim(&mut gear.pool);
            }
            if conn.has_done(&input) {
                break;
            }
            match conn.next_other(&mut input, gear) {
                Some(Event::Message(mut message)) => {
                    conn.sender(gear).echo(&mut message);
                    message.reclaim(&mut gear.pool);
                }
                Some(Event::Head(head)) => {
                    let accept = parse_request(&head).expect("a right request").accept();
                    conn.accept(&accept, None, gear);
                }
                Some(_) => {}
                None => break,
            }
        }
        for slice in gear.stage.slices(buffer) {
            black_box(slice);
        }
        let written = gear.stage.len();
        conn.settle(written, buffer, gear);
        black_box(conn.step(gear));
        written
    }
}
