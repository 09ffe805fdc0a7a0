//! The one inversion: what a program does with its connections. The server's hub and the
//! generator's workload are two Apps over the same loop.
//!
//! Every hook runs on the shard's own thread and must not block. Hooks that concern one connection
//! get its [`Peer`]; hooks that may touch any get [`Peers`].

use std::time::Instant;

use super::context::Cx;
use super::net::Net;
use super::peers::{Peer, Peers};
use super::slab::ConnId;
use crate::conn::{Control, End, Message};
use crate::wire::close::CloseCode;
use crate::wire::handshake::{Refusal, Request};

/// The answer to an upgrade request that is accepted.
#[derive(Debug)]
pub struct Welcome<S> {
    /// The App's own data for this connection, kept beside the socket.
    pub state: S,
    /// The subprotocol chosen among the offered ones.
    pub protocol: Option<String>,
}

/// A program on top of a shard.
pub trait App: Sized {
    /// Data of one connection. Small: it lies in the slab, once for each of 100,000.
    type State;
    /// What shards send each other.
    type Mail: Send + 'static;
    /// What is left of it when the shard ends.
    type Outcome: Send + 'static;
    /// Whether [`Cx::now`] is read afresh for each read and [`App::flushed`] is called. A server
    /// that looks at no clock saves 25 ns each time.
    const PRECISE: bool;

    /// Server: a checked upgrade request. Its head is borrowed: copy what must stay.
    fn accept(
        &mut self,
        cx: &mut Cx<'_, Self::Mail>,
        request: &Request<'_>,
    ) -> Result<Welcome<Self::State>, Refusal>;

    /// Client: TCP is established, the upgrade request is about to be sent.
    fn connected(&mut self, _cx: &mut Cx<'_, Self::Mail>, _peer: &mut Peer<'_, Self::State>) {}

    /// Whether to read from an open connection now; asked before each read. False: not until
    /// [`Peers::resume`], and the App keeps its id for that.
    #[inline]
    fn may_read(
        &mut self,
        _cx: &mut Cx<'_, Self::Mail>,
        _id: ConnId,
        _state: &Self::State,
    ) -> bool {
        true
    }

    /// The handshake is complete.
    fn open(&mut self, cx: &mut Cx<'_, Self::Mail>, peer: &mut Peer<'_, Self::State>);

    /// A whole message. [`Cx::now`] is the time at which its last bytes were read. Its buffer goes
    /// back to the shard afterwards, unless [`Sender::echo`](crate::conn::Sender::echo) took it.
    fn message(
        &mut self,
        cx: &mut Cx<'_, Self::Mail>,
        peer: &mut Peer<'_, Self::State>,
        message: &mut Message<'_>,
    );

    /// A ping, answered already, or a pong.
    fn control(
        &mut self,
        _cx: &mut Cx<'_, Self::Mail>,
        _peer: &mut Peer<'_, Self::State>,
        _control: Control<'_>,
    ) {
    }

    /// All bytes queued for this connection so far are with the kernel; `at` was read just before
    /// the call that wrote the last of them. Only if [`App::PRECISE`].
    fn flushed(&mut self, _state: &mut Self::State, _at: Instant) {}

    /// With which code and reason a connection is asked to leave when the shard drains.
    fn farewell(_state: Option<&Self::State>) -> (CloseCode, &'static str) {
        (CloseCode::GOING_AWAY, "server is shutting down")
    }

    /// The connection is gone, its id is void. Called once for each that had a state.
    fn closed(&mut self, cx: &mut Cx<'_, Self::Mail>, id: ConnId, state: Self::State, end: End);

    /// A mail from another shard or from the program's main thread.
    fn mail<N: Net>(
        &mut self,
        cx: &mut Cx<'_, Self::Mail>,
        peers: &mut Peers<'_, N, Self::State>,
        mail: Self::Mail,
    );

    /// Bytes that the App itself holds for peers, its blocks excepted: they count against
    /// [`Limits::buffered`](super::Limits::buffered).
    fn buffered(&self) -> usize {
        0
    }

    /// When [`App::timer`] wants to run next, to the nanosecond; asked before each sleep.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline is reached. Do what is due by `cx.now()`, and a bounded amount of it.
    fn timer<N: Net>(
        &mut self,
        _cx: &mut Cx<'_, Self::Mail>,
        _peers: &mut Peers<'_, N, Self::State>,
    ) {
    }

    /// The end of a batch of events. True asks for another turn at once: work is left over.
    fn turn<N: Net>(
        &mut self,
        _cx: &mut Cx<'_, Self::Mail>,
        _peers: &mut Peers<'_, N, Self::State>,
    ) -> bool {
        false
    }

    /// The shard has ended and every connection is closed.
    fn finish(self) -> Self::Outcome;
}
