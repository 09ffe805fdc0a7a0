//! Floor 3: the server's App. It hands a path to a service, and from then on each connection's
//! events to the service that its state names.
//!
//! | path | service |
//! |---|---|
//! | `/`, `/echo` | every message back, same type; so a text heartbeat is answered too |
//! | `/broadcast`, `/broadcast/NAME` | every message to everyone on that path, see `broadcast` |
//! | `/connection/websocket` | rooms in Centrifugo's client protocol, see `rooms` |
//!
//! Broadcast and rooms share one `fanout`: its turns, its bounds, its mail. A new service is a new
//! file here, a variant of `Service` and a line in `route`.
//!
//! NAME is 1 to 255 bytes, taken as they were sent: `/broadcast/a` and `/broadcast/%61` are two
//! paths. How many connections there may be, and how much memory, is decided on the floor below.

mod broadcast;
pub mod command;
mod fanout;
pub mod json;
mod letters;
pub mod namespace;
mod presence;
mod publication;
mod reach;
mod registry;
mod room;
mod rooms;
mod stage;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use broadcast::{Broadcast, Seat};
use fanout::{Fanout, Reach};
use letters::Letter;
use presence::Presence;
use reach::Shard;
pub use rooms::RoomsSettings;
use rooms::{Bye, Key, Rooms};

use crate::auth;
use crate::calls::{Call, Denied};
use crate::conn::{End, Message, Shared};
use crate::limits;
use crate::shard::{App, ConnId, Cx, Net, Peer, Peers, Welcome};
use crate::wire::close::CloseCode;
use crate::wire::handshake::{Refusal, Request, origin_allowed};

/// The subprotocol that some client libraries of rooms offer.
const ROOMS_PROTOCOL: &str = "centrifuge-json";

/// What all hubs of a server have in common.
#[derive(Debug)]
pub struct Common {
    presence: Arc<Presence>,
    allow_origin: Vec<String>,
    subprotocols: Vec<String>,
    rooms: Option<Arc<RoomsSettings>>,
}

impl Common {
    /// For so many shards. An empty `allow_origin` lets pages of any origin in; of `subprotocols`
    /// the first that a client offers is agreed on. Without `rooms` their path is not served.
    pub fn new(
        shards: usize,
        allow_origin: Vec<String>,
        subprotocols: Vec<String>,
        rooms: Option<RoomsSettings>,
    ) -> Self {
        let presence = Arc::new(Presence::new(shards));
        Self { presence, allow_origin, subprotocols, rooms: rooms.map(Arc::new) }
    }
}

/// What a connection's service keeps with it. Small: it lies in the slab, once for each of 100,000.
#[derive(Debug)]
pub struct State(Service);

#[derive(Debug)]
enum Service {
    Echo,
    Broadcast(Seat),
    Rooms(Key),
}

const _: () = assert!(size_of::<State>() <= 16, "100,000 of them are 1.6 MB");

/// What hubs send each other.
#[derive(Debug)]
pub struct Mail(Letter);

impl From<Call> for Mail {
    fn from(call: Call) -> Self {
        Self(Letter::Call(call))
    }
}

impl Mail {
    /// The call that it was made from, which a full mailbox gives back.
    pub fn into_call(self) -> Option<Call> {
        if let Letter::Call(call) = self.0 { Some(call) } else { None }
    }
}

/// Called when a hub's shard ends; true if it panicked.
pub type OnEnd = Box<dyn FnMut(bool)>;

/// One shard's App.
pub struct Hub {
    common: Arc<Common>,
    fanout: Fanout<ConnId, Shared>,
    broadcast: Broadcast,
    rooms: Option<Box<Rooms<ConnId>>>,
    /// When mails that found a full mailbox are tried again.
    retry: Option<Instant>,
    on_end: OnEnd,
}

impl Hub {
    /// The hub of one shard among `shards`, for which `common` was made. `now` is about when its
    /// shard begins.
    pub fn new(
        shard: usize,
        shards: usize,
        common: Arc<Common>,
        now: Instant,
        on_end: OnEnd,
    ) -> Self {
        let broadcast = Broadcast::new(shard, Arc::clone(&common.presence));
        let settings = common.rooms.clone();
        let rooms = settings.map(|settings| Box::new(Rooms::new(shard, shards, settings, now)));
        let fanout = Fanout::new(shard, shards);
        Self { common, fanout, broadcast, rooms, retry: None, on_end }
    }

    /// A message that is not an echo. Apart from that, which is short enough to stand in the loop.
    #[inline(never)]
    fn publish(
        &mut self,
        cx: &mut Cx<'_, Mail>,
        peer: &mut Peer<'_, State>,
        message: &Message<'_>,
    ) {
        // After our close frame what it sends goes to nobody: or who floods through a drain would
        // hold it up.
        if !peer.tx.is_open() {
            return;
        }
        match (&peer.state.0, &mut self.rooms) {
            (Service::Broadcast(seat), _) => {
                let message = (message.kind(), message.payload());
                self.broadcast.publish(*seat, message, &mut self.fanout);
            }
            (Service::Rooms(key), Some(rooms)) => rooms.message(*key, message.payload()),
            _ => {}
        }
        if self.is_crowded() && !peer.is_paused() {
            peer.pause_reading();
            self.fanout.pause(peer.id);
            cx.counters().pauses.add(1);
        }
    }

    fn is_crowded(&self) -> bool {
        self.fanout.is_crowded() || self.rooms.as_ref().is_some_and(|rooms| rooms.is_crowded())
    }
}

/// What both services gathered goes out, in slices. True: some is left over.
fn fan_out<I: Copy + PartialEq, S: Clone>(
    fanout: &mut Fanout<I, S>,
    broadcast: &mut Broadcast,
    mut rooms: Option<&mut Rooms<I>>,
    now: Instant,
    reach: &mut impl Reach<I, S>,
) -> bool {
    fanout.send_again(reach);
    broadcast.send_staged(fanout, reach);
    let mut more = rooms.as_mut().is_some_and(|rooms| rooms.turn(now, fanout, reach));
    more |= fanout.walk(reach);
    fanout.catch_up(now, limits::CAUGHT_UP, reach);
    if let Some(rooms) = &mut rooms {
        rooms.after_walks(fanout, reach);
    }
    fanout.tidy(reach, |crowd, service| {
        if service == fanout::Service::Broadcast {
            broadcast.freed(crowd);
        }
    });
    if let Some(rooms) = &mut rooms {
        rooms.note_moves(reach);
    }
    if rooms.is_none_or(|rooms| !rooms.is_crowded()) {
        fanout.resume(reach);
    }
    more || broadcast.is_staged()
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("fanout", &self.fanout).finish_non_exhaustive()
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
    /// The whole path is the name.
    Broadcast(&'p [u8]),
    Rooms,
}

fn route(path: &str) -> Option<Route<'_>> {
    match path {
        "/" | "/echo" => Some(Route::Echo),
        "/broadcast" => Some(Route::Broadcast(path.as_bytes())),
        "/connection/websocket" => Some(Route::Rooms),
        path => {
            let name = path.strip_prefix("/broadcast/")?;
            let fits = (1..=limits::MAX_ROOM_NAME).contains(&name.len());
            fits.then_some(Route::Broadcast(path.as_bytes()))
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
        cx: &mut Cx<'_, Mail>,
        request: &Request<'_>,
    ) -> Result<Welcome<State>, Refusal> {
        let path = request.path();
        let not_found = || Refusal::NotFound { path: path.to_owned() };
        let route = route(path).ok_or_else(not_found)?;
        if !origin_allowed(request.origin(), &self.common.allow_origin) {
            let origin = request.origin().unwrap_or_default().to_owned();
            return Err(Refusal::OriginNotAllowed { origin });
        }
        let ours = &self.common.subprotocols;
        let offered = |name: &str| request.protocols().any(|offered| offered == name);
        let mut protocol = ours.iter().find(|ours| offered(ours)).cloned();
        let service = match route {
            Route::Echo => Service::Echo,
            Route::Broadcast(name) => {
                Service::Broadcast(self.broadcast.accept(name, &mut self.fanout))
            }
            Route::Rooms => {
                let rooms = self.rooms.as_mut().ok_or_else(not_found)?;
                let own = [ROOMS_PROTOCOL, auth::BEARER].into_iter().find(|own| offered(own));
                protocol = own.map(str::to_owned).or(protocol);
                let head = auth::Head {
                    authorization: request.header("Authorization"),
                    cookie: request.header("Cookie"),
                    protocols: request.protocols(),
                };
                let settings = self.common.rooms.as_ref();
                let cookie = settings.and_then(|settings| settings.token_cookie.as_deref());
                Service::Rooms(rooms.accept(auth::offered(head, cookie), cx.now()))
            }
        };
        Ok(Welcome { state: State(service), protocol })
    }

    /// Who may publish waits while too much is under way: its next read could be a megabyte more.
    #[inline]
    fn may_read(&mut self, cx: &mut Cx<'_, Mail>, id: ConnId, state: &State) -> bool {
        let waits = !matches!(state.0, Service::Echo) && self.is_crowded();
        if waits {
            self.fanout.pause(id);
            cx.counters().pauses.add(1);
        }
        !waits
    }

    fn open(&mut self, _cx: &mut Cx<'_, Mail>, peer: &mut Peer<'_, State>) {
        match (&mut peer.state.0, &mut self.rooms) {
            (Service::Broadcast(seat), _) => Broadcast::open(seat, peer.id, &mut self.fanout),
            (Service::Rooms(key), Some(rooms)) => rooms.open(*key, peer.id),
            _ => {}
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
            Service::Broadcast(_) | Service::Rooms(_) => self.publish(cx, peer, message),
        }
    }

    fn farewell(state: Option<&State>) -> (CloseCode, &'static str) {
        match state {
            Some(State(Service::Rooms(_))) => (Bye::SHUTDOWN.0, Bye::SHUTDOWN.1),
            _ => (CloseCode::GOING_AWAY, "server is shutting down"),
        }
    }

    fn closed(&mut self, _cx: &mut Cx<'_, Mail>, id: ConnId, state: State, _end: End) {
        match (state.0, &mut self.rooms) {
            (Service::Broadcast(seat), _) => Broadcast::leave(seat, id, &mut self.fanout),
            (Service::Rooms(key), Some(rooms)) => rooms.closed(key),
            _ => {}
        }
    }

    fn mail<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, State>, mail: Mail) {
        let shard = &mut Shard::new(cx, peers);
        let Self { fanout, broadcast, rooms, .. } = self;
        if let Some(rooms) = rooms {
            rooms.wake(shard.now());
        }
        match (mail.0, rooms) {
            (Letter::Block(delivery), _) if delivery.generation.is_some() => {
                broadcast.receive(delivery, fanout, shard);
            }
            (Letter::Block(delivery), _) => Rooms::<ConnId>::receive(delivery, fanout, shard),
            (Letter::Ask(ask), Some(rooms)) => rooms.asked(*ask, fanout, shard),
            (Letter::Answer(answer), Some(rooms)) => rooms.answered(*answer, fanout, shard),
            (Letter::Call(call), Some(rooms)) => rooms.called(call, fanout, shard),
            (Letter::Call(call), None) => call.reply.send(Err(Denied::NotAvailable)),
            (Letter::Ask(_) | Letter::Answer(_), None) => {}
        }
    }

    fn buffered(&self) -> usize {
        let rooms = self.rooms.as_ref().map_or(0, |rooms| rooms.buffered());
        self.fanout.staged_bytes + rooms
    }

    /// Only ends the sleep: what is due is done in the turn that follows.
    fn next_deadline(&self) -> Option<Instant> {
        let waits = self.rooms.as_ref().is_some_and(|rooms| rooms.is_waiting());
        let retry = self.retry.filter(|_| waits || self.fanout.is_waiting());
        let catch_up = self.fanout.next_look();
        let rooms = self.rooms.as_ref().and_then(|rooms| rooms.next_deadline());
        [retry, catch_up, rooms].into_iter().flatten().min()
    }

    fn turn<N: Net>(&mut self, cx: &mut Cx<'_, Mail>, peers: &mut Peers<'_, N, State>) -> bool {
        self.retry = Some(cx.now() + limits::MAIL_RETRY);
        let Self { fanout, broadcast, rooms, .. } = self;
        fan_out(fanout, broadcast, rooms.as_deref_mut(), cx.now(), &mut Shard::new(cx, peers))
    }

    fn finish(self) {
        self.broadcast.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_services() {
        assert_eq!((route("/"), route("/echo")), (Some(Route::Echo), Some(Route::Echo)));
        assert_eq!(route("/connection/websocket"), Some(Route::Rooms));
        assert_eq!(route("/broadcast"), Some(Route::Broadcast(b"/broadcast")));
        let name = "/broadcast/a/b%20c";
        assert_eq!(route(name), Some(Route::Broadcast(name.as_bytes())));
        let longest = format!("/broadcast/{}", "x".repeat(255));
        assert_eq!(route(&longest), Some(Route::Broadcast(longest.as_bytes())));
        for bad in ["", "/echo/", "/Echo", "/broadcast/", "/broadcasts", "/ws", "//"] {
            assert_eq!(route(bad), None, "{bad}");
        }
        assert_eq!(route(&format!("{longest}x")), None);
    }
}
