//! The members of one path or room on one shard, and the walks over them.
//!
//! A walk hands one block to every member that was there when the block came. It is taken in
//! slices, and between two slices members come and go:
//!
//! - who comes is appended behind the end of every walk that has begun: it gets later blocks only;
//! - who goes leaves a hole: nobody changes place, so nobody is skipped or served twice;
//! - when holes are many, [`Room::compact`] closes them and moves the walks' positions along.
//!
//! Knows neither sockets nor other shards.

use std::collections::VecDeque;

/// Holes that are not worth a compaction.
const HOLES: usize = 32;

/// A block under way to the members below `end`.
#[derive(Debug)]
struct Walk<B> {
    block: B,
    end: usize,
}

/// Members with an identity `I`, blocks of `B`.
#[derive(Debug)]
pub(super) struct Room<I, B> {
    /// In the order they came; `None` is a hole.
    members: Vec<Option<I>>,
    /// `None`s among `members`.
    holes: usize,
    /// In the order they came; their ends never decrease.
    walks: VecDeque<Walk<B>>,
    /// Next place of the first walk; at most its end.
    at: usize,
}

impl<I, B> Default for Room<I, B> {
    fn default() -> Self {
        Self { members: Vec::new(), holes: 0, walks: VecDeque::new(), at: 0 }
    }
}

impl<I: Copy + PartialEq, B> Room<I, B> {
    /// Members present.
    pub(super) fn len(&self) -> usize {
        self.members.len() - self.holes
    }

    /// Lets a member in and says its place.
    pub(super) fn join(&mut self, id: I) -> u32 {
        self.members.push(Some(id));
        (self.members.len() - 1) as u32
    }

    /// Lets the member at a place out. Nothing happens when another one, or nobody, is there.
    pub(super) fn leave(&mut self, place: u32, id: I) {
        if let Some(slot) = self.members.get_mut(place as usize)
            && *slot == Some(id)
        {
            *slot = None;
            self.holes += 1;
        }
    }

    /// Begins a walk over everybody who is here now.
    pub(super) fn start(&mut self, block: B) {
        if self.len() > 0 {
            self.walks.push_back(Walk { block, end: self.members.len() });
        }
    }

    /// Walks that are not finished.
    pub(super) fn walks(&self) -> usize {
        self.walks.len()
    }

    /// Whether a walk is not finished.
    pub(super) fn is_walking(&self) -> bool {
        !self.walks.is_empty()
    }

    /// The member at a place.
    pub(super) fn member(&self, place: usize) -> Option<I> {
        self.members.get(place).copied().flatten()
    }

    /// The next place of the first walk.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The blocks of all walks that are not finished, in the order they came.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &B> {
        self.walks.iter().map(|walk| &walk.block)
    }

    /// The block of the first walk.
    pub(super) fn walked(&self) -> Option<&B> {
        self.walks.front().map(|walk| &walk.block)
    }

    /// Hands the first walk's block to the next `most` places at most, some of them holes, and says
    /// how many they were. The block is dropped with the walk's last place.
    pub(super) fn slice(&mut self, most: usize, deliver: impl FnOnce(&[Option<I>], &B)) -> usize {
        let Some(walk) = self.walks.front() else { return 0 };
        let run = &self.members[self.at..walk.end.min(self.at + most)];
        deliver(run, &walk.block);
        let places = run.len();
        self.at += places;
        if self.at == walk.end {
            self.walks.pop_front();
            self.at = 0;
        }
        places
    }

    /// Closes the holes when they are more than the members, and tells each member that moves.
    /// So its cost, however many leave, is a constant for each one that left.
    pub(super) fn compact(&mut self, mut moved: impl FnMut(I, u32)) {
        if self.holes < HOLES || self.holes * 2 < self.members.len() {
            return;
        }
        let (mut kept, mut walk, mut at) = (0, 0, None);
        for place in 0..self.members.len() {
            while self.walks.get(walk).is_some_and(|walk| walk.end == place) {
                self.walks[walk].end = kept;
                walk += 1;
            }
            if place == self.at {
                at = Some(kept);
            }
            let Some(id) = self.members[place] else { continue };
            if kept != place {
                self.members[kept] = Some(id);
                moved(id, kept as u32);
            }
            kept += 1;
        }
        for walk in self.walks.iter_mut().skip(walk) {
            walk.end = kept;
        }
        self.at = at.unwrap_or(kept);
        self.members.truncate(kept);
        self.members.shrink_to(2 * kept);
        self.holes = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Join,
        /// The n-th member present goes.
        Leave(usize),
        Publish,
        Slice(usize),
        Compact,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Join),
            4 => (0..200_usize).prop_map(Step::Leave),
            1 => Just(Step::Publish),
            3 => (0..40_usize).prop_map(Step::Slice),
            1 => Just(Step::Compact),
        ]
    }

    /// What the room should do, in the plainest words: a list of members, and for each the blocks
    /// that it was present for.
    #[derive(Default)]
    struct Model {
        room: Room<u32, u32>,
        /// Member, its place, the blocks it must have or has got.
        present: Vec<(u32, u32, Vec<u32>)>,
        got: Vec<(u32, u32)>,
        next_id: u32,
        next_block: u32,
    }

    impl Model {
        fn slice(&mut self, budget: usize) {
            let got = &mut self.got;
            let done = self.room.slice(budget, |run, block| {
                got.extend(run.iter().flatten().map(|id| (*id, *block)));
            });
            assert!(done <= budget);
        }

        fn apply(&mut self, step: &Step) {
            match step {
                Step::Join => {
                    let place = self.room.join(self.next_id);
                    self.present.push((self.next_id, place, Vec::new()));
                    self.next_id += 1;
                }
                Step::Leave(n) if !self.present.is_empty() => {
                    let (id, place, owed) = self.present.remove(n % self.present.len());
                    self.room.leave(place, id);
                    self.check(id, &owed, false);
                }
                Step::Publish => {
                    self.room.start(self.next_block);
                    for (_, _, owed) in &mut self.present {
                        owed.push(self.next_block);
                    }
                    self.next_block += 1;
                }
                Step::Slice(budget) => self.slice(*budget),
                Step::Compact => {
                    let present = &mut self.present;
                    self.room.compact(|id, place| {
                        present.iter_mut().find(|member| member.0 == id).unwrap().1 = place;
                    });
                }
                Step::Leave(_) => {}
            }
            assert_eq!(self.room.len(), self.present.len());
        }

        /// Blocks that a member got are the first of those owed, in order; at the end all of them.
        fn check(&self, id: u32, owed: &[u32], all: bool) {
            let got: Vec<u32> =
                self.got.iter().filter(|got| got.0 == id).map(|got| got.1).collect();
            if all {
                assert_eq!(got, owed, "member {id}");
            } else {
                assert!(owed.starts_with(&got), "member {id} got {got:?} of {owed:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whoever_is_there_from_publish_to_delivery_gets_each_block_once(
            before in 0..100_u32,
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut model = Model::default();
            (0..before).for_each(|_| model.apply(&Step::Join));
            for step in &steps {
                model.apply(step);
            }
            while model.room.is_walking() {
                model.slice(7);
            }
            let present = std::mem::take(&mut model.present);
            for (id, _, owed) in &present {
                model.check(*id, owed, true);
            }
            let mut got = model.got.clone();
            got.sort_unstable();
            got.dedup();
            prop_assert_eq!(got.len(), model.got.len(), "a block came twice");
        }
    }

    #[test]
    fn holes_are_closed_in_the_middle_of_a_walk() {
        let mut room = Room::default();
        let places: Vec<u32> = (0..100).map(|id| room.join(id)).collect();
        room.start('a');
        let mut got = Vec::new();
        let mut deliver = |run: &[Option<u32>], block: &char| {
            got.extend(run.iter().flatten().map(|id| (*id, *block)));
        };
        assert_eq!(room.slice(10, &mut deliver), 10);
        for id in (0..100).filter(|id| id % 3 != 0) {
            room.leave(places[id as usize], id);
        }
        let mut moved = 0;
        room.compact(|_, _| moved += 1);
        assert_eq!((room.members.len(), room.holes, moved), (34, 0, 33));
        room.start('b');
        while room.is_walking() {
            room.slice(10, &mut deliver);
        }
        let first = got.iter().filter(|got| got.1 == 'a').map(|got| got.0);
        assert!(first.eq((0..10).chain((10..100).filter(|id| id % 3 == 0))));
        let second = got.iter().filter(|got| got.1 == 'b').map(|got| got.0);
        assert!(second.eq((0..100).filter(|id| id % 3 == 0)));
    }

    #[test]
    fn few_holes_are_left_alone() {
        let mut room = Room::<u32, ()>::default();
        let places: Vec<u32> = (0..100).map(|id| room.join(id)).collect();
        places.iter().take(49).for_each(|place| room.leave(*place, *place));
        room.compact(|_, _| panic!("not worth it"));
        room.leave(places[49], 49);
        room.compact(|_, _| ());
        assert_eq!(room.members.len(), 50);
    }

    #[test]
    fn a_stranger_throws_nobody_out() {
        let mut room = Room::<u32, ()>::default();
        let place = room.join(1);
        room.leave(place, 2);
        room.leave(9, 1);
        assert_eq!(room.len(), 1);
        room.leave(place, 1);
        room.leave(place, 1);
        assert_eq!(room.len(), 0);
    }

    #[test]
    fn a_walk_over_nobody_keeps_no_block() {
        let mut room = Room::<u32, u32>::default();
        room.start(1);
        assert!(!room.is_walking());
    }
}
