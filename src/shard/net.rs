//! What a shard needs from a network: real sockets, or a simulated one in tests.
//!
//! Every call returns at once. Readiness is edge-triggered: a source is reported once when it
//! becomes ready and not again before a call has found it not ready (or short of what it was
//! offered).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::shaped::Shape;
use super::slab::ConnId;
use crate::conn::ConnectFault;

/// What became ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// The listener.
    Listener,
    /// The mailbox.
    Mail,
    /// A connection.
    Conn(ConnId),
}

/// One report of readiness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready {
    /// What.
    pub source: Source,
    /// Bytes, an end or an error can be read.
    pub readable: bool,
    /// Bytes can be written, or a connect is decided.
    pub writable: bool,
    /// The peer's FIN or an error came with it: reading must go on to the end even after a short
    /// read, since no further report will come.
    pub hangup: bool,
}

/// Outcome of an accept.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection, and the address it comes from.
    One(S, IpAddr),
    /// None is waiting; a report will come.
    Empty,
    /// No descriptor or memory is left: try again later, no report will come.
    Full,
    /// This one failed; the next may not.
    Failed,
}

/// Outcome of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// So many bytes. `drained`: the source has no more, a report will come when it has.
    Bytes {
        /// How many, never 0.
        n: usize,
        /// Fewer than there was room for.
        drained: bool,
    },
    /// The peer's FIN.
    Eof,
    /// Nothing now.
    Blocked,
    /// The connection failed, in the words of the system.
    Failed(&'static str),
}

/// Outcome of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// So many bytes, possibly fewer than offered.
    Bytes(usize),
    /// None now.
    Blocked,
    /// The connection failed, in the words of the system.
    Failed(&'static str),
}

/// Sockets and the clock.
pub trait Net {
    /// One connection's socket. Dropping it closes it.
    type Stream;

    /// The monotonic clock.
    fn now(&self) -> Instant;

    /// Waits until something is ready or the time has come; `None` waits for readiness alone. A
    /// moment that has passed only collects what is ready.
    fn poll(&mut self, ready: &mut Vec<Ready>, until: Option<Instant>) -> io::Result<()>;

    /// Joins the listening group.
    fn listen(&mut self) -> io::Result<()>;

    /// Leaves the listening group: what is still queued for this listener is reset.
    fn unlisten(&mut self);

    /// The next connection.
    fn accept(&mut self) -> Accepted<Self::Stream>;

    /// Begins a connection; its outcome is reported as writable.
    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> Result<Self::Stream, ConnectFault>;

    /// The outcome of a connect that was reported.
    fn established(&mut self, stream: &mut Self::Stream) -> Result<(), ConnectFault>;

    /// Asks for reports about a stream, of writability too if `writable`.
    fn register(&mut self, stream: &mut Self::Stream, id: ConnId, writable: bool)
    -> io::Result<()>;

    /// Asks for reports of writability from now on, for a stream that is registered.
    fn watch_writable(&mut self, stream: &mut Self::Stream, id: ConnId) -> io::Result<()>;

    /// Reads into `direct` first, then into `shared`.
    fn read(&mut self, stream: &mut Self::Stream, direct: &mut [u8], shared: &mut [u8])
    -> Received;

    /// Writes the parts in order.
    fn write(&mut self, stream: &mut Self::Stream, parts: &[&[u8]]) -> Sent;

    /// Sends FIN.
    fn finish(&mut self, stream: &mut Self::Stream);

    /// Makes the close of a stream that is dropped next a reset (RFC 9293 3.10.7.4), where the
    /// network knows resets: its peer hears at once, and what it still had to say is lost.
    fn reset(&mut self, _stream: &mut Self::Stream) {}

    /// Lets the system keep about so few bytes of a stream that nobody has read.
    fn narrow(&mut self, _stream: &mut Self::Stream, _bytes: usize) {}

    /// Makes a stream, registered under `id`, awkward on purpose, where the network knows how.
    fn shape(&mut self, _stream: &mut Self::Stream, _id: ConnId, _shape: &Shape) {}
}
