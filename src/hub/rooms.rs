//! Rooms: publish and subscribe for Centrifugo's client libraries, on `/connection/websocket`.
//!
//! Every room has a home, a shard that follows from its name. The home owns what must not race:
//! epoch, offset, history, who is in it, and which shards have members. The other shards own their
//! clients and the crowds of those who are in. They meet by letters alone:
//!
//! ```text
//! client -> its shard --Ask--> home: an offset, an entry of the history, a frame
//!           its shard <-Answer- home --block of frames--> every shard with members --> members
//! ```
//!
//! Letters between two shards keep their order, and that is what makes recovery exact: when a home
//! lets a member in, it first sends off the frames it has gathered, then the answer with all that
//! the member missed up to now, and every later block comes behind that answer. The member's shard
//! puts it into the crowd as it reads the answer, behind every walk that has begun. So it gets each
//! publication once: from the history, or from a block.
//!
//! Commands wait in an inbox until the turn's end and are carried out in slices. A client's
//! answers of one turn are one message. Who sends more than shards and homes take is not read for a
//! while (`fanout`), and a home that has too much under way keeps its acknowledgements until then.

mod admin;
mod answers;
mod client;
mod clock;
mod commands;
mod history;
mod home;
mod homes;
mod identity;
mod letter;
mod members;
mod reply;
mod settings;
mod timers;
mod tokens;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;

use super::command::Parser;
use super::fanout::{Fanout, Reach};
use super::letters::Letter;
use super::registry::Registry;
use crate::calls;
use crate::conn::Tick;
use crate::limits;
use crate::shard::slab::Slab;
use crate::shard::wheel::Wheel;
use crate::wire::close::CloseCode;
use client::{Client, Sub};
use clock::Clock;
use home::Home;
pub(super) use letter::{Answer, Ask, Key, channel_of};
pub(super) use reply::{Bye, push_head};
pub use settings::RoomsSettings;

/// What clients are told of who serves them.
const VERSION: &str = concat!("plimsoll ", env!("CARGO_PKG_VERSION"));

/// Buffers of answers that are kept.
const SPARE: usize = 64;

/// One shard's part of all rooms, for connections `I`.
#[derive(Debug)]
pub(super) struct Rooms<I> {
    shard: u32,
    shards: usize,
    settings: Arc<RoomsSettings>,
    random: StdRng,
    clock: Clock,
    /// Out while it is at work.
    parser: Option<Box<Parser>>,
    clients: Slab<Client<I>>,
    /// Deadlines of clients, by their place.
    wheel: Wheel,
    /// When commands were left unread last, be it in a socket or in the inbox.
    held: Option<clock::Moment>,
    /// Clients whose deadline has come.
    due: Vec<u32>,
    /// Commands that were not carried out yet, with who sent them and how many bytes of `commands`
    /// they are.
    inbox: VecDeque<(Key, usize)>,
    commands: Vec<u8>,
    /// Commands that wait for the answer to an earlier one of the same client, all its later ones
    /// behind them; and their bytes.
    stalled: HashMap<Key, Vec<Box<[u8]>>>,
    stalled_bytes: usize,
    /// Such ones whose answer is here.
    resumed: Vec<(Key, Vec<Box<[u8]>>)>,
    /// Subscriptions of clients that are gone, with their connections.
    gone: Vec<(Option<I>, Sub)>,
    /// What clients are told in this turn, and the clients.
    outs: Vec<(Key, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
    /// The rooms that this shard is home to.
    homes: Registry<Home>,
    /// Homes with frames that are no block yet.
    staged: Vec<u32>,
    /// When homes are to be looked at.
    looks: BTreeSet<(clock::Moment, u32)>,
    /// Homes that nobody is in, and since when.
    idle: BTreeSet<(clock::Moment, u32)>,
    /// Bytes of all histories, and how many they may be.
    history_bytes: usize,
    history_room: usize,
    /// Acknowledgements that wait until less is under way.
    late: VecDeque<(u32, Answer)>,
    name: Vec<u8>,
    push: Vec<u8>,
}

impl<I: Copy + PartialEq> Rooms<I> {
    /// `now` is about when the shard begins.
    pub(super) fn new(
        shard: usize,
        shards: usize,
        settings: Arc<RoomsSettings>,
        now: Instant,
    ) -> Self {
        Self {
            shard: shard as u32,
            shards,
            random: rand::make_rng::<StdRng>(),
            clock: Clock::new(now),
            parser: Some(Box::default()),
            clients: Slab::default(),
            wheel: Wheel::default(),
            held: None,
            due: Vec::new(),
            inbox: VecDeque::new(),
            commands: Vec::new(),
            stalled: HashMap::new(),
            stalled_bytes: 0,
            resumed: Vec::new(),
            gone: Vec::new(),
            outs: Vec::new(),
            spare: Vec::new(),
            homes: Registry::default(),
            staged: Vec::new(),
            looks: BTreeSet::new(),
            idle: BTreeSet::new(),
            history_bytes: 0,
            history_room: settings.history_bytes / shards,
            settings,
            late: VecDeque::new(),
            name: Vec::new(),
            push: Vec::new(),
        }
    }

    // Clients.

    /// Somebody is about to be let in, whose request's head may have had a token.
    pub(super) fn accept(&mut self, token: Option<&str>, now: Instant) -> Key {
        self.wake(now);
        let until = self.clock.now().plus(self.settings.connect_timeout);
        let key = self.clients.insert(Client::new(token.map(Box::from), until));
        self.wheel.arm(key.index, until.tick());
        key
    }

    /// Its handshake is complete.
    pub(super) fn open(&mut self, key: Key, conn: I) {
        if let Some(client) = self.clients.get_mut(key) {
            client.conn = Some(conn);
        }
    }

    /// It is gone: its subscriptions end with the turn.
    pub(super) fn closed(&mut self, key: Key) {
        let Some(client) = self.clients.remove(key) else { return };
        self.unstall(key);
        self.wheel.arm(key.index, Tick(u32::MAX));
        self.gone.extend(client.subs.into_iter().map(|sub| (client.conn, sub)));
    }

    fn bury<S: Clone>(&mut self, fanout: &mut Fanout<I, S>, reach: &mut impl Reach<I, S>) {
        for (conn, sub) in std::mem::take(&mut self.gone) {
            if sub.is_in() {
                self.leave(conn, &sub, fanout, reach);
            }
            // One that is asked for ends when the answer finds nobody.
        }
    }

    /// A member is out of its crowd, and its home hears of it.
    fn leave<S: Clone>(
        &mut self,
        conn: Option<I>,
        sub: &Sub,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let Some(channel) = fanout.name(sub.crowd) else { return };
        if let Some(conn) = conn {
            fanout.leave(sub.crowd, sub.place, conn);
        }
        self.left(channel, sub.at_home, fanout, reach);
    }

    /// Tells a room's home that a member is gone.
    fn left<S: Clone>(
        &mut self,
        channel: letter::Channel,
        at_home: u32,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        let from = letter::Ticket { shard: self.shard, client: Key::NONE, id: 0, cost: 0 };
        let what = letter::What::Leave(at_home);
        self.ask(Ask { from, channel, what }, fanout, reach);
    }

    /// Asks a room's home, which may be here.
    fn ask<S: Clone>(&mut self, ask: Ask, fanout: &mut Fanout<I, S>, reach: &mut impl Reach<I, S>) {
        let home = calls::home(channel_of(&ask.channel), self.shards);
        if home == self.shard as usize {
            self.asked(ask, fanout, reach);
        } else {
            fanout.send(home, Letter::Ask(Box::new(ask)), reach);
        }
    }

    /// Members have new places in crowds.
    pub(super) fn note_moves<S>(&mut self, reach: &mut impl Reach<I, S>) {
        for (key, crowd, place) in reach.moves() {
            if let Some(sub) = self.clients.get_mut(key).and_then(|client| client.sub(crowd)) {
                sub.place = place;
            }
        }
    }

    // Turns.

    /// It is so late now: the shard may have slept since the last turn.
    pub(super) fn wake(&mut self, now: Instant) {
        self.clock.set(now);
    }

    /// A message of a client: kept until the turn's end.
    pub(super) fn message(&mut self, key: Key, message: &[u8]) {
        self.inbox.push_back((key, message.len()));
        self.commands.extend_from_slice(message);
    }

    /// Whether clients wait until their commands are carried out.
    pub(super) fn is_crowded(&self) -> bool {
        self.buffered() > limits::COMMAND_BACKLOG
    }

    /// Bytes of commands. Histories have a bound of their own.
    pub(super) fn buffered(&self) -> usize {
        self.commands.len() + self.stalled_bytes
    }

    /// Everything but the walks. True: commands are left over.
    pub(super) fn turn<S: Clone>(
        &mut self,
        now: Instant,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) -> bool {
        self.wake(now);
        self.bury(fanout, reach);
        self.carry_out(fanout, reach);
        let more = self.timers(fanout, reach);
        self.answer_late(fanout, reach);
        self.send_staged(fanout, reach);
        self.flush(reach);
        more || !self.inbox.is_empty()
    }

    /// After the walks: tells members that a block left out that they are out of the room.
    pub(super) fn after_walks<S: Clone>(
        &mut self,
        fanout: &mut Fanout<I, S>,
        reach: &mut impl Reach<I, S>,
    ) {
        self.note_moves(reach);
        for (crowd, member) in std::mem::take(&mut fanout.dropped) {
            if let Some(key) = reach.client(member) {
                self.put_out(key, crowd, reply::Out::INSUFFICIENT, fanout, reach);
            }
        }
        self.flush(reach);
    }

    /// Whether there is something to do in a turn that no event leads to.
    pub(super) fn is_waiting(&self) -> bool {
        !(self.gone.is_empty()
            && self.due.is_empty()
            && self.late.is_empty()
            && self.staged.is_empty()
            && self.resumed.is_empty())
    }

    /// When something is due though no event comes.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let armed = self.wheel.is_armed() || !self.looks.is_empty();
        armed.then(|| self.clock.instant(self.wheel.next()))
    }

    // What clients are told.

    /// Where to write what a client is told in this turn.
    fn out(&mut self, key: Key) -> &mut Vec<u8> {
        let Self { clients, outs, spare, .. } = self;
        let fresh = outs.len() as u32;
        let at = match clients.get_mut(key) {
            Some(client) if client.out == Client::<I>::QUIET => {
                client.out = fresh;
                fresh
            }
            Some(client) => client.out,
            // It is gone, and what it is told goes nowhere.
            None => fresh,
        } as usize;
        if at == outs.len() {
            outs.push((key, spare.pop().unwrap_or_default()));
        }
        &mut outs[at].1
    }

    /// Appends a reply that is written already.
    fn say(&mut self, key: Key, reply: &[u8]) {
        let out = self.out(key);
        if !out.is_empty() {
            out.push(b'\n');
        }
        out.extend_from_slice(reply);
    }

    fn fault(&mut self, key: Key, id: u32, fault: reply::Fault) {
        reply::fault(self.out(key), id, fault);
    }

    /// Closes a client's connection, once it was told what it was to be told.
    fn close<S>(&mut self, key: Key, bye: Bye, reach: &mut impl Reach<I, S>) {
        self.close_with(key, bye.0, bye.1, reach);
    }

    fn close_with<S>(
        &mut self,
        key: Key,
        code: CloseCode,
        reason: &str,
        reach: &mut impl Reach<I, S>,
    ) {
        self.flush(reach);
        if let Some(conn) = self.clients.get_mut(key).and_then(|client| client.conn) {
            reach.close(conn, code, reason);
        }
    }

    /// Sends what clients are told.
    fn flush<S>(&mut self, reach: &mut impl Reach<I, S>) {
        for (key, mut text) in self.outs.drain(..) {
            if let Some(client) = self.clients.get_mut(key) {
                client.out = Client::<I>::QUIET;
                if let Some(conn) = client.conn {
                    reach.say(conn, &text);
                }
            }
            text.clear();
            if self.spare.len() < SPARE && text.capacity() <= limits::BLOCK {
                self.spare.push(text);
            }
        }
    }

    /// Rooms that this is home to, and bytes of their histories.
    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        (self.homes.len(), self.history_bytes)
    }

    fn random(&mut self) -> u128 {
        let mut bytes = [0; 16];
        self.random.fill_bytes(&mut bytes);
        u128::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests;
