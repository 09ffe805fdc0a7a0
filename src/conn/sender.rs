//! An App's way to its peer: frames into the stage, masked on the client's side.

use super::Conn;
use super::closing::Phase;
use super::end::End;
use super::gear::Gear;
use super::message::{Body, Kind, Message};
use super::side::Side;
use crate::wire::close::{CloseCode, encode_body};
use crate::wire::frame::{self, MAX_CONTROL, MAX_HEADER, Opcode};

/// Answers up to this many bytes are copied side by side so that one plain write carries them all;
/// larger ones are sent from where they lie.
const COPY_BELOW: usize = 1024;

/// Sends to one peer. What it takes is written at the end of the connection's turn.
#[derive(Debug)]
pub struct Sender<'a> {
    pub(super) conn: &'a mut Conn,
    pub(super) gear: &'a mut Gear,
}

impl Sender<'_> {
    /// One whole message. False if the connection is closing: nothing was sent.
    ///
    /// Text is the caller's promise of UTF-8.
    #[inline]
    pub fn send(&mut self, kind: Kind, payload: &[u8]) -> bool {
        self.data_frame(kind.opcode(), true, payload)
    }

    /// One frame of a fragmented message; the order of opcodes is the caller's promise (RFC 6455
    /// 5.4).
    pub fn send_fragment(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> bool {
        self.data_frame(opcode, fin, payload)
    }

    #[inline]
    fn data_frame(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> bool {
        let open = matches!(self.conn.phase, Phase::Open);
        if open {
            stage_frame(self.gear, fin, opcode, payload);
            self.gear.count_sent(u64::from(fin && !opcode.is_control()));
        }
        open
    }

    /// Sends a message back as it came. A large one is not copied: the answer's header is written
    /// into the room that the request's header and key leave. False if the connection is closing.
    #[expect(clippy::inline_always, reason = "a call for each small echo is a tenth of its cost")]
    #[inline(always)]
    pub fn echo(&mut self, message: &mut Message<'_>) -> bool {
        if !matches!(self.conn.phase, Phase::Open) {
            return false;
        }
        self.gear.count_sent(1);
        if message.payload().len() <= COPY_BELOW || self.gear.settings.side == Side::Client {
            stage_frame(self.gear, true, message.kind.opcode(), message.payload());
        } else {
            self.echo_large(message);
        }
        true
    }

    #[inline(never)]
    fn echo_large(&mut self, message: &mut Message<'_>) {
        let (opcode, len) = (message.kind.opcode(), message.payload().len());
        let mut header = [0; MAX_HEADER];
        let size = frame::encode(true, opcode, len, None, &mut header);
        let header = &header[..size];
        match std::mem::replace(&mut message.body, Body::Taken) {
            Body::InPlace { frame, at, header: room } => {
                let start = room - size;
                frame[start..room].copy_from_slice(header);
                self.gear.stage.in_place(at + start..at + frame.len());
            }
            Body::Pooled(mut buffer) => {
                let start = buffer.put_header(header);
                self.gear.stage.owned(buffer, start);
            }
            Body::Taken => {}
        }
    }

    /// A ping with up to 125 bytes of data; longer data is cut.
    pub fn ping(&mut self, data: &[u8]) -> bool {
        self.data_frame(Opcode::Ping, true, &data[..data.len().min(MAX_CONTROL)])
    }

    /// Begins the close handshake; later calls change nothing. The reason is cut at 123 bytes.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.conn.begin_close(code, reason, End::ClosedByUs(code), self.gear);
    }

    /// Whether what is sent goes out: the handshake is complete and nothing has begun to close.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.conn.is_open()
    }

    /// Bytes that the peer has not taken yet, those of this turn excepted.
    pub fn pending(&self) -> usize {
        self.conn.pending()
    }
}

/// Encodes one frame into the stage.
#[inline]
pub(super) fn stage_frame(gear: &mut Gear, fin: bool, opcode: Opcode, payload: &[u8]) {
    match frame::short_header(fin, opcode, payload.len()) {
        Some(header) if gear.settings.side == Side::Server => {
            let room = gear.stage.room(header.len() + payload.len());
            let (head, body) = room.split_at_mut(header.len());
            head.copy_from_slice(&header);
            body.copy_from_slice(payload);
        }
        _ => stage_any(gear, fin, opcode, payload),
    }
}

/// A frame of any length, masked on the client's side.
#[inline(never)]
fn stage_any(gear: &mut Gear, fin: bool, opcode: Opcode, payload: &[u8]) {
    let key = match gear.settings.side {
        Side::Server => None,
        Side::Client => Some(gear.key()),
    };
    let size = frame::header_size(payload.len(), key.is_some());
    let room = gear.stage.room(size + payload.len());
    let (header, body) = room.split_at_mut(size);
    frame::encode(fin, opcode, payload.len(), key, header);
    match key {
        None => body.copy_from_slice(payload),
        Some(key) => gear.masker.copy(key, payload, body),
    }
}

/// Encodes a close frame into the stage.
pub(super) fn stage_close(gear: &mut Gear, code: CloseCode, reason: &str) {
    let mut body = [0; MAX_CONTROL];
    let len = encode_body(code, reason, &mut body);
    stage_frame(gear, true, Opcode::Close, &body[..len]);
}
