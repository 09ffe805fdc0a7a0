//! The few frames a bench client writes and reads (RFC 6455 5.2), apart from the library on
//! purpose.

use crate::options::{Options, Payload};
use std::io::{self, Read};

/// A message as it goes over the wire, and what must come back.
#[derive(Debug)]
pub struct Message {
    /// The masked frames.
    pub wire: Vec<u8>,
    /// The payload, all fragments together.
    pub payload: Vec<u8>,
    /// 1 text, 2 binary.
    pub opcode: u8,
}

impl Message {
    /// The message that `options` ask for. `seed` makes the masking keys differ.
    pub fn new(options: &Options, seed: u64) -> Self {
        let payload = payload(options.payload, options.size);
        let opcode = if options.payload == Payload::Binary { 2 } else { 1 };
        let mut random = seed;
        let mut wire = Vec::new();
        let piece = (options.size / options.fragments).max(1);
        for at in 0..options.fragments {
            let part = payload.get(at * piece..(at + 1) * piece).unwrap_or_default();
            let first = if at == 0 { opcode } else { 0 };
            let fin = if at + 1 == options.fragments { 0x80 } else { 0 };
            random = next(random);
            let [.., a, b, c, d] = random.to_be_bytes();
            write_frame(&mut wire, fin | first, [a, b, c, d], part);
        }
        Self { wire, payload, opcode }
    }

    /// The bytes of as many messages as are to be in flight, each with its own masking keys.
    pub fn batch(options: &Options) -> Vec<u8> {
        (0..options.in_flight as u64).flat_map(|seed| Self::new(options, seed + 2).wire).collect()
    }
}

/// splitmix64: masking keys need to be unlike, not secret, against a server of one's own.
fn next(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn payload(kind: Payload, size: usize) -> Vec<u8> {
    match kind {
        Payload::Binary => (0..size).map(|i| (i * 7 % 251) as u8).collect(),
        Payload::Ascii => (0..size).map(|i| b'a' + (i % 26) as u8).collect(),
        Payload::Letters => {
            let mut text: Vec<u8> = "жюри".bytes().cycle().take(size / 2 * 2).collect();
            text.resize(size, b'.');
            text
        }
    }
}

/// The mask bit of a frame's second byte.
const MASKED: u8 = 0x80;
/// The lengths that say that 16 or 64 bits of length follow.
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

fn write_frame(wire: &mut Vec<u8>, first: u8, key: [u8; 4], payload: &[u8]) {
    wire.push(first);
    match payload.len() {
        len @ 0..=125 => wire.push(MASKED | len as u8),
        len @ 126..=0xffff => {
            wire.push(MASKED | LEN_16);
            wire.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            wire.push(MASKED | LEN_64);
            wire.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    wire.extend_from_slice(&key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Reads one whole message and compares it with `sent`; returns its bytes on the wire. A server may
/// answer fragments by fragments, or by one frame.
///
/// # Errors
/// When the answer is not what was sent.
pub fn expect_reply(from: &mut impl Read, sent: &Message) -> io::Result<usize> {
    let wrong = |what: String| Err(io::Error::other(format!("the answer is wrong: {what}")));
    let (mut payload, mut wire) = (Vec::new(), 0);
    loop {
        let mut head = [0; 2];
        from.read_exact(&mut head)?;
        let first = wire == 0;
        let opcode = if first { sent.opcode } else { 0 };
        if head[0] & 0x7f != opcode || head[1] & 0x80 != 0 {
            return wrong(format!("a frame starts with {:#04x} {:#04x}", head[0], head[1]));
        }
        let (len, head_len) = match head[1] {
            LEN_16 => {
                let mut more = [0; 2];
                from.read_exact(&mut more)?;
                (u64::from(u16::from_be_bytes(more)), 4)
            }
            LEN_64 => {
                let mut more = [0; 8];
                from.read_exact(&mut more)?;
                (u64::from_be_bytes(more), 10)
            }
            len => (u64::from(len), 2),
        };
        if len > (sent.payload.len() - payload.len()) as u64 {
            return wrong(format!("{len} bytes more after {}", payload.len()));
        }
        let at = payload.len();
        payload.resize(at + len as usize, 0);
        from.read_exact(&mut payload[at..])?;
        wire += head_len + len as usize;
        if head[0] & 0x80 != 0 {
            break;
        }
    }
    if payload == sent.payload { Ok(wire) } else { wrong("its payload differs".into()) }
}

/// Reads as many bytes as were sent, which must be the same; returns their number.
///
/// # Errors
/// When they differ.
pub fn expect_same(from: &mut impl Read, sent: &Message) -> io::Result<usize> {
    let mut back = vec![0; sent.wire.len()];
    from.read_exact(&mut back)?;
    if back == sent.wire {
        return Ok(back.len());
    }
    Err(io::Error::other("the answer is wrong: its bytes differ"))
}
