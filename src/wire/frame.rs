//! Frame headers (RFC 6455 5.2): decode over a borrowed buffer, encode into a few bytes.
//!
//! Never looks at a payload: masks and text belong to its neighbours.

use super::mask::Key;
use super::violation::Violation;

/// The bits and lengths of a header by name.
pub mod field {
    /// First byte: the last fragment of a message.
    pub const FIN: u8 = 0x80;
    /// First byte: RSV1-3, each the property of an extension.
    pub const RSV: u8 = 0x70;
    /// First byte: the opcode.
    pub const OPCODE: u8 = 0x0f;
    /// First byte: the opcode's bit that marks control frames.
    pub const CONTROL: u8 = 0x08;
    /// Second byte: a masking key follows.
    pub const MASK: u8 = 0x80;
    /// Second byte: the short length.
    pub const LENGTH: u8 = 0x7f;
    /// Short length that says: 16 bits follow.
    pub const LENGTH_16: u8 = 126;
    /// Short length that says: 64 bits follow.
    pub const LENGTH_64: u8 = 127;
}

/// Bytes of the longest header: 2, 8 of length, 4 of key.
pub const MAX_HEADER: usize = 14;
/// Bytes of the longest header without a key, as a server sends it.
pub const MAX_SERVER_HEADER: usize = 10;
/// Bytes of the longest control payload (RFC 6455 5.5).
pub const MAX_CONTROL: usize = 125;

/// The six opcodes of RFC 6455.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// Close.
    Close = 0x8,
    /// Ping.
    Ping = 0x9,
    /// Pong.
    Pong = 0xA,
}

impl Opcode {
    /// Close, ping and pong.
    pub fn is_control(self) -> bool {
        self as u8 & field::CONTROL != 0
    }
}

/// One decoded header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Last fragment of its message.
    pub fin: bool,
    /// What the payload is.
    pub opcode: Opcode,
    /// Bytes of the payload; below 2^63.
    pub len: u64,
    /// The masking key, zero for a frame without one (XOR with zero changes nothing).
    pub key: Key,
    /// Bytes of the header itself, 2 to 14.
    pub size: u8,
}

/// What the first byte may be, looked up instead of branched upon.
const FIRST: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let known = matches!(b & field::OPCODE, 0x0..=0x2 | 0x8..=0xA);
        let whole = b & field::CONTROL == 0 || b & field::FIN != 0;
        table[byte] = (b & field::RSV == 0 && known && whole) as u8;
        byte += 1;
    }
    table
};

/// Bytes that [`glance`] looks at.
pub const GLANCE: usize = 8;

/// The header at the start of `bytes` as far as one look tells: a data frame with a length of 7 or
/// 16 bits, nothing wrong with it, and [`GLANCE`] bytes there to look at. `None` means: ask
/// [`decode`].
///
/// `masked` as there; wherever this gives a header, it is the one that [`decode`] gives.
#[inline]
pub fn glance(bytes: &[u8], masked: bool) -> Option<Header> {
    let look = u64::from_le_bytes(*bytes.first_chunk::<GLANCE>()?);
    // Two paths without a choice inside, instead of one that asks `masked` four times.
    if masked { told::<true>(look) } else { told::<false>(look) }
}

#[expect(clippy::inline_always, reason = "a call for each small message is a tenth of its cost")]
#[inline(always)]
fn told<const MASKED: bool>(look: u64) -> Option<Header> {
    let (first, second) = (look as u8, (look >> 8) as u8);
    let opcode = match first & !field::FIN {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        _ => return None,
    };
    // A mask bit that is wrong makes it larger than any length.
    let (short, key_size) = if MASKED { (second ^ field::MASK, 4) } else { (second, 0) };
    let (len, at) = match short {
        0..field::LENGTH_16 => (u16::from(short), 2),
        field::LENGTH_16 => ((look >> 16) as u16, 4),
        _ => return None,
    };
    let len = if at == 4 { len.swap_bytes() } else { len };
    if at == 4 && len < u16::from(field::LENGTH_16) {
        return None;
    }
    let key = if MASKED { Key(((look >> (8 * at)) as u32).to_le_bytes()) } else { Key::default() };
    let fin = first & field::FIN != 0;
    Some(Header { fin, opcode, len: len.into(), key, size: at + key_size })
}

/// Decodes the header at the start of `bytes`; `None` when it is not all there yet.
///
/// `masked` is what the peer owes: true of a client's frames, false of a server's (RFC 6455 5.1).
#[inline]
pub fn decode(bytes: &[u8], masked: bool) -> Result<Option<Header>, Violation> {
    let [first, second, rest @ ..] = bytes else {
        return match bytes {
            [first] if FIRST[usize::from(*first)] == 0 => Err(sin_of_first_byte(*first)),
            _ => Ok(None),
        };
    };
    let (first, second) = (*first, *second);
    let short = second & field::LENGTH;
    let fits = FIRST[usize::from(first)] != 0 && (second & field::MASK != 0) == masked;
    if !fits || short > 125 {
        return decode_rare(first, second, rest, masked);
    }
    let (key, size) = match (masked, rest) {
        (true, [a, b, c, d, ..]) => (Key([*a, *b, *c, *d]), 6),
        (true, _) => return Ok(None),
        (false, _) => (Key::default(), 2),
    };
    let fin = first & field::FIN != 0;
    Ok(Some(Header { fin, opcode: opcode(first), len: u64::from(short), key, size }))
}

/// Long lengths and every error, out of the way of the common short frame.
#[cold]
#[inline(never)]
fn decode_rare(
    first: u8,
    second: u8,
    rest: &[u8],
    masked: bool,
) -> Result<Option<Header>, Violation> {
    if FIRST[usize::from(first)] == 0 {
        return Err(sin_of_first_byte(first));
    }
    if (second & field::MASK != 0) != masked {
        return Err(if masked { Violation::NotMasked } else { Violation::Masked });
    }
    if first & field::CONTROL != 0 {
        return Err(Violation::ControlTooLong);
    }
    let wide = second & field::LENGTH == field::LENGTH_64;
    let Some((len, rest)) = long_length(wide, rest)? else { return Ok(None) };
    let key = match (masked, rest) {
        (true, [a, b, c, d, ..]) => Key([*a, *b, *c, *d]),
        (true, _) => return Ok(None),
        (false, _) => Key::default(),
    };
    let size = 2 + if wide { 8 } else { 2 } + if masked { 4 } else { 0 };
    let fin = first & field::FIN != 0;
    Ok(Some(Header { fin, opcode: opcode(first), len, key, size }))
}

type LengthAndRest<'a> = Option<(u64, &'a [u8])>;

fn long_length(wide: bool, rest: &[u8]) -> Result<LengthAndRest<'_>, Violation> {
    let (len, least, rest) = if wide {
        let Some((bytes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
        (u64::from_be_bytes(*bytes), 1 << 16, rest)
    } else {
        let Some((bytes, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
        (u64::from(u16::from_be_bytes(*bytes)), 126, rest)
    };
    if len >> 63 != 0 {
        return Err(Violation::LengthTopBit);
    }
    if len < least {
        return Err(Violation::LengthNotShortest);
    }
    Ok(Some((len, rest)))
}

fn sin_of_first_byte(first: u8) -> Violation {
    if first & field::RSV != 0 {
        return Violation::ReservedBits;
    }
    match first & field::OPCODE {
        op @ (0x3..=0x7 | 0xB..=0xF) => Violation::ReservedOpcode(op),
        _ => Violation::ControlFragmented,
    }
}

fn opcode(first: u8) -> Opcode {
    match first & field::OPCODE {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        // The table has refused every other nibble.
        _ => Opcode::Pong,
    }
}

/// Bytes of the header of a frame with so much payload, 2 to 14.
#[inline]
pub fn header_size(len: usize, masked: bool) -> usize {
    let length = match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    length + if masked { 4 } else { 0 }
}

/// The whole header of a frame without a key, if its payload is short enough for two bytes.
#[inline]
pub fn short_header(fin: bool, opcode: Opcode, len: usize) -> Option<[u8; 2]> {
    let short = u8::try_from(len).ok().filter(|len| *len < field::LENGTH_16)?;
    Some([opcode as u8 | if fin { field::FIN } else { 0 }, short])
}

/// Writes a header into the front of `out` and returns its size, that of [`header_size`].
///
/// The length is in its shortest form (RFC 6455 5.2). `key` is present exactly on a client's
/// frames.
///
/// # Panics
/// If `out` is shorter than the header; [`MAX_HEADER`] bytes always do.
#[inline]
pub fn encode(fin: bool, opcode: Opcode, len: usize, key: Option<Key>, out: &mut [u8]) -> usize {
    let mask = if key.is_some() { field::MASK } else { 0 };
    out[0] = opcode as u8 | if fin { field::FIN } else { 0 };
    let mut size = 2;
    if len < usize::from(field::LENGTH_16) {
        out[1] = mask | len as u8;
    } else if let Ok(len) = u16::try_from(len) {
        out[1] = mask | field::LENGTH_16;
        out[2..4].copy_from_slice(&len.to_be_bytes());
        size = 4;
    } else {
        out[1] = mask | field::LENGTH_64;
        out[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        size = 10;
    }
    if let Some(Key(key)) = key {
        out[size..size + 4].copy_from_slice(&key);
        size += 4;
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 6455 5.7: the single-frame "Hello", unmasked and masked.
    #[test]
    fn the_examples_of_the_rfc() {
        let plain = decode(&[0x81, 0x05, 0x48], false).unwrap().unwrap();
        assert_eq!((plain.fin, plain.opcode, plain.len, plain.size), (true, Opcode::Text, 5, 2));
        let masked = decode(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f], true).unwrap().unwrap();
        assert_eq!((masked.key, masked.size), (Key([0x37, 0xfa, 0x21, 0x3d]), 6));
        let long = decode(&[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0], false).unwrap().unwrap();
        assert_eq!((long.len, long.size), (65536, 10));
    }

    #[test]
    fn each_sin_has_its_name() {
        let cases: &[(&[u8], bool, Violation)] = &[
            (&[0xC1], false, Violation::ReservedBits),
            (&[0x91, 0x00], false, Violation::ReservedBits),
            (&[0x83], false, Violation::ReservedOpcode(3)),
            (&[0x8B, 0x80], true, Violation::ReservedOpcode(11)),
            (&[0x81, 0x05], true, Violation::NotMasked),
            (&[0x81, 0x85], false, Violation::Masked),
            (&[0x82, 0x7E, 0, 125], false, Violation::LengthNotShortest),
            (&[0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xff, 0xff], false, Violation::LengthNotShortest),
            (&[0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0], false, Violation::LengthTopBit),
            (&[0x09], false, Violation::ControlFragmented),
            (&[0x89, 0x7E], false, Violation::ControlTooLong),
        ];
        for (bytes, masked, sin) in cases {
            assert_eq!(decode(bytes, *masked), Err(*sin), "{bytes:02x?}");
        }
    }

    proptest! {
        /// What is encoded decodes to itself, and every strict prefix is incomplete.
        #[test]
        fn encode_then_decode(
            fin: bool,
            op in 0usize..6,
            len in prop_oneof![0usize..300, 65_000usize..66_000, Just(usize::MAX >> 1)],
            key: Option<[u8; 4]>,
        ) {
            use Opcode::*;
            let opcode = [Continuation, Text, Binary, Close, Ping, Pong][op];
            let (fin, len) =
                if opcode.is_control() { (true, len.min(MAX_CONTROL)) } else { (fin, len) };
            let key = key.map(Key);
            let mut bytes = [0; MAX_HEADER];
            let size = encode(fin, opcode, len, key, &mut bytes);
            let masked = key.is_some();
            prop_assert_eq!(size, header_size(len, masked));
            for cut in 0..size {
                prop_assert_eq!(decode(&bytes[..cut], masked), Ok(None));
            }
            let key = key.unwrap_or_default();
            let expected = Header { fin, opcode, len: len as u64, key, size: size as u8 };
            prop_assert_eq!(decode(&bytes[..size], masked), Ok(Some(expected)));
            if !masked {
                let short = (size == 2).then_some([bytes[0], bytes[1]]);
                prop_assert_eq!(short_header(fin, opcode, len), short);
            }
        }

        /// A glance sees what decoding sees, and misses no common frame.
        #[test]
        fn a_glance_is_decoding(
            first in prop_oneof![Just(0x82), Just(0x81), Just(0x02), Just(0x80), any::<u8>()],
            second in prop_oneof![Just(0xfe), Just(0x7e), any::<u8>()],
            rest in proptest::collection::vec(any::<u8>(), 0..20),
            masked: bool,
        ) {
            let bytes = [&[first, second], rest.as_slice()].concat();
            match (glance(&bytes, masked), decode(&bytes, masked)) {
                (Some(header), decoded) => prop_assert_eq!(decoded, Ok(Some(header))),
                (None, Ok(Some(header))) => {
                    let common = !header.opcode.is_control() && header.len <= 0xffff;
                    prop_assert!(!common || bytes.len() < GLANCE, "missed {:?}", header);
                }
                (None, _) => {}
            }
        }

        /// Any two bytes and any tail: never a panic, and a length always in its shortest form.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..20), masked: bool) {
            if let Ok(Some(header)) = decode(&bytes, masked) {
                let mut again = [0; MAX_HEADER];
                let key = masked.then_some(header.key);
                let size = encode(header.fin, header.opcode, header.len as usize, key, &mut again);
                prop_assert_eq!(&again[..size], &bytes[..size]);
            }
        }
    }
}
