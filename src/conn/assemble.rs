//! Frames that span reads and messages that span frames.
//!
//! A connection has a [`Partial`] only while something is incomplete; the box comes from the shard
//! and goes back to it. Payload is unmasked and validated as it arrives, while it is hot.

use super::buffer::Buffer;
use super::gear::Gear;
use super::input::Input;
use super::message::{Body, Kind, Message};
use super::settings::Settings;
use crate::wire::frame::{Header, MAX_CONTROL, MAX_HEADER, Opcode};
use crate::wire::mask::Key;
use crate::wire::utf8::Utf8;
use crate::wire::violation::Violation;

/// Bytes of the longest incomplete run that is kept raw: a whole control frame less one byte.
pub const MAX_TAIL: usize = MAX_HEADER + MAX_CONTROL;

/// From this many missing bytes on, a payload is received straight into its buffer.
const DIRECT: u64 = 16 * 1024;

/// What is incomplete.
#[derive(Debug)]
pub(super) struct Partial {
    tail: [u8; MAX_TAIL],
    tail_len: u8,
    assembly: Option<Assembly>,
}

impl Default for Partial {
    fn default() -> Self {
        Self { tail: [0; MAX_TAIL], tail_len: 0, assembly: None }
    }
}

/// A message of which some bytes are here.
///
/// Invariants: `charged <= max_message`; `buffer.len() + missing` is at most `charged`.
#[derive(Debug)]
struct Assembly {
    kind: Kind,
    buffer: Buffer,
    charged: usize,
    utf8: Utf8,
    missing: u64,
    key: Key,
    fin: bool,
}

/// What a message has cost with a frame of `len` bytes more, if that is within the bound. A frame
/// costs its payload, and `least` bytes at least.
#[inline]
pub(super) fn charge(
    charged: usize,
    len: u64,
    least: usize,
    settings: &Settings,
) -> Result<usize, Violation> {
    let limit = settings.max_message;
    let too_big = Violation::MessageTooBig { limit };
    let cost = usize::try_from(len).map_err(|_| too_big)?.max(least);
    let sum = charged.checked_add(cost).ok_or(too_big)?;
    if sum > limit { Err(too_big) } else { Ok(sum) }
}

impl Partial {
    /// Keeps an incomplete header or control frame as it came.
    pub(super) fn keep_tail(&mut self, bytes: &[u8]) {
        self.tail[..bytes.len()].copy_from_slice(bytes);
        self.tail_len = bytes.len() as u8;
    }

    /// Moves the kept bytes to the end of `front` and returns how many.
    pub(super) fn restore_tail(&mut self, front: &mut [u8]) -> usize {
        let len = usize::from(std::mem::take(&mut self.tail_len));
        let at = front.len() - len;
        front[at..].copy_from_slice(&self.tail[..len]);
        len
    }

    /// Whether nothing is incomplete.
    pub(super) fn is_empty(&self) -> bool {
        self.tail_len == 0 && self.assembly.is_none()
    }

    /// Whether a fragmented message is open.
    pub(super) fn in_message(&self) -> bool {
        self.assembly.is_some()
    }

    /// Whether the payload of a data frame is still arriving.
    pub(super) fn mid_frame(&self) -> bool {
        self.assembly.as_ref().is_some_and(|a| a.missing > 0)
    }

    /// Begins a message with its first frame. The header is not part of the input any more.
    pub(super) fn begin(
        &mut self,
        kind: Kind,
        header: &Header,
        gear: &mut Gear,
    ) -> Result<(), Violation> {
        debug_assert!(self.assembly.is_none(), "a second message inside the first");
        let buffer = gear.pool.take(0, header.len.min(gear.settings.max_message as u64) as usize);
        let utf8 = Utf8::default();
        let (key, fin) = (Key::default(), false);
        self.assembly = Some(Assembly { kind, buffer, charged: 0, utf8, missing: 0, key, fin });
        self.resume(header, gear)
    }

    /// Goes on with a message whose first frames are joined already: their payload, what they cost,
    /// and how their text stands.
    pub(super) fn adopt(
        &mut self,
        kind: Kind,
        payload: &[u8],
        charged: usize,
        utf8: Utf8,
        gear: &mut Gear,
    ) {
        debug_assert!(self.is_empty(), "a second message inside the first");
        let mut buffer = gear.pool.take(payload.len(), payload.len());
        buffer.extend(payload.len()).copy_from_slice(payload);
        let (key, fin) = (Key::default(), false);
        self.assembly = Some(Assembly { kind, buffer, charged, utf8, missing: 0, key, fin });
    }

    /// Adds a further frame to the message.
    pub(super) fn resume(&mut self, header: &Header, gear: &Gear) -> Result<(), Violation> {
        let Some(assembly) = &mut self.assembly else { return Err(Violation::StrayContinuation) };
        let alone = header.fin && header.opcode != Opcode::Continuation;
        let least = if alone { 0 } else { gear.settings.frame_cost };
        assembly.charged = charge(assembly.charged, header.len, least, &gear.settings)?;
        assembly.missing = header.len;
        assembly.key = header.key;
        assembly.fin = header.fin;
        Ok(())
    }

    /// Takes payload from the input, and gives the message if that completes it.
    pub(super) fn fill(
        &mut self,
        input: &mut Input<'_>,
        gear: &mut Gear,
    ) -> Result<Option<Message<'static>>, Violation> {
        let Some(assembly) = &mut self.assembly else { return Ok(None) };
        let n = assembly.missing.min(input.rest().len() as u64) as usize;
        if n > 0 {
            let missing = assembly.missing as usize;
            let hope = assembly.buffer.len() + missing;
            gear.pool.grow(&mut assembly.buffer, n, hope);
            assembly.take_in(input.take(n), gear)?;
        }
        if assembly.missing > 0 || !assembly.fin {
            return Ok(None);
        }
        let Some(mut done) = self.assembly.take() else { return Ok(None) };
        if done.kind == Kind::Text && done.utf8.finish().is_err() {
            gear.pool.give(done.buffer);
            return Err(Violation::InvalidUtf8);
        }
        Ok(Some(Message { kind: done.kind, body: Body::Pooled(done.buffer) }))
    }

    /// Room for payload that may be received straight into its buffer, when much is missing.
    ///
    /// The room is at most what has been received already (or what a free buffer happens to have):
    /// a header alone gets none.
    pub(super) fn direct(&mut self, gear: &mut Gear) -> Option<&mut [u8]> {
        let assembly = self.assembly.as_mut().filter(|a| a.missing >= DIRECT)?;
        let missing = assembly.missing as usize;
        let have = assembly.buffer.len();
        if assembly.buffer.room().len() < DIRECT as usize {
            if have < DIRECT as usize {
                return None;
            }
            gear.pool.grow(&mut assembly.buffer, missing.min(have), have + missing);
        }
        let room = assembly.buffer.room();
        let n = room.len().min(missing);
        Some(&mut room[..n])
    }

    /// `n` bytes were received into [`Partial::direct`].
    pub(super) fn received(&mut self, n: usize, gear: &Gear) -> Result<(), Violation> {
        let Some(assembly) = &mut self.assembly else { return Ok(()) };
        let key = assembly.key;
        let bytes = assembly.buffer.extend(n);
        let valid = match assembly.kind {
            Kind::Binary => {
                gear.masker.apply(key, bytes);
                Ok(())
            }
            Kind::Text => gear.masker.apply_text(key, bytes, &mut assembly.utf8),
        };
        assembly.key = key.after(n);
        assembly.missing -= n as u64;
        valid.map_err(|_| Violation::InvalidUtf8)
    }

    /// Bytes of its buffer.
    pub(super) fn memory(&self) -> usize {
        self.assembly.as_ref().map_or(0, |assembly| assembly.buffer.capacity())
    }

    /// Gives its buffer back.
    pub(super) fn release(&mut self, gear: &mut Gear) {
        self.tail_len = 0;
        if let Some(assembly) = self.assembly.take() {
            gear.pool.give(assembly.buffer);
        }
    }
}

impl Assembly {
    fn take_in(&mut self, from: &[u8], gear: &Gear) -> Result<(), Violation> {
        let to = self.buffer.extend(from.len());
        let valid = match self.kind {
            Kind::Binary => {
                gear.masker.copy(self.key, from, to);
                Ok(())
            }
            Kind::Text => gear.masker.copy_text(self.key, from, to, &mut self.utf8),
        };
        self.key = self.key.after(from.len());
        self.missing -= from.len() as u64;
        valid.map_err(|_| Violation::InvalidUtf8)
    }
}
