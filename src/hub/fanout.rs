//! The one fan-out: blocks of encoded frames to crowds of members, on every shard that has some.
//!
//! A [`Crowd`] is one shard's members of a raw path or of a room. The services, `broadcast` and
//! `rooms`, decide what is published and which shards have members; from there on everything is
//! here:
//!
//! 1. [`Fanout::publish`] makes a block of frames, mails it to those shards and begins a walk over
//!    the crowd of its own.
//! 2. A shard that gets the mail begins its own walk, after those it has begun before.
//! 3. Walks go on in slices, a bounded number of deliveries and bytes in a turn, each crowd in its
//!    turn, so that a large one delays neither the others nor the echoes.
//!
//! Nothing is lost on the way: a letter that finds a full mailbox stays here, in order, and is
//! tried again; meanwhile whoever publishes is paused. The same happens while what was published
//! here and not walked everywhere exceeds [`limits::FANOUT_BACKLOG`]. A member over its water mark
//! is never waited for: [`Slow`] says what becomes of it.

mod behind;
mod walk;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use self::behind::Behind;
use super::letters::{Letter, Letters};
use super::namespace::Slow;
use super::presence::Generation;
use super::publication::{Delivery, Publication, cost};
use super::registry::Registry;
use super::room::Room;
use super::rooms::{Key, channel_of};
use crate::conn::Block;
use crate::limits;
use crate::shard::OnSlow;
use crate::wire::close::CloseCode;

/// Unfinished walks of a crowd beyond which its publisher gathers a larger block before it begins
/// another.
pub(super) const WALKS_AHEAD: usize = 2;

/// What a crowd's service needs of the world: the shard's sockets and the other shards' mailboxes.
pub(super) trait Reach<I, S> {
    /// Mails a letter to another shard; gives it back when the mailbox is full.
    fn mail(&mut self, to: usize, letter: Letter) -> Result<(), Letter>;
    /// Makes encoded frames a block, which counts until the last shard lets go of it.
    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block>;
    /// Makes a block this shard's own.
    fn share(&mut self, block: &Arc<Block>) -> S;
    /// Hands a block to a run of members; `None` is nobody.
    fn publish(&mut self, to: &[Option<I>], block: &S, messages: u32, slow: OnSlow<'_>);
    /// Tells a member its new place in a crowd.
    fn moved(&mut self, member: I, crowd: u32, place: u32);
    /// Lets a paused publisher go on.
    fn resume(&mut self, publisher: I);
    /// Sends one text message.
    fn say(&mut self, to: I, text: &[u8]);
    /// Begins a close handshake.
    fn close(&mut self, whom: I, code: CloseCode, reason: &str);
    /// Bytes that a connection has not taken yet; `None` if it is gone or closing.
    fn owed(&mut self, whom: I) -> Option<usize>;
    /// The client of rooms that a connection is.
    fn client(&mut self, whom: I) -> Option<Key>;
    /// What [`Reach::moved`] told clients of rooms since the last call, for their service to note.
    fn moves(&mut self) -> Vec<(Key, u32, u32)>;
}

/// Whose crowd it is, which says what becomes of a slow member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Service {
    Broadcast,
    Room(Slow),
}

/// A block on a walk.
#[derive(Clone, Debug)]
struct Load<S> {
    shared: S,
    publication: Arc<Publication>,
}

/// One shard's members of a path or room.
#[derive(Debug)]
struct Crowd<I, S> {
    name: Arc<[u8]>,
    service: Service,
    room: Room<I, Load<S>>,
    behind: Option<Box<Behind<I>>>,
    /// Why it stays though nobody is in it: connections at the door, frames that are staged.
    holds: u32,
    /// In [`Fanout::walking`].
    is_walking: bool,
    /// In [`Fanout::left`].
    is_left: bool,
}

impl<I: Copy + PartialEq, S> Crowd<I, S> {
    fn is_empty(&self) -> bool {
        self.room.len() == 0 && self.holds == 0 && self.behind.is_none()
    }
}

/// One shard's part of the fan-out, for connections `I` and shard-local blocks `S`.
#[derive(Debug)]
pub(super) struct Fanout<I, S> {
    pub(super) shard: usize,
    crowds: Registry<Crowd<I, S>>,
    /// Crowds with walks, the next to have its slice first.
    walking: VecDeque<u32>,
    /// Crowds that somebody left since the last turn.
    left: Vec<u32>,
    /// Crowds with members that are behind.
    behind: Vec<u32>,
    /// When these are looked at again.
    look: Option<Instant>,
    /// Members that a block left out for good, with their crowds; for their service to tell them.
    pub(super) dropped: Vec<(u32, I)>,
    /// Places in a run that a block left out.
    skipped: Vec<u32>,
    letters: Letters,
    /// What was published here and is not walked everywhere, as the sum of [`cost`]s.
    under_way: Arc<AtomicUsize>,
    /// Bytes published here that are no block yet.
    pub(super) staged_bytes: usize,
    /// Bytes of letters whose answer has not come, and how many.
    asked: (usize, usize),
    /// Publishers that wait for all of these to shrink.
    paused: Vec<I>,
    /// Empty buffers of former stages.
    pub(super) spare: Vec<Vec<u8>>,
}

impl<I: Copy + PartialEq, S: Clone> Fanout<I, S> {
    /// The place of who is in no run of members: still at the door, or behind.
    pub(super) const NOWHERE: u32 = u32::MAX;

    pub(super) fn new(shard: usize, shards: usize) -> Self {
        Self {
            shard,
            crowds: Registry::default(),
            walking: VecDeque::new(),
            left: Vec::new(),
            behind: Vec::new(),
            look: None,
            dropped: Vec::new(),
            skipped: Vec::new(),
            letters: Letters::new(shards),
            under_way: Arc::new(AtomicUsize::new(0)),
            staged_bytes: 0,
            asked: (0, 0),
            paused: Vec::new(),
            spare: Vec::new(),
        }
    }

    // Crowds.

    /// The number of a name's crowd.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.crowds.find(name)
    }

    /// Makes the crowd of a name that has none. Hold it at once.
    pub(super) fn make(&mut self, name: Arc<[u8]>, service: Service) -> u32 {
        let crowd = Crowd {
            name: Arc::clone(&name),
            service,
            room: Room::default(),
            behind: None,
            holds: 0,
            is_walking: false,
            is_left: false,
        };
        self.crowds.add(name, crowd)
    }

    /// The name of a crowd.
    pub(super) fn name(&mut self, number: u32) -> Option<Arc<[u8]>> {
        self.crowds.get(number).map(|crowd| Arc::clone(&crowd.name))
    }

    /// A crowd with members or holds is there; a number is kept only together with either.
    fn with(&mut self, number: u32, then: impl FnOnce(&mut Crowd<I, S>)) {
        let crowd = self.crowds.get(number);
        debug_assert!(crowd.is_some(), "a number outlived its crowd");
        crowd.map(then);
    }

    /// Keeps an empty crowd.
    pub(super) fn hold(&mut self, number: u32) {
        self.with(number, |crowd| crowd.holds += 1);
    }

    /// Takes a hold back.
    pub(super) fn release(&mut self, number: u32) {
        self.with(number, |crowd| crowd.holds -= 1);
        self.look_at(number);
    }

    /// Has the crowd looked at when the turn ends: it may be empty.
    fn look_at(&mut self, number: u32) {
        if let Some(crowd) = self.crowds.get(number)
            && !std::mem::replace(&mut crowd.is_left, true)
        {
            self.left.push(number);
        }
    }

    /// Lets a member in: it gets every block that comes from now on. Its hold becomes its place.
    pub(super) fn join(&mut self, number: u32, id: I) -> u32 {
        let Some(crowd) = self.crowds.get(number) else { return Self::NOWHERE };
        crowd.holds -= 1;
        crowd.room.join(id)
    }

    /// Lets a member out.
    pub(super) fn leave(&mut self, number: u32, place: u32, id: I) {
        self.with(number, |crowd| {
            crowd.room.leave(place, id);
            if let Some(behind) = &mut crowd.behind {
                behind.members.retain(|member| *member != id);
            }
            crowd.behind.take_if(|behind| behind.members.is_empty());
        });
        self.look_at(number);
    }

    /// Walks of a crowd that are not finished.
    pub(super) fn walks(&mut self, number: u32) -> usize {
        self.crowds.get(number).map_or(0, |crowd| crowd.room.walks())
    }

    /// Channels of rooms that have members here and that are wanted, and how many members.
    pub(super) fn rooms(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<(Box<str>, u64)> {
        let rooms = self.crowds.iter().filter(|crowd| {
            crowd.service != Service::Broadcast && crowd.room.len() > 0 && wanted(&crowd.name)
        });
        let name = |crowd: &Crowd<I, S>| channel_of(&crowd.name).into();
        rooms.map(|crowd| (name(crowd), crowd.room.len() as u64)).collect()
    }

    /// Crowds there are.
    #[cfg(test)]
    pub(super) fn crowds(&self) -> usize {
        self.crowds.len()
    }

    /// Letters that wait for room.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.letters.held()
    }

    // Backpressure.

    /// Bytes under way: staged, on walks, or asked of a home.
    pub(super) fn load(&self) -> usize {
        self.staged_bytes + self.under_way.load(Relaxed) + self.asked.0
    }

    /// Whether publishers have to wait: more is under way than may be, or a mailbox is full.
    pub(super) fn is_crowded(&self) -> bool {
        self.letters.held() > 0
            || self.load() > limits::FANOUT_BACKLOG
            || self.asked.1 > limits::ASKED
    }

    /// Whether what was published here and not walked everywhere is past its bound.
    pub(super) fn is_backed_up(&self) -> bool {
        self.under_way.load(Relaxed) > limits::FANOUT_BACKLOG
    }

    /// Remembers a publisher that reads no more until [`Reach::resume`].
    pub(super) fn pause(&mut self, publisher: I) {
        self.paused.push(publisher);
    }

    /// Whether publishers wait, or have to: their next messages lie unread.
    pub(super) fn holds_publishers(&self) -> bool {
        !self.paused.is_empty() || self.is_crowded()
    }

    /// Whether there is something to look after though no event comes: letters to try again,
    /// publishers that wait for other shards, members that left after the turn's end.
    pub(super) fn is_waiting(&self) -> bool {
        self.letters.held() > 0 || !self.paused.is_empty() || !self.left.is_empty()
    }

    /// When members that are behind are looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.look.filter(|_| !self.behind.is_empty())
    }

    /// Resumes who was paused, once there is room again.
    pub(super) fn resume(&mut self, reach: &mut impl Reach<I, S>) {
        // Half way down, so that publishers do not stop and go at each block.
        if !self.paused.is_empty()
            && self.letters.held() == 0
            && self.load() <= limits::FANOUT_BACKLOG / 2
            && self.asked.1 <= limits::ASKED / 2
        {
            self.paused.drain(..).for_each(|id| reach.resume(id));
        }
    }

    // Letters.

    /// Mails a letter, now or when there is room.
    pub(super) fn send(&mut self, to: usize, letter: Letter, reach: &mut impl Reach<I, S>) {
        self.letters.send(to, letter, |to, letter| reach.mail(to, letter));
    }

    /// Tries again what found a full mailbox.
    pub(super) fn send_again(&mut self, reach: &mut impl Reach<I, S>) {
        self.letters.again(|to, letter| reach.mail(to, letter));
    }

    /// A letter of so many bytes is on its way, whose answer will come.
    pub(super) fn asked(&mut self, bytes: usize) {
        self.asked.0 += bytes;
        self.asked.1 += 1;
    }

    /// The answer has come.
    pub(super) fn answered(&mut self, bytes: usize) {
        self.asked.0 -= bytes;
        self.asked.1 -= 1;
    }

    // Blocks.

    /// Makes a block of frames, mails it, and begins a walk over the crowd here, if there is one.
    /// What it gives is gone when all shards have walked.
    pub(super) fn publish(
        &mut self,
        name: &Arc<[u8]>,
        (frames, messages): (Box<[u8]>, u32),
        to: impl Iterator<Item = (usize, Option<Generation>)>,
        here: Option<u32>,
        reach: &mut impl Reach<I, S>,
    ) -> Weak<Publication> {
        let block = reach.block(frames);
        self.under_way.fetch_add(cost(block.bytes()), Relaxed);
        let (name, under_way) = (Arc::clone(name), Arc::clone(&self.under_way));
        let publication = Arc::new(Publication { name, block, messages, under_way });
        for (to, generation) in to.filter(|(to, _)| *to != self.shard) {
            let delivery = Delivery { publication: Arc::clone(&publication), generation };
            self.letters.send(to, Letter::Block(delivery), |to, letter| reach.mail(to, letter));
        }
        let sent = Arc::downgrade(&publication);
        if let Some(number) = here {
            self.start(number, publication, reach);
        }
        sent
    }

    /// Begins a walk over whoever is here now.
    pub(super) fn start(
        &mut self,
        number: u32,
        publication: Arc<Publication>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Self { crowds, walking, .. } = self;
        let Some(crowd) = crowds.get(number) else { return };
        if crowd.room.len() == 0 && crowd.behind.is_none() {
            return;
        }
        let load = Load { shared: reach.share(&publication.block), publication };
        if let Some(behind) = &mut crowd.behind {
            behind.note(load.publication.block.bytes());
        }
        crowd.room.start(load);
        if crowd.room.is_walking() && !std::mem::replace(&mut crowd.is_walking, true) {
            walking.push_back(number);
        }
    }

    /// Closes holes where members left, and frees the crowds that nobody is in or holds.
    pub(super) fn tidy(
        &mut self,
        reach: &mut impl Reach<I, S>,
        mut freed: impl FnMut(u32, Service),
    ) {
        let mut left = std::mem::take(&mut self.left);
        for number in left.drain(..) {
            let Some(crowd) = self.crowds.get(number) else { continue };
            crowd.is_left = false;
            crowd.room.compact(|id, place| reach.moved(id, number, place));
            // A crowd that is walked has nobody left; the next slice ends that and comes back here.
            if crowd.is_empty() && !crowd.is_walking {
                let (name, service) = (Arc::clone(&crowd.name), crowd.service);
                self.crowds.remove(number, &name);
                freed(number, service);
            }
        }
        if self.left.is_empty() {
            self.left = left;
        }
    }
}
