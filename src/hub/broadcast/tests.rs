//! Broadcast over several shards in one thread: bounded mailboxes, any interleaving.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::conn::{Block, Tally};
use crate::hub::fan_out;
use crate::hub::letters::Letter;
use crate::hub::rooms::Key;
use crate::limits::{self, BLOCK, FANOUT_BACKLOG};
use crate::shard::OnSlow;
use crate::wire::close::CloseCode;

type Got = BTreeMap<u32, Vec<[u32; 2]>>;

/// Shards without sockets or threads: mailboxes of `room` mails, and what each member was handed.
struct World {
    shards: Vec<(Broadcast, Fanout<u32, Arc<Block>>)>,
    boxes: Vec<VecDeque<Letter>>,
    room: usize,
    seats: HashMap<u32, (usize, Seat)>,
    got: Got,
    resumed: Vec<u32>,
    presence: Arc<Presence>,
    tally: Tally,
    payload: usize,
    now: Instant,
}

struct Port<'a> {
    boxes: &'a mut [VecDeque<Letter>],
    room: usize,
    seats: &'a mut HashMap<u32, (usize, Seat)>,
    got: &'a mut Got,
    resumed: &'a mut Vec<u32>,
    tally: &'a Tally,
}

impl Reach<u32, Arc<Block>> for Port<'_> {
    fn mail(&mut self, to: usize, letter: Letter) -> Result<(), Letter> {
        if self.boxes[to].len() == self.room {
            return Err(letter);
        }
        self.boxes[to].push_back(letter);
        Ok(())
    }

    fn block(&mut self, frames: Box<[u8]>) -> Arc<Block> {
        Block::new(frames, self.tally)
    }

    fn share(&mut self, block: &Arc<Block>) -> Arc<Block> {
        Arc::clone(block)
    }

    fn publish(
        &mut self,
        to: &[Option<u32>],
        block: &Arc<Block>,
        messages: u32,
        _slow: OnSlow<'_>,
    ) {
        for member in to.iter().flatten() {
            let got = self.got.entry(*member).or_default();
            let before = got.len();
            let mut rest = block.bytes();
            while let Some(header) = frame_at(rest) {
                let (payload, after) = rest[header.0..].split_at(header.1);
                let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
                got.push([word(0), word(4)]);
                rest = after;
            }
            assert_eq!(got.len() - before, messages as usize);
        }
    }

    fn moved(&mut self, member: u32, _crowd: u32, place: u32) {
        // Who is gone has left its seat before anything moves.
        self.seats.get_mut(&member).unwrap().1.move_to(place);
    }

    fn resume(&mut self, publisher: u32) {
        self.resumed.push(publisher);
    }

    fn say(&mut self, _to: u32, _text: &[u8]) {
        unreachable!("a broadcast says nothing of its own")
    }

    fn close(&mut self, _whom: u32, _code: CloseCode, _reason: &str) {
        unreachable!("nor does it close anybody")
    }

    fn owed(&mut self, _whom: u32) -> Option<usize> {
        None
    }

    fn client(&mut self, _whom: u32) -> Option<Key> {
        None
    }

    fn moves(&mut self) -> Vec<(Key, u32, u32)> {
        Vec::new()
    }
}

/// Sizes of the header and the payload of the frame in front.
fn frame_at(bytes: &[u8]) -> Option<(usize, usize)> {
    let header = crate::wire::frame::decode(bytes, false).unwrap()?;
    Some((usize::from(header.size), header.len as usize))
}

impl World {
    fn new(shards: usize, room: usize) -> Self {
        let presence = Arc::new(Presence::new(shards));
        let one =
            |shard| (Broadcast::new(shard, Arc::clone(&presence)), Fanout::new(shard, shards));
        Self {
            shards: (0..shards).map(one).collect(),
            boxes: (0..shards).map(|_| VecDeque::new()).collect(),
            room,
            seats: HashMap::new(),
            got: Got::new(),
            resumed: Vec::new(),
            presence: Arc::clone(&presence),
            tally: Tally::default(),
            payload: 8,
            now: Instant::now(),
        }
    }

    fn with<T>(
        &mut self,
        shard: usize,
        then: impl FnOnce(&mut Broadcast, &mut Fanout<u32, Arc<Block>>, &mut Port<'_>) -> T,
    ) -> T {
        let Self { shards, boxes, room, seats, got, resumed, tally, .. } = self;
        let (hub, fanout) = &mut shards[shard];
        then(hub, fanout, &mut Port { boxes, room: *room, seats, got, resumed, tally })
    }

    fn join(&mut self, id: u32, shard: usize, name: &[u8]) {
        let (hub, fanout) = &mut self.shards[shard];
        let mut seat = hub.accept(name, fanout);
        Broadcast::open(&mut seat, id, fanout);
        self.seats.insert(id, (shard, seat));
    }

    fn leave(&mut self, id: u32) {
        let (shard, seat) = self.seats.remove(&id).unwrap();
        Broadcast::leave(seat, id, &mut self.shards[shard].1);
    }

    /// False: the publisher is paused.
    fn publish(&mut self, id: u32, number: u32) -> bool {
        let (shard, seat) = self.seats[&id];
        let mut payload = vec![0; self.payload];
        payload[..4].copy_from_slice(&id.to_be_bytes());
        payload[4..8].copy_from_slice(&number.to_be_bytes());
        let (hub, fanout) = &mut self.shards[shard];
        hub.publish(seat, (Kind::Binary, &payload), fanout);
        if fanout.is_crowded() {
            fanout.pause(id);
        }
        !fanout.is_crowded()
    }

    /// Some mails, then the turn's end.
    fn turn(&mut self, shard: usize, mails: usize) -> bool {
        for _ in 0..mails {
            let Some(letter) = self.boxes[shard].pop_front() else { break };
            let Letter::Block(delivery) = letter else { unreachable!("nobody has rooms") };
            self.with(shard, |hub, fanout, port| hub.receive(delivery, fanout, port));
        }
        let now = self.now;
        self.with(shard, |hub, fanout, port| fan_out(fanout, hub, None, now, port))
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for shard in 0..self.shards.len() {
                busy |= self.turn(shard, usize::MAX);
                busy |= self.shards[shard].1.held() > 0;
            }
            if !busy && self.boxes.iter().all(VecDeque::is_empty) {
                return;
            }
        }
        panic!("it never settles");
    }

    fn got(&self, id: u32) -> &[[u32; 2]] {
        self.got.get(&id).map_or(&[], Vec::as_slice)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join { shard: usize, path: u8 },
    Leave(usize),
    Publish(usize),
    Turn { shard: usize, mails: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize, 0..2_u8).prop_map(|(shard, path)| Step::Join { shard, path }),
        2 => (0..99_usize).prop_map(Step::Leave),
        4 => (0..99_usize).prop_map(Step::Publish),
        4 => (0..3_usize, 0..4_usize).prop_map(|(shard, mails)| Step::Turn { shard, mails }),
    ]
}

/// A member as the test sees it.
struct Member {
    id: u32,
    path: u8,
    /// What was published to its path while it was there.
    owed: Vec<[u32; 2]>,
}

fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(3, 2);
    let mut members: Vec<Member> = Vec::new();
    let mut sent = HashMap::<u32, u32>::new();
    let mut next_id = 0;
    for step in steps {
        match step {
            Step::Join { shard, path } => {
                world.join(next_id, *shard, &[b'/', *path]);
                members.push(Member { id: next_id, path: *path, owed: Vec::new() });
                next_id += 1;
            }
            Step::Leave(n) if !members.is_empty() => {
                let member = members.remove(n % members.len());
                world.leave(member.id);
            }
            Step::Publish(n) if !members.is_empty() => {
                let (from, path) = (members[n % members.len()].id, members[n % members.len()].path);
                let number = sent.entry(from).or_default();
                *number += 1;
                world.publish(from, *number);
                let message = [from, *number];
                members.iter_mut().filter(|m| m.path == path).for_each(|m| m.owed.push(message));
            }
            Step::Turn { shard, mails } => {
                world.turn(*shard, *mails);
            }
            Step::Leave(_) | Step::Publish(_) => {}
        }
    }
    world.settle();
    for member in &members {
        let got = world.got(member.id);
        for message in &member.owed {
            prop_assert!(got.contains(message), "{} lacks {message:?} of {got:?}", member.id);
        }
    }
    for (id, got) in &world.got {
        let mut last = HashMap::<u32, u32>::new();
        for [from, number] in got {
            if let Some(before) = last.insert(*from, *number) {
                prop_assert_eq!(*number, before + 1, "order at {}: {:?}", id, got);
            }
        }
    }
    for member in &members {
        world.leave(member.id);
    }
    world.settle();
    prop_assert_eq!(world.tally.get(), 0);
    for shard in &world.shards {
        prop_assert_eq!((shard.0.paths.len(), shard.0.staged.len()), (0, 0));
        prop_assert_eq!((shard.1.crowds(), shard.1.load(), shard.1.held()), (0, 0, 0));
    }
    let names = [[b'/', 0], [b'/', 1]];
    let marked = names.iter().flat_map(|n| world.presence.shards(world.presence.bucket(n)));
    prop_assert_eq!(marked.count(), 0, "a shard is still marked");
    Ok(())
}

proptest! {
    #[test]
    fn everyone_there_gets_every_message_once_and_in_order(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        run(&steps)?;
    }
}

#[test]
fn a_subscriber_accepted_on_another_shard_is_mailed_at_once() {
    let mut world = World::new(2, 8);
    world.join(1, 0, b"/a");
    world.join(2, 1, b"/a");
    world.join(3, 1, b"/b");
    assert!(world.publish(1, 1));
    world.turn(0, 0);
    assert_eq!(world.boxes[1].len(), 1, "one mail, no announcement before it");
    world.settle();
    assert_eq!((world.got(1), world.got(2), world.got(3)), (&[[1, 1]][..], &[[1, 1]][..], &[][..]));
}

#[test]
fn no_member_no_mail() {
    let mut world = World::new(3, 8);
    world.join(1, 0, b"/a");
    world.join(2, 2, b"/a");
    world.leave(2);
    world.turn(2, 0);
    assert!(world.publish(1, 1));
    world.turn(0, 0);
    assert!(world.boxes.iter().all(VecDeque::is_empty));
}

#[test]
fn a_turns_messages_are_one_mail() {
    let mut world = World::new(2, 8);
    world.join(1, 0, b"/a");
    world.join(2, 1, b"/a");
    (0..50).for_each(|number| assert!(world.publish(1, number)));
    world.turn(0, 0);
    assert_eq!(world.boxes[1].len(), 1);
    world.settle();
    assert_eq!(world.got(2).len(), 50);
}

#[test]
fn a_turn_is_bounded_in_deliveries_and_a_small_path_is_not_held_up() {
    let mut world = World::new(1, 8);
    (0..5000).for_each(|id| world.join(id, 0, b"/large"));
    world.join(9000, 0, b"/small");
    assert!(world.publish(0, 1) && world.publish(9000, 2));
    assert!(world.turn(0, 0), "work is left over");
    let done: usize = world.got.values().map(Vec::len).sum();
    assert_eq!(done, limits::DELIVERIES_PER_TURN);
    assert_eq!(world.got(9000), [[9000, 2]]);
    world.settle();
    assert_eq!(world.got.len(), 5001);
}

#[test]
fn a_turn_is_bounded_in_bytes() {
    let mut world = World::new(1, 8);
    world.payload = 1 << 20;
    (0..100).for_each(|id| world.join(id, 0, b"/"));
    assert!(world.publish(0, 1));
    assert!(world.turn(0, 0));
    let done: usize = world.got.values().map(Vec::len).sum();
    assert_eq!(done, limits::DELIVERY_BYTES_PER_TURN >> 20);
    world.settle();
    assert_eq!(world.got.len(), 100);
}

#[test]
fn a_lagging_path_gathers_larger_blocks() {
    let mut world = World::new(1, 8);
    (0..10_000).for_each(|id| world.join(id, 0, b"/"));
    for number in 0..50 {
        assert!(world.publish(0, number));
        world.turn(0, 0);
    }
    let walks = world.shards[0].1.walks(0);
    assert!(walks <= WALKS_AHEAD + 1, "{walks} walks");
    world.settle();
    let all: Vec<[u32; 2]> = (0..50).map(|number| [0, number]).collect();
    assert!((0..10_000).all(|id| world.got(id) == all));
}

#[test]
fn a_full_mailbox_pauses_the_publisher_and_loses_nothing() {
    let mut world = World::new(2, 1);
    world.join(1, 0, b"/");
    world.join(2, 1, b"/");
    assert!(world.publish(1, 0));
    world.turn(0, 0);
    assert!(world.publish(1, 1));
    world.turn(0, 0);
    assert!(world.shards[0].1.is_waiting());
    assert!(!world.publish(1, 2), "the publisher pauses");
    world.turn(0, 0);
    assert!(world.resumed.is_empty());
    world.settle();
    assert_eq!((world.got(2), world.resumed.as_slice()), (&[[1, 0], [1, 1], [1, 2]][..], &[1][..]));
    assert!(!world.shards[0].1.is_waiting());
}

#[test]
fn a_shard_that_lags_pauses_those_who_publish_to_it() {
    let mut world = World::new(2, 1000);
    world.payload = BLOCK;
    world.join(1, 0, b"/");
    world.join(2, 1, b"/");
    let mut number = 0;
    while world.publish(1, number) {
        number += 1;
        world.turn(0, 0);
        assert!(number < 1000, "it never pauses");
    }
    let published = number as usize * BLOCK;
    assert!((FANOUT_BACKLOG / 2..=FANOUT_BACKLOG).contains(&published), "{published}");
    world.turn(0, 0);
    assert!(world.shards[0].1.is_waiting() && world.resumed.is_empty());
    // The other shard walks: its blocks are dropped, and the publisher goes on.
    world.turn(1, usize::MAX);
    world.turn(1, 0);
    world.turn(0, 0);
    assert_eq!(world.resumed, [1]);
}

#[test]
fn a_newcomer_gets_no_block_from_before_the_gap() {
    let mut world = World::new(2, 8);
    world.join(1, 0, b"/");
    world.join(2, 1, b"/");
    let publish = |world: &mut World, number| {
        assert!(world.publish(1, number));
        world.turn(0, 0);
    };
    publish(&mut world, 1);
    world.leave(2);
    world.turn(1, 0);
    publish(&mut world, 2);
    world.join(3, 1, b"/");
    publish(&mut world, 3);
    world.settle();
    assert_eq!(world.got(3), [[1, 3]], "1 is on its way, 2 went nowhere");
}

#[test]
fn who_never_passes_the_door_leaves_nothing() {
    let mut world = World::new(1, 8);
    let (hub, fanout) = &mut world.shards[0];
    let seat = hub.accept(b"/a", fanout);
    world.turn(0, 0);
    assert_eq!(world.shards[0].1.crowds(), 1);
    Broadcast::leave(seat, 7, &mut world.shards[0].1);
    world.turn(0, 0);
    assert_eq!(world.shards[0].1.crowds(), 0);
}

#[test]
fn a_publisher_that_leaves_at_once_is_still_heard() {
    let mut world = World::new(2, 8);
    world.join(1, 0, b"/");
    world.join(2, 1, b"/");
    assert!(world.publish(1, 1));
    world.leave(1);
    world.settle();
    assert_eq!(world.got(2), [[1, 1]]);
    assert_eq!(world.shards[0].1.crowds(), 0);
}

#[test]
fn a_shard_that_ended_holds_up_nobody() {
    let mut world = World::new(2, 2);
    world.payload = BLOCK;
    world.join(1, 0, b"/");
    world.join(2, 1, b"/");
    // Its members never leave: the shard was stopped.
    world.shards[1].0.finish();
    for number in 0..1000 {
        assert!(world.publish(1, number), "paused for a shard that is gone");
        world.turn(0, 0);
    }
    assert!(world.boxes[1].is_empty());
}
