//! Why a connection ended. Each reason has a number, a name and a place in the metrics.

use crate::wire::close::CloseCode;
use crate::wire::handshake::Rejection;
use crate::wire::violation::Violation;

/// The one reason that is reported when a connection is gone.
#[derive(Clone, Debug)]
pub enum End {
    /// Both close frames were exchanged; we began.
    ClosedByUs(CloseCode),
    /// Both close frames were exchanged; the peer began.
    ClosedByPeer(CloseCode),
    /// The peer broke the protocol and was told so.
    Violation(Violation),
    /// TCP ended without a close frame (close code 1006).
    Eof,
    /// The socket failed, in the words of the system: reset, timed out.
    Socket(&'static str),
    /// The handshake was not complete in time.
    HandshakeTimeout,
    /// No pong, nor any other byte, after our ping.
    PongTimeout,
    /// No message for the idle timeout.
    IdleTimeout,
    /// Our close frame was not answered in time.
    CloseTimeout,
    /// It did not take its bytes and was over its water mark.
    Slow,
    /// The process was short of memory and this one owed the most.
    Memory,
    /// The upgrade request was refused (server).
    Refused(&'static str),
    /// The server's answer was not a good 101 (client).
    Rejected(Rejection),
    /// TCP could not be established (client).
    Connect(ConnectFault),
    /// The shard stopped, or its App left the connection.
    Shutdown,
}

/// Why TCP could not be established: the cause and the remedy, never a bare number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectFault {
    /// Every port of the source address is taken for this destination.
    #[error("no local port left for this source and destination: add source addresses")]
    NoLocalPort,
    /// The source address is not one of this machine.
    #[error("the source address is not configured on this machine")]
    NoSuchSource,
    /// The table of open files is full.
    #[error("open-file limit reached: raise it (ulimit -n) or use more threads")]
    OpenFileLimit,
    /// Nobody listens there.
    #[error("connection refused: nobody listens on that address and port")]
    Refused,
    /// No answer.
    #[error("no answer in time: the host is down, filtered, or its backlog is full")]
    TimedOut,
    /// No route.
    #[error("host or network unreachable")]
    Unreachable,
    /// The peer reset the connection while it was made.
    #[error("connection reset by the peer while connecting")]
    Reset,
    /// Anything else, in the words of the system.
    #[error("{0}")]
    Other(&'static str),
}

impl End {
    /// Variants of this type.
    pub const COUNT: usize = 15;
    /// Metric labels by [`End::index`].
    pub const NAMES: [&'static str; Self::COUNT] = [
        "closed_by_us",
        "closed_by_peer",
        "violation",
        "eof",
        "socket_error",
        "handshake_timeout",
        "pong_timeout",
        "idle_timeout",
        "close_timeout",
        "slow",
        "memory",
        "refused",
        "rejected",
        "connect_failed",
        "shutdown",
    ];

    /// Place in [`End::NAMES`] and in the shard's counters.
    pub fn index(&self) -> usize {
        match self {
            Self::ClosedByUs(_) => 0,
            Self::ClosedByPeer(_) => 1,
            Self::Violation(_) => 2,
            Self::Eof => 3,
            Self::Socket(_) => 4,
            Self::HandshakeTimeout => 5,
            Self::PongTimeout => 6,
            Self::IdleTimeout => 7,
            Self::CloseTimeout => 8,
            Self::Slow => 9,
            Self::Memory => 10,
            Self::Refused(_) => 11,
            Self::Rejected(_) => 12,
            Self::Connect(_) => 13,
            Self::Shutdown => 14,
        }
    }

    /// Whether we gave the peer up for a reason of our own: how it then leaves changes nothing.
    pub(super) fn is_verdict(&self) -> bool {
        matches!(self, Self::Slow | Self::IdleTimeout)
    }

    /// Metric label.
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.index()]
    }
}
