//! Raw broadcast: every message to everyone on its path, on every shard, its sender included.
//!
//! What becomes of a message:
//!
//! 1. [`Broadcast::publish`] encodes its frame behind those that came to the same path in this
//!    turn.
//! 2. [`Broadcast::send_staged`], at the turn's end, gives them to the fan-out as one block for
//!    every shard that has members on the path (`presence` says which).
//!
//! Order: a sender's messages stand in one block or in blocks that travel the same way, so everyone
//! sees them in the order they were sent. Messages of different senders may be seen in different
//! orders on different shards.

use std::sync::Arc;

use super::fanout::{Fanout, Reach, Service, WALKS_AHEAD};
use super::presence::{Bucket, OwnRooms, Presence};
use super::publication::Delivery;
use super::stage::Stage;
use crate::conn::Kind;

/// Where a connection sits: kept with it, given back with every call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seat {
    crowd: u32,
    /// Place in the crowd; [`Seat::DOOR`] until its handshake is complete.
    place: u32,
}

impl Seat {
    const DOOR: u32 = u32::MAX;

    /// Sets the place, as [`Reach::moved`] told it.
    pub(super) fn move_to(&mut self, place: u32) {
        self.place = place;
    }
}

/// What of a path is about publishing.
#[derive(Debug)]
struct Path {
    bucket: Bucket,
    stage: Stage,
    /// In [`Broadcast::staged`], and its crowd is held.
    is_staged: bool,
}

/// One shard's part of all broadcast paths.
#[derive(Debug)]
pub(super) struct Broadcast {
    presence: Arc<Presence>,
    own: OwnRooms,
    /// By the number of their crowd.
    paths: Vec<Option<Box<Path>>>,
    /// Paths that were published to and whose blocks are not made yet.
    staged: Vec<u32>,
}

impl Broadcast {
    pub(super) fn new(shard: usize, presence: Arc<Presence>) -> Self {
        Self { presence, own: OwnRooms::new(shard), paths: Vec::new(), staged: Vec::new() }
    }

    /// Somebody is about to be let in. From here on this shard gets what others publish to the
    /// path.
    pub(super) fn accept<I, S>(&mut self, name: &[u8], fanout: &mut Fanout<I, S>) -> Seat
    where
        I: Copy + PartialEq,
        S: Clone,
    {
        let crowd = fanout.find(name).unwrap_or_else(|| {
            let bucket = self.presence.bucket(name);
            self.own.made(&self.presence, bucket);
            let crowd = fanout.make(Arc::from(name), Service::Broadcast);
            let path = Path { bucket, stage: Stage::default(), is_staged: false };
            if self.paths.len() <= crowd as usize {
                self.paths.resize_with(crowd as usize + 1, || None);
            }
            self.paths[crowd as usize] = Some(Box::new(path));
            crowd
        });
        fanout.hold(crowd);
        Seat { crowd, place: Seat::DOOR }
    }

    #[inline]
    fn path(&mut self, crowd: u32) -> Option<&mut Path> {
        self.paths.get_mut(crowd as usize)?.as_deref_mut()
    }

    /// Its handshake is complete: it gets every block from now on.
    pub(super) fn open<I, S>(seat: &mut Seat, id: I, fanout: &mut Fanout<I, S>)
    where
        I: Copy + PartialEq,
        S: Clone,
    {
        seat.place = fanout.join(seat.crowd, id);
    }

    /// It is gone, or never came further than the door.
    pub(super) fn leave<I, S>(seat: Seat, id: I, fanout: &mut Fanout<I, S>)
    where
        I: Copy + PartialEq,
        S: Clone,
    {
        if seat.place == Seat::DOOR {
            fanout.release(seat.crowd);
        } else {
            fanout.leave(seat.crowd, seat.place, id);
        }
    }

    /// Takes a message for everyone on the seat's path.
    pub(super) fn publish<I, S>(
        &mut self,
        seat: Seat,
        (kind, payload): (Kind, &[u8]),
        fanout: &mut Fanout<I, S>,
    ) where
        I: Copy + PartialEq,
        S: Clone,
    {
        let Self { paths, staged, .. } = self;
        let Some(Some(path)) = paths.get_mut(seat.crowd as usize) else { return };
        if !std::mem::replace(&mut path.is_staged, true) {
            staged.push(seat.crowd);
            fanout.hold(seat.crowd);
        }
        fanout.staged_bytes += path.stage.add(kind, payload, &mut fanout.spare);
    }

    /// Whether frames wait for their walks.
    pub(super) fn is_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// The shard ends: nobody mails here any more.
    pub(super) fn finish(&self) {
        self.own.end(&self.presence);
    }

    /// A block that another shard published.
    pub(super) fn receive<I, S>(
        &mut self,
        Delivery { publication, generation }: Delivery,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) where
        I: Copy + PartialEq,
        S: Clone,
    {
        let Some(crowd) = fanout.find(&publication.name) else { return };
        let Some(bucket) = self.path(crowd).map(|path| path.bucket) else { return };
        if generation.is_some_and(|sent| self.own.is_now(&self.presence, bucket, sent)) {
            fanout.start(crowd, publication, reach);
        }
    }

    /// Makes blocks of what was published.
    pub(super) fn send_staged<I, S>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) where
        I: Copy + PartialEq,
        S: Clone,
    {
        let mut staged = std::mem::take(&mut self.staged);
        staged.retain(|crowd| {
            let Some(Some(path)) = self.paths.get_mut(*crowd as usize) else { return false };
            if fanout.walks(*crowd) > WALKS_AHEAD && !path.stage.has_blocks() {
                return true;
            }
            path.is_staged = false;
            let Some(name) = fanout.name(*crowd) else { return false };
            while let Some(frames) = path.stage.next(&mut fanout.spare) {
                fanout.staged_bytes -= frames.0.len();
                let shards = self.presence.shards(path.bucket);
                let to = shards.map(|(shard, generation)| (shard, Some(generation)));
                fanout.publish(&name, frames, to, Some(*crowd), reach);
            }
            fanout.release(*crowd);
            false
        });
        self.staged = staged;
    }

    /// A path's crowd was freed.
    pub(super) fn freed(&mut self, crowd: u32) {
        let path = self.paths.get_mut(crowd as usize).and_then(Option::take);
        if let Some(path) = path {
            self.own.freed(&self.presence, path.bucket);
        }
        while self.paths.last().is_some_and(Option::is_none) {
            self.paths.pop();
        }
        self.paths.shrink_to(2 * self.paths.len());
    }
}

#[cfg(test)]
mod tests;
