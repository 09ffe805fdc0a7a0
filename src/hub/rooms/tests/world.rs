//! Shards without sockets or threads, and clients as the test plays them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::conn::{Block, Tally};
use crate::hub::broadcast::Broadcast;
use crate::hub::fan_out;
use crate::hub::fanout::{Fanout, Reach};
use crate::hub::letters::Letter;
use crate::hub::namespace::{Namespace, Namespaces};
use crate::hub::presence::Presence;
use crate::hub::rooms::{Key, Rooms, RoomsSettings};
use crate::shard::OnSlow;
use crate::wire::close::CloseCode;
use crate::wire::frame;

type Shard = (Rooms<u32>, Fanout<u32, Arc<Block>>, Broadcast);

/// What the sockets of all shards are.
pub(super) struct Sockets {
    boxes: Vec<VecDeque<Letter>>,
    /// Letters that a mailbox holds.
    room: usize,
    keys: HashMap<u32, Key>,
    /// What each client was told, line by line.
    heard: HashMap<u32, VecDeque<String>>,
    pub(super) closed: HashMap<u32, (u16, String)>,
    /// Clients that take nothing.
    pub(super) deaf: HashSet<u32>,
    moves: Vec<(Key, u32, u32)>,
    tally: Tally,
}

pub(super) struct World {
    pub(super) shards: Vec<Shard>,
    pub(super) sockets: Sockets,
    at: HashMap<u32, usize>,
    pub(super) now: Instant,
    next: u32,
}

impl Sockets {
    fn hear(&mut self, who: u32, text: &[u8]) {
        let text = std::str::from_utf8(text).unwrap();
        let heard = self.heard.entry(who).or_default();
        heard.extend(text.split('\n').map(str::to_owned));
    }
}

impl Reach<u32, Arc<Block>> for Sockets {
    fn mail(&mut self, to: usize, letter: Letter) -> Result<(), Letter> {
        if self.boxes[to].len() == self.room {
            return Err(letter);
        }
        self.boxes[to].push_back(letter);
        Ok(())
    }

    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block> {
        Block::new(frames, &self.tally)
    }

    fn share(&mut self, block: &Arc<Block>) -> Arc<Block> {
        Arc::clone(block)
    }

    fn publish(
        &mut self,
        to: &[Option<u32>],
        block: &Arc<Block>,
        messages: u32,
        mut slow: OnSlow<'_>,
    ) {
        for (place, member) in to.iter().enumerate() {
            let Some(member) = *member else { continue };
            if self.deaf.contains(&member) {
                match &mut slow {
                    OnSlow::Close(code, reason) => self.close(member, *code, reason),
                    OnSlow::Skip(places) => places.push(place as u32),
                }
                continue;
            }
            let (mut rest, mut count) = (block.bytes(), 0);
            while let Some(header) = frame::decode(rest, false).unwrap() {
                let (frame, after) = rest.split_at(usize::from(header.size) + header.len as usize);
                self.hear(member, &frame[usize::from(header.size)..]);
                (rest, count) = (after, count + 1);
            }
            assert_eq!(count, messages);
        }
    }

    fn moved(&mut self, member: u32, crowd: u32, place: u32) {
        self.moves.extend(self.keys.get(&member).map(|key| (*key, crowd, place)));
    }

    fn resume(&mut self, _publisher: u32) {}

    fn say(&mut self, to: u32, text: &[u8]) {
        if !self.closed.contains_key(&to) {
            self.hear(to, text);
        }
    }

    fn close(&mut self, whom: u32, code: CloseCode, reason: &str) {
        self.closed.entry(whom).or_insert((code.0, reason.to_owned()));
    }

    fn owed(&mut self, whom: u32) -> Option<usize> {
        let here = self.keys.contains_key(&whom) && !self.closed.contains_key(&whom);
        here.then_some(if self.deaf.contains(&whom) { 1 << 20 } else { 0 })
    }

    fn client(&mut self, whom: u32) -> Option<Key> {
        self.keys.get(&whom).copied()
    }

    fn moves(&mut self) -> Vec<(Key, u32, u32)> {
        std::mem::take(&mut self.moves)
    }
}

/// Rooms that anybody may use, with these options.
pub(super) fn open(options: Namespace) -> RoomsSettings {
    RoomsSettings { open: true, ..RoomsSettings::new(Namespaces::of_one(options)) }
}

impl World {
    pub(super) fn new(shards: usize, room: usize, settings: RoomsSettings) -> Self {
        let now = Instant::now();
        let settings = Arc::new(settings);
        let presence = Arc::new(Presence::new(shards));
        let one = |shard| {
            let rooms = Rooms::new(shard, shards, Arc::clone(&settings), now);
            (rooms, Fanout::new(shard, shards), Broadcast::new(shard, Arc::clone(&presence)))
        };
        let sockets = Sockets {
            boxes: (0..shards).map(|_| VecDeque::new()).collect(),
            room,
            keys: HashMap::new(),
            heard: HashMap::new(),
            closed: HashMap::new(),
            deaf: HashSet::new(),
            moves: Vec::new(),
            tally: Tally::default(),
        };
        let at = HashMap::new();
        Self { shards: (0..shards).map(one).collect(), sockets, at, now, next: 0 }
    }

    /// A connection on a shard, which has said nothing.
    pub(super) fn arrive(&mut self, shard: usize) -> u32 {
        let id = self.next;
        self.next += 1;
        let rooms = &mut self.shards[shard].0;
        let key = rooms.accept(None, self.now);
        rooms.open(key, id);
        self.sockets.keys.insert(id, key);
        self.at.insert(id, shard);
        id
    }

    /// A client on a shard that is in.
    pub(super) fn connect(&mut self, shard: usize) -> u32 {
        let id = self.arrive(shard);
        self.say(id, r#"{"id":1,"connect":{}}"#);
        self.turn(shard, 0);
        let reply = self.hear(id).unwrap();
        assert!(reply.starts_with(r#"{"id":1,"connect":{"client":""#), "{reply}");
        id
    }

    /// A connection is gone.
    pub(super) fn cut(&mut self, id: u32) {
        let shard = self.at.remove(&id).unwrap();
        let key = self.sockets.keys.remove(&id).unwrap();
        self.shards[shard].0.closed(key);
    }

    pub(super) fn say(&mut self, id: u32, message: &str) {
        let key = self.sockets.keys[&id];
        self.shards[self.at[&id]].0.message(key, message.as_bytes());
    }

    /// The next line that a client was told.
    pub(super) fn hear(&mut self, id: u32) -> Option<String> {
        self.sockets.heard.get_mut(&id)?.pop_front()
    }

    /// All that a client was told since the last time.
    pub(super) fn hear_all(&mut self, id: u32) -> Vec<String> {
        self.sockets.heard.get_mut(&id).map(|heard| heard.drain(..).collect()).unwrap_or_default()
    }

    /// Says something and waits for what comes of it.
    pub(super) fn ask(&mut self, id: u32, message: &str) -> Vec<String> {
        self.say(id, message);
        self.settle();
        self.hear_all(id)
    }

    /// Some letters, then the turn's end. True: work is left over.
    pub(super) fn turn(&mut self, shard: usize, letters: usize) -> bool {
        let Self { shards, sockets, now, .. } = self;
        let (rooms, fanout, broadcast) = &mut shards[shard];
        if letters > 0 {
            rooms.wake(*now);
        }
        for _ in 0..letters {
            match sockets.boxes[shard].pop_front() {
                Some(Letter::Block(block)) => Rooms::receive(block, fanout, sockets),
                Some(Letter::Ask(ask)) => rooms.asked(*ask, fanout, sockets),
                Some(Letter::Answer(answer)) => rooms.answered(*answer, fanout, sockets),
                Some(Letter::Call(call)) => rooms.called(call, fanout, sockets),
                None => break,
            }
        }
        fan_out(fanout, broadcast, Some(rooms), *now, sockets)
    }

    /// Turns until nothing is left to do at this time.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for shard in 0..self.shards.len() {
                busy |= self.turn(shard, usize::MAX);
                busy |= self.shards[shard].1.held() > 0 || self.shards[shard].0.is_waiting();
            }
            if !busy && self.sockets.boxes.iter().all(VecDeque::is_empty) {
                return;
            }
        }
        panic!("it never settles");
    }

    /// Lets time pass, and does what is due on the way.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(250).min(end - self.now);
            self.settle();
        }
    }

    /// Nothing is held for anybody.
    pub(super) fn assert_empty(&self) {
        assert_eq!(self.sockets.tally.get(), 0, "blocks");
        for (rooms, fanout, _) in &self.shards {
            assert_eq!((fanout.crowds(), fanout.load(), fanout.held()), (0, 0, 0));
            assert_eq!((rooms.clients.len(), rooms.staged.len()), (0, 0));
            assert_eq!((rooms.buffered(), rooms.stalled.len()), (0, 0));
        }
    }
}
