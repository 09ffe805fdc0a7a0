//! One connection in the slab: its socket, its protocol, its App's data, and where it stands with
//! the loop.

use super::addresses::Counted;
use crate::conn::Conn;

/// One connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, a byte each")]
pub(super) struct Slot<T, S> {
    pub(super) stream: T,
    pub(super) conn: Conn,
    /// The App's own data: a server's connection has none before its request is accepted.
    pub(super) state: Option<S>,
    /// What it counts for its address.
    pub(super) counted: Option<Counted>,
    /// Why it is not read from, if so.
    pub(super) holds: Holds,
    /// There may be more to read, and no report will come.
    pub(super) readable: bool,
    /// FIN or an error was reported: read to the end.
    pub(super) hangup: bool,
    /// It stands in the ready list.
    pub(super) queued: bool,
    /// Reports of writability were asked for.
    pub(super) watches_writable: bool,
    /// Its handshake was completed.
    pub(super) opened: bool,
    /// It was refused for want of room.
    pub(super) turned_away: bool,
}

impl<T, S> Slot<T, S> {
    pub(super) fn new(stream: T, conn: Conn, state: Option<S>) -> Self {
        Self {
            stream,
            conn,
            state,
            counted: None,
            holds: Holds::default(),
            readable: false,
            hangup: false,
            queued: false,
            watches_writable: false,
            opened: false,
            turned_away: false,
        }
    }
}

/// A reason not to read from a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Hold {
    /// A connect is under way.
    Connecting = 1,
    /// It owes more than the water mark.
    Debt = 2,
    /// The App wants no more from it for now.
    App = 4,
    /// It is to be closed at the end of the batch.
    Doomed = 8,
}

/// The reasons that hold, in one byte: each turn asks whether there is any.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Holds(u8);

impl Holds {
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) fn has(self, hold: Hold) -> bool {
        self.0 & hold as u8 != 0
    }

    #[inline]
    pub(super) fn add(&mut self, hold: Hold) {
        self.0 |= hold as u8;
    }

    #[inline]
    pub(super) fn lift(&mut self, hold: Hold) {
        self.0 &= !(hold as u8);
    }
}
