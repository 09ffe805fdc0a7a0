//! The life of a connection as a state table (RFC 6455 7.1).
//!
//! | state | frames in | data out | leaves by |
//! |---|---|---|---|
//! | `Opening` | none: a head | none | a good handshake -> `Open`; a refusal -> `Finishing` |
//! | `Open` | all | all | our close -> `CloseSent`; the peer's, or a violation -> `Finishing` |
//! | `CloseSent` | all | pongs | the peer's close -> `Finishing`; deadline -> `Gone` |
//! | `Finishing` | none: all is discarded | what is owed, then FIN | the peer's FIN -> `Gone` |
//! | `Gone` | none | none | the shard closes the socket |
//!
//! `Finishing` reads to the end because a bare close with unread bytes would reset the connection
//! and eat our last words.

use super::end::End;
use super::opening::Opening;

/// Where a connection stands. The reason it will report is fixed at the first cause.
#[derive(Debug)]
pub(super) enum Phase {
    Opening(Box<Opening>),
    Open,
    CloseSent(Box<End>),
    Finishing(Box<End>),
    Gone(Box<End>),
}

/// What the shard is to do with the socket after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Everything owed was written: shut the writing side down.
    Finish,
    /// Close it; [`Conn::end`](super::Conn::end) says why.
    Close,
}
