//! Raw broadcast: every message to everyone on its path, on every shard, its sender included.
//!
//! What becomes of a message:
//!
//! 1. [`Broadcast::publish`] encodes its frame behind those that came to the same path in this
//!    turn.
//! 2. [`Broadcast::turn`], at the turn's end, makes one block of them, mails it to every other
//!    shard that has members on the path (`presence` says which), and begins a walk over its own.
//! 3. A shard that gets the mail begins its own walk, after those it has begun before.
//! 4. Walks go on in slices, a bounded number of deliveries and bytes in a turn, each path in its
//!    turn, so that one large path delays neither the others nor the echoes.
//!
//! Order: a sender's messages stand in one block or in blocks that travel the same way, so everyone
//! sees them in the order they were sent. Messages of different senders may be seen in different
//! orders on different shards.
//!
//! Nothing is lost on the way: a mail that finds a full mailbox stays here, in order, and is tried
//! again; meanwhile whoever publishes is paused. The same happens while what was published here and
//! not walked everywhere exceeds [`limits::FANOUT_BACKLOG`]. A member that does not read
//! is closed over its water mark by the floor below and never waited for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::presence::{Bucket, OwnRooms, Presence};
use super::publication::{Mail, Publication, cost};
use super::room::Room;
use super::rooms::Rooms;
use super::stage::{Frames, Stage};
use crate::conn::{Block, Kind};
use crate::limits;

/// Unfinished walks of a path beyond which it gathers a larger block before it begins another.
const WALKS_AHEAD: usize = 2;

/// What a broadcast needs of the world: the shard's sockets and the other shards' mailboxes.
pub(super) trait Reach<I, S> {
    /// Mails a block to another shard; gives it back when the mailbox is full.
    fn mail(&mut self, to: usize, mail: Mail) -> Result<(), Mail>;
    /// Makes encoded frames a block, which counts until the last shard lets go of it.
    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block>;
    /// Makes a block this shard's own.
    fn share(&mut self, block: &Arc<Block>) -> S;
    /// Hands a block to a run of members; `None` is nobody.
    fn publish(&mut self, to: &[Option<I>], block: &S, messages: u32);
    /// Tells a member its new place.
    fn moved(&mut self, member: I, place: u32);
    /// Lets a paused publisher go on.
    fn resume(&mut self, publisher: I);
}

/// Where a connection sits: kept with it, given back with every call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seat {
    room: u32,
    /// Place in the room; [`Seat::DOOR`] until its handshake is complete.
    place: u32,
}

impl Seat {
    const DOOR: u32 = u32::MAX;

    /// Sets the place, as [`Reach::moved`] told it.
    pub(super) fn move_to(&mut self, place: u32) {
        self.place = place;
    }
}

/// A block on a walk.
#[derive(Debug)]
struct Load<S> {
    shared: S,
    publication: Arc<Publication>,
}

#[derive(Debug)]
struct Path<I, S> {
    name: Arc<[u8]>,
    bucket: Bucket,
    room: Room<I, Load<S>>,
    /// Connections between accept and open.
    at_door: usize,
    stage: Stage,
    /// In [`Broadcast::staged`].
    is_staged: bool,
    /// In [`Broadcast::walking`].
    is_walking: bool,
    /// In [`Broadcast::left`].
    is_left: bool,
}

/// One shard's part of all broadcast paths, for connections `I` and shard-local blocks `S`.
#[derive(Debug)]
pub(super) struct Broadcast<I, S> {
    shard: usize,
    presence: Arc<Presence>,
    own: OwnRooms,
    paths: Rooms<Path<I, S>>,
    /// Paths that were published to and whose blocks are not made yet.
    staged: Vec<u32>,
    staged_bytes: usize,
    /// Paths with walks, the next to have its slice first.
    walking: VecDeque<u32>,
    /// Paths that somebody left since the last turn.
    left: Vec<u32>,
    /// For each shard what its full mailbox did not take, in order.
    held: Box<[VecDeque<Mail>]>,
    /// Mails in `held`.
    held_mails: usize,
    /// What was published here and is not walked everywhere, as the sum of [`cost`]s.
    under_way: Arc<AtomicUsize>,
    /// Publishers that wait for `held` and `under_way` to shrink.
    paused: Vec<I>,
    /// Empty buffers of former stages.
    spare: Vec<Vec<u8>>,
}

impl<I: Copy + PartialEq, S> Broadcast<I, S> {
    pub(super) fn new(shard: usize, shards: usize, presence: Arc<Presence>) -> Self {
        Self {
            shard,
            presence,
            own: OwnRooms::new(shard),
            paths: Rooms::default(),
            staged: Vec::new(),
            staged_bytes: 0,
            walking: VecDeque::new(),
            left: Vec::new(),
            held: (0..shards).map(|_| VecDeque::new()).collect(),
            held_mails: 0,
            under_way: Arc::new(AtomicUsize::new(0)),
            paused: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Somebody is about to be let in. From here on this shard gets what others publish to the
    /// path.
    pub(super) fn accept(&mut self, name: &[u8]) -> Seat {
        let room = self.paths.find(name).unwrap_or_else(|| self.make(name));
        self.with(room, |path| path.at_door += 1);
        Seat { room, place: Seat::DOOR }
    }

    fn make(&mut self, name: &[u8]) -> u32 {
        let name: Arc<[u8]> = Arc::from(name);
        let bucket = self.presence.bucket(&name);
        self.own.made(&self.presence, bucket);
        let path = Path {
            name: Arc::clone(&name),
            bucket,
            room: Room::default(),
            at_door: 0,
            stage: Stage::default(),
            is_staged: false,
            is_walking: false,
            is_left: false,
        };
        self.paths.add(name, path)
    }

    /// A seat's room is there as long as the seat is: it is freed only when nobody has one.
    fn with(&mut self, room: u32, then: impl FnOnce(&mut Path<I, S>)) {
        let path = self.paths.get(room);
        debug_assert!(path.is_some(), "a seat outlived its room");
        path.map(then);
    }

    /// Its handshake is complete: it gets every block from now on.
    pub(super) fn open(&mut self, seat: &mut Seat, id: I) {
        self.with(seat.room, |path| {
            path.at_door -= 1;
            seat.place = path.room.join(id);
        });
    }

    /// It is gone, or never came further than the door.
    pub(super) fn leave(&mut self, seat: Seat, id: I) {
        let Self { paths, left, .. } = self;
        let Some(path) = paths.get(seat.room) else { return };
        if seat.place == Seat::DOOR {
            path.at_door -= 1;
        } else {
            path.room.leave(seat.place, id);
        }
        if !std::mem::replace(&mut path.is_left, true) {
            left.push(seat.room);
        }
    }

    /// Takes a message for everyone on the seat's path.
    pub(super) fn publish(&mut self, seat: Seat, kind: Kind, payload: &[u8]) {
        let Self { paths, staged, spare, .. } = self;
        let Some(path) = paths.get(seat.room) else { return };
        if !std::mem::replace(&mut path.is_staged, true) {
            staged.push(seat.room);
        }
        self.staged_bytes += path.stage.add(kind, payload, spare);
    }

    /// Remembers a publisher that reads no more until [`Reach::resume`].
    pub(super) fn pause(&mut self, publisher: I) {
        self.paused.push(publisher);
    }

    /// Whether publishers have to wait: more is under way than may be, or a mailbox is full.
    pub(super) fn is_crowded(&self) -> bool {
        let bytes = self.staged_bytes + self.under_way.load(Relaxed);
        self.held_mails > 0 || bytes > limits::FANOUT_BACKLOG
    }

    /// Bytes published here that are no block yet.
    pub(super) fn staged_bytes(&self) -> usize {
        self.staged_bytes
    }

    /// Whether there is something to look after though no event comes: mails to try again,
    /// publishers that wait for other shards, members that left after the turn's end.
    pub(super) fn is_waiting(&self) -> bool {
        self.held_mails > 0 || !self.paused.is_empty() || !self.left.is_empty()
    }

    /// The shard ends: nobody mails here any more.
    pub(super) fn finish(&self) {
        self.own.end(&self.presence);
    }

    /// A block that another shard published.
    pub(super) fn receive(&mut self, mail: Mail, reach: &mut impl Reach<I, S>) {
        let Mail { publication, generation } = mail;
        let Some(room) = self.paths.find(&publication.name) else { return };
        let Some(path) = self.paths.get(room) else { return };
        if self.own.is_now(&self.presence, path.bucket, generation) {
            self.start(room, publication, reach);
        }
    }

    fn start(&mut self, room: u32, publication: Arc<Publication>, reach: &mut impl Reach<I, S>) {
        let Self { paths, walking, .. } = self;
        let Some(path) = paths.get(room) else { return };
        if path.room.len() == 0 {
            return;
        }
        let shared = reach.share(&publication.block);
        path.room.start(Load { shared, publication });
        if !std::mem::replace(&mut path.is_walking, true) {
            walking.push_back(room);
        }
    }

    /// The end of a turn. True: walks are left over.
    pub(super) fn turn(&mut self, reach: &mut impl Reach<I, S>) -> bool {
        self.mail_again(reach);
        self.send_staged(reach);
        self.walk(reach);
        self.tidy(reach);
        if !self.paused.is_empty() && self.held_mails == 0 {
            let bytes = self.staged_bytes + self.under_way.load(Relaxed);
            // Half way down, so that publishers do not stop and go at each block.
            if bytes <= limits::FANOUT_BACKLOG / 2 {
                self.paused.drain(..).for_each(|id| reach.resume(id));
            }
        }
        !self.walking.is_empty() || !self.staged.is_empty()
    }

    fn mail_again(&mut self, reach: &mut impl Reach<I, S>) {
        if self.held_mails == 0 {
            return;
        }
        for (to, held) in self.held.iter_mut().enumerate() {
            while let Some(mail) = held.pop_front() {
                if let Err(mail) = reach.mail(to, mail) {
                    held.push_front(mail);
                    break;
                }
                self.held_mails -= 1;
            }
        }
    }

    fn send_staged(&mut self, reach: &mut impl Reach<I, S>) {
        let mut staged = std::mem::take(&mut self.staged);
        staged.retain(|room| {
            let Some(path) = self.paths.get(*room) else { return false };
            if path.room.walks() > WALKS_AHEAD && !path.stage.has_blocks() {
                return true;
            }
            path.is_staged = false;
            let (name, bucket) = (Arc::clone(&path.name), path.bucket);
            while let Some((frames, messages)) = self.next_staged(*room) {
                self.staged_bytes -= frames.len();
                let block = reach.block(frames);
                self.under_way.fetch_add(cost(block.bytes()), Relaxed);
                let under_way = Arc::clone(&self.under_way);
                let name = Arc::clone(&name);
                let publication = Arc::new(Publication { name, block, messages, under_way });
                self.mail_out(bucket, &publication, reach);
                self.start(*room, publication, reach);
            }
            false
        });
        self.staged = staged;
    }

    fn next_staged(&mut self, room: u32) -> Option<Frames> {
        self.paths.get(room)?.stage.next(&mut self.spare)
    }

    fn mail_out(&mut self, bucket: Bucket, block: &Arc<Publication>, reach: &mut impl Reach<I, S>) {
        let others = self.presence.shards(bucket).filter(|(to, _)| *to != self.shard);
        for (to, generation) in others {
            let mail = Mail { publication: Arc::clone(block), generation };
            // Behind what already waits, or it would overtake.
            let sent = if self.held[to].is_empty() { reach.mail(to, mail) } else { Err(mail) };
            if let Err(mail) = sent {
                self.held[to].push_back(mail);
                self.held_mails += 1;
            }
        }
    }

    fn walk(&mut self, reach: &mut impl Reach<I, S>) {
        let mut deliveries = limits::DELIVERIES_PER_TURN;
        let mut bytes = limits::DELIVERY_BYTES_PER_TURN;
        while deliveries > 0 && bytes > 0 {
            let Some(room) = self.walking.pop_front() else { return };
            let Some(path) = self.paths.get(room) else { continue };
            let mut slice = deliveries.min(limits::DELIVERIES_PER_SLICE);
            deliveries -= slice;
            while let Some(load) = path.room.walked()
                && slice > 0
                && bytes > 0
            {
                let len = load.publication.block.bytes().len();
                let most = slice.min(bytes.div_ceil(len));
                let places = path.room.slice(most, |to, load| {
                    reach.publish(to, &load.shared, load.publication.messages);
                });
                slice -= places;
                bytes = bytes.saturating_sub(places * len);
            }
            deliveries += slice;
            path.is_walking = path.room.is_walking();
            if path.is_walking {
                self.walking.push_back(room);
            } else if path.room.len() == 0 && !std::mem::replace(&mut path.is_left, true) {
                self.left.push(room);
            }
        }
    }

    /// Closes holes where members left, and frees the paths that nobody is on.
    fn tidy(&mut self, reach: &mut impl Reach<I, S>) {
        let mut left = std::mem::take(&mut self.left);
        for room in left.drain(..) {
            let Some(path) = self.paths.get(room) else { continue };
            path.is_left = false;
            path.room.compact(|id, place| reach.moved(id, place));
            let empty = path.room.len() == 0 && path.at_door == 0;
            if empty && path.is_walking {
                // Its walks have nobody left; the next slice ends them and comes back here.
                continue;
            }
            if empty && !path.is_staged {
                let (name, bucket) = (Arc::clone(&path.name), path.bucket);
                self.paths.remove(room, &name);
                self.own.freed(&self.presence, bucket);
            } else if empty {
                path.is_left = true;
                self.left.push(room);
            }
        }
        if self.left.is_empty() {
            self.left = left;
        }
    }
}

#[cfg(test)]
mod tests;
