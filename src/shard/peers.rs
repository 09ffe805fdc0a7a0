//! An App's view of connections: the one whose turn it is, and any other by id.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use super::core::Core;
use super::fanout::OnSlow;
use super::net::Net;
use super::shaped::Shape;
use super::slab::ConnId;
use super::slot::{Hold, Holds, Slot};
use crate::conn::{Block, Conn, ConnectFault, End, Gear, Sender, Shared, Upgrade};

/// One connection in a hook.
#[derive(Debug)]
pub struct Peer<'a, S> {
    /// Its name.
    pub id: ConnId,
    /// The App's own data for it.
    pub state: &'a mut S,
    /// The way to it. What is sent is written once the hook, or the read turn, is over.
    pub tx: Sender<'a>,
    pub(super) holds: &'a mut Holds,
}

impl<S> Peer<'_, S> {
    /// Reads no more from it until [`Peers::resume`]. What was read already still comes.
    pub fn pause_reading(&mut self) {
        self.holds.add(Hold::App);
    }

    /// Whether [`Peer::pause_reading`] holds.
    pub fn is_paused(&self) -> bool {
        self.holds.has(Hold::App)
    }
}

/// A connection to make.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The server.
    pub to: SocketAddr,
    /// The source address; `None` leaves it to the system.
    pub from: Option<IpAddr>,
    /// What to ask for.
    pub upgrade: Rc<Upgrade>,
}

/// Every connection of the shard.
pub struct Peers<'a, N: Net, S> {
    pub(super) core: &'a mut Core<N, S>,
}

impl<N: Net, S> Peers<'_, N, S> {
    /// One connection, while it is here. What was sent to the one asked for before is written now.
    pub fn get(&mut self, id: ConnId) -> Option<Peer<'_, S>> {
        self.core.turn_to(id);
        let Core { slab, kit, .. } = &mut *self.core;
        slab.get_mut(id)?.peer(id, &mut kit.gear)
    }

    /// Makes encoded frames a block for all shards of the group, and counts it.
    pub fn block(&self, frames: Box<[u8]>) -> Arc<Block> {
        Block::new(frames, self.core.kit.gear.blocks())
    }

    /// Takes a block into this shard, once for all its members.
    pub fn share(&self, block: &Arc<Block>) -> Shared {
        Shared::new(Arc::clone(block), self.core.kit.gear.shared())
    }

    /// Sends shared frames of so many messages to a run of members: straight from where they lie,
    /// keeping a reference only for what a socket does not take. `None` is nobody, and who is gone
    /// or closing gets nothing.
    pub fn publish(
        &mut self,
        to: &[Option<ConnId>],
        shared: &Shared,
        messages: u32,
        slow: OnSlow<'_>,
    ) {
        self.core.turn_to(ConnId::NONE);
        self.core.publish(to, shared, messages, slow);
    }

    /// Reads from it again.
    pub fn resume(&mut self, id: ConnId) {
        if let Some(slot) = self.core.slab.get_mut(id) {
            slot.holds.lift(Hold::App);
            self.core.kit.queue(id, slot);
        }
    }

    /// Client: begins a connection. Its further fate comes through the App's hooks.
    pub fn connect(&mut self, dial: Dial, state: S) -> Result<ConnId, (S, ConnectFault)> {
        let mut stream = match self.core.kit.net.connect(dial.to, dial.from) {
            Ok(stream) => stream,
            Err(fault) => return Err((state, fault)),
        };
        let conn = Conn::client(dial.upgrade, &mut self.core.kit.gear);
        // The socket is registered under its id, and the id is known once the slot is taken.
        let id = self.core.slab.next_id();
        if self.core.kit.net.register(&mut stream, id, true).is_err() {
            return Err((state, ConnectFault::Other("the poll takes no more sockets")));
        }
        let mut slot = Slot::new(stream, conn, Some(state));
        slot.holds.add(Hold::Connecting);
        slot.watches_writable = true;
        self.core.admit(slot);
        Ok(id)
    }

    /// Client: makes a connection awkward on purpose; over a network that is
    /// [`Shaped`](super::shaped::Shaped), or it changes nothing.
    pub fn shape(&mut self, id: ConnId, shape: &Shape) {
        let Core { slab, kit, .. } = &mut *self.core;
        if let Some(slot) = slab.get_mut(id) {
            kit.net.shape(&mut slot.stream, id, shape);
        }
    }

    /// Client: leaves a connection without a close frame, whatever it is doing: by a reset of TCP,
    /// or by a plain FIN. What it still owed is lost. [`App::closed`](super::App::closed) follows.
    pub fn leave(&mut self, id: ConnId, reset: bool) {
        self.core.turn_to(ConnId::NONE);
        let Core { slab, kit, .. } = &mut *self.core;
        if let Some(slot) = slab.get_mut(id) {
            if reset {
                kit.net.reset(&mut slot.stream);
            }
            slot.conn.handle_fault(End::Shutdown);
            kit.after(id, slot);
        }
    }

    /// Bytes of connections' memory on this shard: half-received messages and what peers have not
    /// taken, blocks excepted.
    pub fn buffered(&self) -> usize {
        self.core.kit.gear.buffered()
    }
}

impl<T, S> Slot<T, S> {
    /// The App's view, once it has put its own data there.
    #[inline]
    pub(super) fn peer<'a>(&'a mut self, id: ConnId, gear: &'a mut Gear) -> Option<Peer<'a, S>> {
        let state = self.state.as_mut()?;
        Some(Peer { id, state, tx: self.conn.sender(gear), holds: &mut self.holds })
    }
}
