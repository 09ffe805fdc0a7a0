//! Frames the slow and plain way, straight from RFC 6455 5.2: what the machine is judged by.
//!
//! It shares no code with `wire`: an error there cannot hide in its own mirror.

// Each of the programs that include this file uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used)]

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// One frame, masked when there is a key.
pub(crate) fn frame(fin: bool, opcode: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(fin, opcode, key, payload.len() as u64);
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
    bytes
}

/// A header alone, for a payload of any length.
pub(crate) fn header(fin: bool, opcode: u8, key: Option<[u8; 4]>, len: u64) -> Vec<u8> {
    let mut bytes = vec![opcode | if fin { 0x80 } else { 0 }];
    let mask = if key.is_some() { 0x80 } else { 0 };
    if len <= 125 {
        bytes.push(mask | len as u8);
    } else if len <= 0xffff {
        bytes.push(mask | 0x7e);
        bytes.extend((len as u16).to_be_bytes());
    } else {
        bytes.push(mask | 0x7f);
        bytes.extend(len.to_be_bytes());
    }
    bytes.extend(key.iter().flatten());
    bytes
}

/// A close frame.
pub(crate) fn close(key: Option<[u8; 4]>, code: u16, reason: &str) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    body.extend_from_slice(reason.as_bytes());
    frame(true, CLOSE, key, &body)
}

/// A frame as it was read: final or not, opcode, unmasked payload.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.payload[..self.payload.len().min(12)].escape_ascii();
        let Self { fin, opcode, masked, payload } = self;
        write!(f, "[fin {fin} op {opcode} masked {masked} {} bytes: {shown}]", payload.len())
    }
}

impl Parsed {
    pub(crate) fn is_close(&self, code: u16) -> bool {
        self.opcode == CLOSE && self.payload.starts_with(&code.to_be_bytes())
    }
}

/// All frames of `bytes`, which must end where a frame ends.
pub(crate) fn parse(mut bytes: &[u8]) -> Vec<Parsed> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (first, second) = (bytes[0], bytes[1]);
        assert_eq!(first & 0x70, 0, "reserved bits in what was sent");
        let masked = second & 0x80 != 0;
        let (len, mut at) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()), 10),
            short => (u64::from(short), 2),
        };
        let mut key = [0; 4];
        if masked {
            key.copy_from_slice(&bytes[at..at + 4]);
            at += 4;
        }
        let len = usize::try_from(len).unwrap();
        assert!(bytes.len() >= at + len, "the last frame is cut off: {} of {len}", bytes.len());
        let payload = bytes[at..at + len].iter().enumerate().map(|(i, b)| b ^ key[i % 4]);
        let payload = payload.collect();
        frames.push(Parsed { fin: first & 0x80 != 0, opcode: first & 0xf, masked, payload });
        bytes = &bytes[at + len..];
    }
    frames
}
