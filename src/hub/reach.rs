//! The shard as the services see it: its sockets, and the mailboxes of the others.

use std::sync::Arc;
use std::time::Instant;

use super::fanout::Reach;
use super::letters::Letter;
use super::rooms::Key;
use super::{Mail, Service, State};
use crate::conn::{Block, Kind, Shared};
use crate::shard::{ConnId, Cx, Net, OnSlow, Peers};
use crate::wire::close::CloseCode;

/// The shard as the services see it.
pub(super) struct Shard<'a, 'c, 'p, N: Net> {
    cx: &'a Cx<'c, Mail>,
    peers: &'a mut Peers<'p, N, State>,
    /// New places of clients of rooms, for their service to note.
    moves: Vec<(Key, u32, u32)>,
}

impl<'a, 'c, 'p, N: Net> Shard<'a, 'c, 'p, N> {
    pub(super) fn new(cx: &'a Cx<'c, Mail>, peers: &'a mut Peers<'p, N, State>) -> Self {
        Self { cx, peers, moves: Vec::new() }
    }

    /// The time of the turn.
    pub(super) fn now(&self) -> Instant {
        self.cx.now()
    }
}

impl<N: Net> Reach<ConnId, Shared> for Shard<'_, '_, '_, N> {
    fn mail(&mut self, to: usize, letter: Letter) -> Result<(), Letter> {
        self.cx.mail(to, Mail(letter)).map_err(|mail| mail.0)
    }

    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block> {
        self.peers.block(frames)
    }

    fn share(&mut self, block: &Arc<Block>) -> Shared {
        self.peers.share(block)
    }

    fn publish(&mut self, to: &[Option<ConnId>], block: &Shared, messages: u32, slow: OnSlow<'_>) {
        // Who is slow and closed is counted; who is gone will leave its seat.
        self.peers.publish(to, block, messages, slow);
    }

    fn moved(&mut self, member: ConnId, crowd: u32, place: u32) {
        match self.peers.get(member).map(|peer| &mut peer.state.0) {
            Some(Service::Broadcast(seat)) => seat.move_to(place),
            Some(Service::Rooms(key)) => self.moves.push((*key, crowd, place)),
            _ => {}
        }
    }

    fn resume(&mut self, publisher: ConnId) {
        self.peers.resume(publisher);
    }

    fn say(&mut self, to: ConnId, text: &[u8]) {
        if let Some(mut peer) = self.peers.get(to) {
            peer.tx.send(Kind::Text, text);
        }
    }

    fn close(&mut self, whom: ConnId, code: CloseCode, reason: &str) {
        if let Some(mut peer) = self.peers.get(whom) {
            peer.tx.close(code, reason);
        }
    }

    fn owed(&mut self, whom: ConnId) -> Option<usize> {
        let peer = self.peers.get(whom)?;
        peer.tx.is_open().then(|| peer.tx.pending())
    }

    fn client(&mut self, whom: ConnId) -> Option<Key> {
        match self.peers.get(whom)?.state.0 {
            Service::Rooms(key) => Some(key),
            _ => None,
        }
    }

    fn moves(&mut self) -> Vec<(Key, u32, u32)> {
        std::mem::take(&mut self.moves)
    }
}
