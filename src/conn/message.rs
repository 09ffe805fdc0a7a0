//! What a connection tells its App: whole messages and control frames, borrowed where they lie.

use std::borrow::Cow;

use super::buffer::{Buffer, Pool};
use crate::wire::frame::Opcode;

/// Text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Valid UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl Kind {
    /// The opcode of its first frame.
    #[inline]
    pub fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// A whole message, unmasked and, if text, valid UTF-8.
#[derive(Debug)]
pub struct Message<'b> {
    pub(super) kind: Kind,
    pub(super) body: Body<'b>,
}

/// Where the payload lies.
#[derive(Debug)]
pub(super) enum Body<'b> {
    /// In the read buffer: `frame` is header and payload, `at` its offset there.
    InPlace { frame: &'b mut [u8], at: usize, header: usize },
    /// In a buffer of its own, reassembled.
    Pooled(Buffer),
    /// Moved on by an echo.
    Taken,
}

impl Message<'_> {
    /// Text or binary.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload; empty after an echo has moved it on.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        match &self.body {
            Body::InPlace { frame, header, .. } => &frame[*header..],
            Body::Pooled(buffer) => buffer.payload(),
            Body::Taken => &[],
        }
    }

    /// Gives a reassembled message's buffer back. Owed for each message once the App is done with
    /// it: the pool counts what it lends, and the count is what memory limits go by.
    #[inline]
    pub fn reclaim(self, pool: &mut Pool) {
        if let Body::Pooled(buffer) = self.body {
            pool.give(buffer);
        }
    }
}

/// A control frame that was seen and, if a ping, answered already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control<'b> {
    /// A ping's application data, 125 bytes at most.
    Ping(&'b [u8]),
    /// A pong's application data, 125 bytes at most.
    Pong(&'b [u8]),
}

/// What [`Conn::next`](super::Conn::next) found in the input. Borrows the read buffer, never the
/// connection.
#[derive(Debug)]
pub enum Event<'b> {
    /// Server: a whole request head. Answer with [`Conn::accept`](super::Conn::accept) or
    /// [`Conn::refuse`](super::Conn::refuse).
    Head(Cow<'b, [u8]>),
    /// Client: the server's 101 was good.
    Opened,
    /// A whole message.
    Message(Message<'b>),
    /// A ping or pong.
    Control(Control<'b>),
}
