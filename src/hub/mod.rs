//! Floor 3: the server's App. It hands a path to a service, and from then on each connection's
//! events to the service that its state names.
//!
//! | path | service |
//! |---|---|
//! | `/`, `/echo` | every message back, same type |
//! | `/broadcast`, `/broadcast/NAME` | every message to everyone on that path, see `broadcast` |
//!
//! A new service is a new file here, a variant of `Service` and a line in `route`.
//!
//! NAME is 1 to 255 bytes, taken as they were sent: `/broadcast/a` and `/broadcast/%61` are two
//! paths. How many connections there may be, and how much memory, is decided on the floor below.

mod broadcast;
mod presence;
mod publication;
mod room;
mod rooms;
mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use broadcast::{Broadcast, Reach, Seat};
use presence::Presence;

use crate::conn::{Block, End, Message, Shared};
use crate::limits;
use crate::shard::{App, ConnId, Cx, Net, Peer, Peers, Welcome};
use crate::wire::handshake::{Refusal, Request, origin_allowed};

/// What all hubs of a server have in common.
#[derive(Debug)]
pub struct Common {
    presence: Arc<Presence>,
    allow_origin: Vec<String>,
    subprotocols: Vec<String>,
}

impl Common {
    /// For so many shards. An empty `allow_origin` lets pages of any origin in; of `subprotocols`
    /// the first that a client offers is agreed on.
    pub fn new(shards: usize, allow_origin: Vec<String>, subprotocols: Vec<String>) -> Self {
        Self { presence: Arc::new(Presence::new(shards)), allow_origin, subprotocols }
    }
}

/// What a connection's service keeps with it. Small: it lies in the slab, once for each of 100,000.
#[derive(Debug)]
pub struct State(Service);

#[derive(Debug)]
enum Service {
    Echo,
    Broadcast(Seat),
}

const _: () = assert!(size_of::<State>() <= 16, "100,000 of them are 1.6 MB");

/// What hubs send each other.
#[derive(Debug)]
pub struct Mail(publication::Mail);

/// Called when a hub's shard ends; true if it panicked.
pub type OnEnd = Box<dyn FnMut(bool)>;

/// One shard's App.
pub struct Hub {
    common: Arc<Common>,
    broadcast: Broadcast<ConnId, Shared>,
    /// When mails that found a full mailbox are tried again.
    retry: Option<Instant>,
    on_end: OnEnd,
}

impl Hub {
    /// The hub of one shard among `shards`, for which `common` was made.
    pub fn new(shard: usize, shards: usize, common: Arc<Common>, on_end: OnEnd) -> Self {
        let broadcast = Broadcast::new(shard, shards, Arc::clone(&common.presence));
        Self { common, broadcast, retry: None, on_end }
    }
}

impl Hub {
    /// A broadcast's message. Apart from the echo, which is short enough to stand in the loop.
    #[inline(never)]
    fn publish(
        &mut self,
        seat: Seat,
        cx: &mut Cx<'_, Mail>,
        peer: &mut Peer<'_, State>,
        message: &Message<'_>,
    ) {
        // After our close frame what it sends goes to nobody: or who floods through a drain would
        // hold it up.
        if !peer.tx.is_open() {
            return;
        }
        self.broadcast.publish(seat, message.kind(), message.payload());
        if self.broadcast.is_crowded() && !peer.is_paused() {
            peer.pause_reading();
            self.broadcast.pause(peer.id);
            cx.counters().pauses.add(1);
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("broadcast", &self.broadcast).finish_non_exhaustive()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        (self.on_end)(std::thread::panicking());
    }
}

/// Where a path leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Route<'p> {
    Echo,
    Broadcast(&'p [u8]),
}

fn route(path: &str) -> Option<Route<'_>> {
    match path {
        "/" | "/echo" => Some(Route::Echo),
        "/broadcast" => Some(Route::Broadcast(b"")),
        path => {
            let name = path.strip_prefix("/broadcast/")?.as_bytes();
            let fits = (1..=limits::MAX_ROOM_NAME).contains(&name.len());
            fits.then_some(Route::Broadcast(name))
        }
    }
}

impl App for Hub {
    type State = State;
    type Mail = Mail;
    type Outcome = ();
    const PRECISE: bool = false;

    fn accept(
        &mut self,
        _cx: &mut Cx<'_, Mail>,
        request: &Request<'_>,
    ) -> Result<Welcome<State>, Refusal> {
        let path = request.path();
        let route = route(path).ok_or_else(|| Refusal::NotFound { path: path.to_owned() })?;
        if !origin_allowed(request.origin(), &self.common.allow_origin) {
            let origin = request.origin().unwrap_or_default().to_owned();
            return Err(Refusal::OriginNotAllowed { origin });
        }
        let ours = &self.common.subprotocols;
        let protocol = ours.iter().find(|ours| request.protocols().any(|name| name == *ours));
        let service = match route {
            Route::Echo => Service::Echo,
            Route::Broadcast(name) => Service::Broadcast(self.broadcast.accept(name)),
        };
        Ok(Welcome { state: State(service), protocol: protocol.cloned() })
    }

    /// Who may publish waits while too much is under way: its next read could be a megabyte more.
    #[inline]
    fn may_read(&mut self, cx: &mut Cx<'_, Mail>, id: ConnId, state: &State) -> bool {
        let waits = matches!(state.0, Service::Broadcast(_)) && self.broadcast.is_crowded();
        if waits {
            self.broadcast.pause(id);
            cx.counters().pauses.add(1);
        }
        !waits
    }

    fn open(&mut self, _cx: &mut Cx<'_, Mail>, peer: &mut Peer<'_, State>) {
        match &mut peer.state.0 {
            Service::Echo => {}
            Service::Broadcast(seat) => self.broadcast.open(seat, peer.id),
        }
    }

    #[expect(clippy::inline_always, reason = "a call for each small echo is a tenth of its cost")]
    #[inline(always)]
    fn message(
        &mut self,
        cx: &mut Cx<'_, Mail>,
        peer: &mut Peer<'_, State>,
        message: &mut Message<'_>,
    ) {
        match peer.state.0 {
            Service::Echo => {
                // False when it is closing: then there is nobody to answer.
                peer.tx.echo(message);
            }
            Service::Broadcast(seat) => self.publish(seat, cx, peer, message),
        }
    }

    fn closed(&mut self, _cx: &mut Cx<'_, Mail>, id: ConnId, state: State, _end: End) {
        match state.0 {
            Service::Echo => {}
            Service::Broadcast(seat) => self.broadcast.leave(seat, id),
        }
    }

    fn mail<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, State>, mail: Mail) {
        self.broadcast.receive(mail.0, &mut Shard { cx, peers });
    }

    fn buffered(&self) -> usize {
        self.broadcast.staged_bytes()
    }

    /// Only ends the sleep: what is due is done in the turn that follows.
    fn next_deadline(&self) -> Option<Instant> {
        self.retry.filter(|_| self.broadcast.is_waiting())
    }

    fn turn<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, State>) -> bool {
        self.retry = Some(cx.now() + limits::MAIL_RETRY);
        self.broadcast.turn(&mut Shard { cx, peers })
    }

    fn finish(self) {
        self.broadcast.finish();
    }
}

/// The shard as a broadcast sees it.
struct Shard<'a, 'c, 'p, N: Net> {
    cx: &'a Cx<'c, Mail>,
    peers: &'a mut Peers<'p, N, State>,
}

impl<N: Net> Reach<ConnId, Shared> for Shard<'_, '_, '_, N> {
    fn mail(&mut self, to: usize, mail: publication::Mail) -> Result<(), publication::Mail> {
        self.cx.mail(to, Mail(mail)).map_err(|mail| mail.0)
    }

    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block> {
        self.peers.block(frames)
    }

    fn share(&mut self, block: &Arc<Block>) -> Shared {
        self.peers.share(block)
    }

    fn publish(&mut self, to: &[Option<ConnId>], block: &Shared, messages: u32) {
        // Who is slow is being closed and counted; who is gone will leave its seat.
        self.peers.publish(to, block, messages);
    }

    fn moved(&mut self, member: ConnId, place: u32) {
        if let Some(peer) = self.peers.get(member)
            && let Service::Broadcast(seat) = &mut peer.state.0
        {
            seat.move_to(place);
        }
    }

    fn resume(&mut self, publisher: ConnId) {
        self.peers.resume(publisher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_services() {
        assert_eq!((route("/"), route("/echo")), (Some(Route::Echo), Some(Route::Echo)));
        assert_eq!(route("/broadcast"), Some(Route::Broadcast(b"")));
        assert_eq!(route("/broadcast/a/b%20c"), Some(Route::Broadcast(b"a/b%20c")));
        let longest = format!("/broadcast/{}", "x".repeat(255));
        assert_eq!(route(&longest), Some(Route::Broadcast(&longest.as_bytes()[11..])));
        for bad in ["", "/echo/", "/Echo", "/broadcast/", "/broadcasts", "/ws", "//"] {
            assert_eq!(route(bad), None, "{bad}");
        }
        assert_eq!(route(&format!("{longest}x")), None);
    }
}
