//! Turns a few bytes of any value into a stream of mostly right frames, long ones among them, so
//! that a search by mutation gets past the first header and into large messages.
//!
//! Each step is an operation byte (what kind of frame), a byte that says how it is sent, then its
//! payload where that is short. A stream ends where the program does, or at [`MAX_STREAM`].

use plimsoll::conn::Side;
use plimsoll::wire::frame::{MAX_HEADER, Opcode, encode};
use plimsoll::wire::mask::{Key, Masker};

use super::drive::{Way, peers_head};

/// One connection's whole input, and the way it comes.
pub(crate) struct Case<'a> {
    /// What the peer sends.
    pub(crate) stream: Vec<u8>,
    /// How it is read and answered.
    pub(crate) way: Way<'a>,
}

/// Reads a case from any bytes: flags, two numbers of sizes, the sizes, then a program or bytes as
/// they are.
pub(crate) fn case(side: Side, mut bytes: &[u8]) -> Case<'_> {
    let mut byte = || bytes.split_off_first().copied().unwrap_or(0);
    let [flags, reads, writes] = [byte(), byte(), byte()];
    let mut sizes = |n: u8| bytes.split_off(..bytes.len().min(usize::from(n % 8))).unwrap_or(&[]);
    let way = Way { reads: sizes(reads), writes: sizes(writes), direct: flags & 1 != 0 };
    let mut stream = if flags & 2 == 0 { peers_head(side) } else { Vec::new() };
    if flags & 4 == 0 {
        stream.extend(frames(bytes, side.peer_masks()));
    } else {
        stream.extend_from_slice(bytes);
    }
    Case { stream, way }
}

/// Bytes of one stream, about: a program of a few bytes must not cost seconds.
const MAX_STREAM: usize = 1 << 18;

/// What the low bits of the operation choose.
enum Step {
    Frame(bool, Opcode),
    /// Begins our close: the driver's App closes at this message.
    Bye,
    /// A close frame that is right.
    Leave,
    /// A header whose first byte is the next one of the program.
    Spoilt,
    /// Bytes as they stand in the program.
    Raw,
}

fn step(op: u8) -> Step {
    use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
    match op & 0x0f {
        0 | 1 => Step::Frame(true, Text),
        2 | 3 => Step::Frame(true, Binary),
        4 => Step::Frame(false, Text),
        5 => Step::Frame(false, Binary),
        6 => Step::Frame(false, Continuation),
        7 => Step::Frame(true, Continuation),
        8 | 9 => Step::Frame(true, Ping),
        10 => Step::Frame(true, Pong),
        11 => Step::Frame(true, Close),
        12 => Step::Leave,
        13 => Step::Bye,
        14 => Step::Spoilt,
        _ => Step::Raw,
    }
}

/// The payload that `how` asks for: short ones come from the program, long ones are filled.
fn payload(how: u8, program: &mut &[u8]) -> Vec<u8> {
    let len: usize = match how & 0x0f {
        short @ 0..=7 => return take(program, usize::from(short)),
        8 => 124,
        9 => 125,
        10 => 126,
        11 => 1000,
        12 => 16_384,
        13 => 20_000,
        14 => 65_536,
        _ => 70_000,
    };
    // Code points of one to four bytes; cut short at the end unless the length happens to fit.
    let fill = if how & 0x10 == 0 { "x" } else { "aé€😀" };
    let mut whole = fill.repeat(len.div_ceil(fill.len())).into_bytes();
    whole.truncate(len);
    if how & 0x20 == 0 { String::from_utf8_lossy(&whole).into_owned().into_bytes() } else { whole }
}

fn take(program: &mut &[u8], n: usize) -> Vec<u8> {
    let (taken, rest) = program.split_at(n.min(program.len()));
    *program = rest;
    taken.to_vec()
}

/// The stream that a program describes. `masked` as its receiver wants it.
pub(crate) fn frames(mut program: &[u8], masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    while let [op, how, rest @ ..] = program {
        program = rest;
        let key = masked.then_some(Key([*op, *how, 0x5a, out.len() as u8]));
        match step(*op) {
            Step::Frame(fin, opcode) => {
                frame(fin, opcode, key, &payload(*how, &mut program), &mut out);
            }
            Step::Bye => frame(true, Opcode::Text, key, b"bye", &mut out),
            Step::Leave => frame(true, Opcode::Close, key, &[0x03, 0xe8], &mut out),
            Step::Spoilt => {
                let first = take(&mut program, 1);
                let at = out.len();
                frame(true, Opcode::Text, key, &payload(*how, &mut program), &mut out);
                if let [first] = first[..] {
                    out[at] = first;
                }
            }
            Step::Raw => out.extend(take(&mut program, usize::from(how & 0x1f))),
        }
        if out.len() > MAX_STREAM {
            break;
        }
    }
    out
}

fn frame(fin: bool, opcode: Opcode, key: Option<Key>, payload: &[u8], out: &mut Vec<u8>) {
    let mut header = [0; MAX_HEADER];
    let size = encode(fin, opcode, payload.len(), key, &mut header);
    out.extend_from_slice(&header[..size]);
    let at = out.len();
    out.extend_from_slice(payload);
    Masker::detect().apply(key.unwrap_or_default(), &mut out[at..]);
}
