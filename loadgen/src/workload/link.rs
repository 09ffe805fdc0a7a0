//! One connection as the generator sees it: 80 bytes, whatever it does.

use plimsoll::shard::ConnId;

use crate::inflight::{Lane, NIL};
use crate::schedule::Nanos;

/// What a message had to wait for between its intended time and its handover.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wait {
    /// Nothing: if it is late, the generator is.
    Nobody,
    /// The last fragment of the message before it, or its last segment.
    Fragments,
    /// The server, which took no more bytes.
    Server,
}

/// A connection's number within its shard, which the reactor keeps beside the socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Local(pub(crate) u32);

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Not begun.
    Planned,
    /// Begun, the 101 has not come.
    Opening,
    /// Established.
    Open,
    /// Its turn to leave has come: it waits for its last answers and sends nothing new.
    Leaving,
    /// The generator sent its close frame.
    Closing,
    /// It ended, and is to be opened again.
    Away,
    /// It could not be established, or it ended for good.
    Gone,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Known once it was begun, unknown again once it has ended.
    pub(super) id: Option<ConnId>,
    pub(super) status: Status,
    /// Fragments of `current` that were handed over.
    pub(super) fragments: u32,
    /// In the arena: the opening or the closing while one is under way, else the message of which
    /// fragments are left.
    pub(super) current: u32,
    /// Outstanding messages.
    pub(super) messages: Lane,
    /// Outstanding pings and text heartbeats.
    pub(super) beats: Lane,
    /// Intended time of a text heartbeat that waits for the end of a fragmented message; 0 is none.
    pub(super) owed_beat: Nanos,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            id: None,
            status: Status::Planned,
            fragments: 0,
            current: NIL,
            messages: Lane::new(),
            beats: Lane::new(),
            owed_beat: 0,
        }
    }

    /// What a message that falls due now waits for, as far as this side of the socket knows.
    pub(super) fn wait(&self) -> Wait {
        if self.current != NIL {
            Wait::Fragments
        } else if self.messages.is_waiting() {
            Wait::Server
        } else {
            Wait::Nobody
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, Status::Open | Status::Leaving)
    }

    /// Nothing is outstanding on it, and nothing waits.
    pub(super) fn owes_nothing(&self) -> bool {
        let empty = self.messages.is_empty() && self.beats.is_empty();
        empty && self.current == NIL && self.owed_beat == 0
    }

    /// Something waits for the peer to take what it was sent, or for the last fragment.
    pub(super) fn is_waiting(&self) -> bool {
        self.current == NIL && (self.messages.is_waiting() || self.owed_beat != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_small() {
        assert!(size_of::<Link>() <= 80, "{}", size_of::<Link>());
    }
}
