//! What was sent, or should have been, and is not answered yet: one arena for all connections of a
//! shard, a list through it for each connection.
//!
//! An idle connection owns nothing here and an answered message gives its place back, so memory
//! follows what is outstanding and no message allocates in steady state.

use crate::schedule::Nanos;

/// No entry.
pub(crate) const NIL: u32 = u32::MAX;

/// One outstanding message or ping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Entry {
    /// Number of the message on its connection, from 0.
    pub(crate) sequence: u32,
    next: u32,
    /// When the schedule wanted it sent.
    pub(crate) intended: Nanos,
    /// When its first bytes went to the kernel; until then, when they were handed over.
    pub(crate) sent: Nanos,
    /// When its last bytes went to the kernel; 0 while unknown.
    pub(crate) last: Nanos,
}

impl Entry {
    /// An entry outside any lane: something that began at `at` and will end.
    pub(crate) fn begun(at: Nanos) -> Self {
        Self { intended: at, ..Self::default() }
    }
}

/// The entries of one shard.
#[derive(Debug)]
pub(crate) struct Arena {
    entries: Vec<Entry>,
    free: u32,
    live: u32,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::new(), free: NIL, live: 0 }
    }

    /// Keeps an entry that stands in no lane.
    pub(crate) fn insert(&mut self, mut entry: Entry) -> u32 {
        entry.next = NIL;
        self.live += 1;
        if self.free == NIL {
            self.entries.push(entry);
            return self.entries.len() as u32 - 1;
        }
        let index = self.free;
        self.free = self.entries[index as usize].next;
        self.entries[index as usize] = entry;
        index
    }

    /// Gives an entry's place back.
    pub(crate) fn remove(&mut self, index: u32) -> Entry {
        let entry = self.entries[index as usize];
        self.live -= 1;
        self.entries[index as usize].next = self.free;
        self.free = index;
        entry
    }

    /// No connection has anything outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The entry at `index`.
    pub(crate) fn get(&self, index: u32) -> &Entry {
        &self.entries[index as usize]
    }

    /// The entry at `index`.
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut Entry {
        &mut self.entries[index as usize]
    }
}

/// What a reply turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The answer to this entry; `late` if a later message was answered before it.
    To {
        /// The entry, with both its times.
        entry: Entry,
        /// A message with a higher number was answered earlier.
        late: bool,
        /// Its send time had not been reported yet.
        unstamped: bool,
    },
    /// Answered before.
    Duplicate,
    /// Never sent, or not wholly.
    Unknown,
}

/// The outstanding messages of one connection in the order of their numbers: first those whose
/// send time is known, then those handed to the connection, then those that still wait.
///
/// `head ..(known).. unstamped ..(handed over).. unsent ..(waiting).. tail`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    head: u32,
    tail: u32,
    unstamped: u32,
    unsent: u32,
    next_sequence: u32,
    /// One more than the highest number answered.
    beyond: u32,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self { head: NIL, tail: NIL, unstamped: NIL, unsent: NIL, next_sequence: 0, beyond: 0 }
    }

    /// Nothing is outstanding.
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// When the newest of them is due.
    pub(crate) fn newest(&self, arena: &Arena) -> Option<Nanos> {
        (self.tail != NIL).then(|| arena.get(self.tail).intended)
    }

    /// Something was handed over whose send time is not known.
    #[inline]
    pub(crate) fn is_unstamped(&self) -> bool {
        self.unstamped != NIL
    }

    /// Something waits to be handed over.
    pub(crate) fn is_waiting(&self) -> bool {
        self.unsent != NIL
    }

    /// Appends a message that waits to be handed over.
    #[inline]
    pub(crate) fn push(&mut self, arena: &mut Arena, intended: Nanos) {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        let index = arena.insert(Entry { sequence, intended, ..Entry::default() });
        if self.tail == NIL {
            self.head = index;
        } else {
            arena.get_mut(self.tail).next = index;
        }
        self.tail = index;
        if self.unsent == NIL {
            self.unsent = index;
        }
    }

    /// The number of the next message that is appended.
    pub(crate) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// The first waiting message, which [`Lane::begin`] would hand over: its place in the arena.
    #[inline]
    pub(crate) fn waiting(&self) -> Option<u32> {
        (self.unsent != NIL).then_some(self.unsent)
    }

    /// The first waiting message is handed over at `now`: its place in the arena and its number.
    #[inline]
    pub(crate) fn begin(&mut self, arena: &mut Arena, now: Nanos) -> Option<(u32, u32)> {
        let index = self.unsent;
        if index == NIL {
            return None;
        }
        let entry = arena.get_mut(index);
        entry.sent = now;
        self.unsent = entry.next;
        if self.unstamped == NIL {
            self.unstamped = index;
        }
        Some((index, entry.sequence))
    }

    /// All that was handed over is with the kernel since `at`. `open` is the message whose last
    /// fragment has not been handed over, or [`NIL`]. Calls `first` with each entry's lag: `at`
    /// minus its intended time, once for each entry.
    #[inline]
    pub(crate) fn stamp(
        &mut self,
        arena: &mut Arena,
        at: Nanos,
        open: u32,
        mut first: impl FnMut(&Entry),
    ) {
        while self.unstamped != NIL {
            let index = self.unstamped;
            let entry = arena.get_mut(index);
            if entry.last == 0 {
                entry.sent = at;
                entry.last = at;
                first(entry);
            }
            if index == open {
                return;
            }
            entry.last = at;
            self.unstamped = if entry.next == self.unsent { NIL } else { entry.next };
        }
    }

    /// A reply that carries `sequence`.
    #[inline]
    pub(crate) fn answer(&mut self, arena: &mut Arena, sequence: u32, open: u32) -> Answer {
        let (mut before, mut index) = (NIL, self.head);
        while index != NIL && index != self.unsent && index != open {
            let entry = arena.get(index);
            if entry.sequence == sequence {
                return self.unlink(arena, before, index);
            }
            if entry.sequence > sequence {
                return Answer::Duplicate;
            }
            before = index;
            index = entry.next;
        }
        // Numbers below what still waits were sent and answered; the others never left.
        let unsent = if index == NIL { self.next_sequence } else { arena.get(index).sequence };
        if sequence < unsent { Answer::Duplicate } else { Answer::Unknown }
    }

    /// A reply without a number answers the oldest message.
    #[inline]
    pub(crate) fn answer_oldest(&mut self, arena: &mut Arena, open: u32) -> Answer {
        let index = self.head;
        if index == NIL || index == self.unsent || index == open {
            return Answer::Unknown;
        }
        self.unlink(arena, NIL, index)
    }

    /// The oldest entry, if it was handed over and its number is below `sequence`.
    pub(crate) fn answer_below(&mut self, arena: &mut Arena, sequence: u32) -> Option<Entry> {
        let index = self.head;
        if index == NIL || index == self.unsent || arena.get(index).sequence >= sequence {
            return None;
        }
        match self.unlink(arena, NIL, index) {
            Answer::To { entry, .. } => Some(entry),
            Answer::Duplicate | Answer::Unknown => None,
        }
    }

    fn unlink(&mut self, arena: &mut Arena, before: u32, index: u32) -> Answer {
        let mut entry = arena.remove(index);
        if before == NIL {
            self.head = entry.next;
        } else {
            arena.get_mut(before).next = entry.next;
        }
        if self.tail == index {
            self.tail = before;
        }
        if self.unstamped == index {
            self.unstamped = if entry.next == self.unsent { NIL } else { entry.next };
        }
        let unstamped = entry.last == 0;
        if unstamped {
            entry.last = entry.sent;
        }
        let late = entry.sequence < self.beyond;
        self.beyond = self.beyond.max(entry.sequence.wrapping_add(1));
        Answer::To { entry, late, unstamped }
    }

    /// Gives back what was sent: no answer is expected.
    pub(crate) fn forget_stamped(&mut self, arena: &mut Arena) {
        while self.head != NIL && self.head != self.unstamped && self.head != self.unsent {
            self.head = arena.remove(self.head).next;
        }
        if self.head == NIL {
            self.tail = NIL;
        }
    }

    /// Gives the oldest entry back, which was never answered; the lane is to be emptied so.
    pub(crate) fn pop(&mut self, arena: &mut Arena) -> Option<Entry> {
        (self.tail, self.unstamped, self.unsent) = (NIL, NIL, NIL);
        let entry = (self.head != NIL).then(|| arena.remove(self.head))?;
        self.head = entry.next;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn to(answer: Answer) -> (u32, Nanos, Nanos, Nanos, bool, bool) {
        match answer {
            Answer::To { entry: e, late, unstamped } => {
                (e.sequence, e.intended, e.sent, e.last, late, unstamped)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_message_from_schedule_to_reply() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        lane.push(&mut arena, 100);
        assert_eq!(lane.answer(&mut arena, 0, NIL), Answer::Unknown, "it has not left");
        assert_eq!(lane.begin(&mut arena, 105), Some((0, 0)));
        assert_eq!(lane.begin(&mut arena, 105), None);
        let mut lags = Vec::new();
        lane.stamp(&mut arena, 110, NIL, |e| lags.push(e.sent - e.intended));
        assert_eq!(lags, [10]);
        assert_eq!(to(lane.answer(&mut arena, 0, NIL)), (0, 100, 110, 110, false, false));
        assert!(lane.is_empty());
        assert_eq!(lane.answer(&mut arena, 0, NIL), Answer::Duplicate);
        assert_eq!(lane.answer(&mut arena, 1, NIL), Answer::Unknown);
    }

    #[test]
    fn fragments_have_a_first_and_a_last_time() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        lane.push(&mut arena, 1);
        lane.push(&mut arena, 2);
        let (open, _) = lane.begin(&mut arena, 5).unwrap();
        let mut lags = Vec::new();
        lane.stamp(&mut arena, 10, open, |e| lags.push(e.sent));
        lane.stamp(&mut arena, 20, open, |e| lags.push(e.sent));
        assert_eq!(lane.answer(&mut arena, 0, open), Answer::Unknown, "not wholly sent");
        lane.stamp(&mut arena, 30, NIL, |e| lags.push(e.sent));
        assert_eq!(lags, [10], "one lag for each message");
        assert_eq!(to(lane.answer(&mut arena, 0, NIL)), (0, 1, 10, 30, false, false));
        assert!(lane.is_waiting());
    }

    #[test]
    fn one_answer_for_all_that_came_before() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        for intended in 0..4 {
            assert_eq!(lane.next_sequence(), intended as u32);
            lane.push(&mut arena, intended);
        }
        for _ in 0..3 {
            assert_eq!(
                lane.waiting().map(|at| arena.get(at).sequence),
                lane_begin(&mut lane, &mut arena)
            );
        }
        assert_eq!(to(lane.answer(&mut arena, 2, NIL)).0, 2);
        let below =
            |lane: &mut Lane, arena: &mut Arena| lane.answer_below(arena, 2).map(|e| e.sequence);
        assert_eq!(below(&mut lane, &mut arena), Some(0));
        assert_eq!(below(&mut lane, &mut arena), Some(1));
        assert_eq!(below(&mut lane, &mut arena), None);
        assert!(lane.is_waiting(), "3 has not left");
    }

    fn lane_begin(lane: &mut Lane, arena: &mut Arena) -> Option<u32> {
        lane.begin(arena, 9).map(|begun| begun.1)
    }

    #[test]
    fn order_is_judged_by_number() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        for intended in 0..4 {
            lane.push(&mut arena, intended);
            lane.begin(&mut arena, intended);
        }
        lane.stamp(&mut arena, 9, NIL, |_| {});
        assert!(!to(lane.answer(&mut arena, 1, NIL)).4);
        assert!(to(lane.answer(&mut arena, 0, NIL)).4, "0 after 1 is late");
        assert_eq!(lane.answer(&mut arena, 1, NIL), Answer::Duplicate);
        assert!(!to(lane.answer(&mut arena, 3, NIL)).4);
        let mut unanswered = Vec::new();
        while let Some(entry) = lane.pop(&mut arena) {
            unanswered.push(entry.sequence);
        }
        assert_eq!(unanswered, [2]);
    }

    /// The peer took this message but not what was queued behind it: the reply comes before the
    /// report of its send time.
    #[test]
    fn a_reply_may_overtake_its_stamp() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        for _ in 0..3 {
            lane.push(&mut arena, 1);
        }
        lane.begin(&mut arena, 7);
        lane.begin(&mut arena, 8);
        assert_eq!(to(lane.answer(&mut arena, 0, NIL)), (0, 1, 7, 7, false, true));
        let mut stamped = Vec::new();
        lane.stamp(&mut arena, 20, NIL, |e| stamped.push(e.sequence));
        assert_eq!(stamped, [1]);
        lane.begin(&mut arena, 21);
        lane.stamp(&mut arena, 22, NIL, |e| stamped.push(e.sequence));
        assert_eq!(stamped, [1, 2]);
    }

    #[test]
    fn publications_are_forgotten_once_sent() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        for _ in 0..3 {
            lane.push(&mut arena, 1);
        }
        lane.begin(&mut arena, 2);
        lane.forget_stamped(&mut arena);
        assert_eq!(arena.live, 3, "not with the kernel yet");
        lane.stamp(&mut arena, 3, NIL, |_| {});
        lane.begin(&mut arena, 4);
        lane.forget_stamped(&mut arena);
        assert_eq!(arena.live, 2);
        lane.begin(&mut arena, 5);
        lane.stamp(&mut arena, 6, NIL, |_| {});
        lane.forget_stamped(&mut arena);
        assert!(lane.is_empty() && arena.is_empty());
        lane.push(&mut arena, 9);
        assert_eq!(lane.begin(&mut arena, 9).unwrap().1, 3);
    }

    #[test]
    fn places_are_used_again() {
        let (mut arena, mut lane) = (Arena::new(), Lane::new());
        for k in 0..1_000 {
            lane.push(&mut arena, k);
            lane.begin(&mut arena, k);
            lane.stamp(&mut arena, k, NIL, |_| {});
            assert_eq!(to(lane.answer(&mut arena, k as u32, NIL)).0, k as u32);
        }
        assert_eq!(arena.entries.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push,
        Begin,
        Stamp,
        Answer(usize),
        Oldest,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => Just(Act::Push),
            3 => Just(Act::Begin),
            2 => Just(Act::Stamp),
            2 => (0usize..12).prop_map(Act::Answer),
            1 => Just(Act::Oldest),
        ]
    }

    /// Sequence, intended, sent or 0, stamped.
    type Model = VecDeque<(u32, Nanos, Nanos, bool)>;

    proptest! {
        /// Two lanes in one arena behave like two plain queues, whatever is done to them.
        #[test]
        fn lanes_are_queues(acts in proptest::collection::vec((any::<bool>(), act()), 0..200)) {
            let mut arena = Arena::new();
            let mut lanes = [Lane::new(), Lane::new()];
            let mut models: [Model; 2] = Default::default();
            let mut next = [0u32; 2];
            let mut now = 0;
            for (which, act) in acts {
                let w = usize::from(which);
                let (lane, model) = (&mut lanes[w], &mut models[w]);
                now += 1;
                match act {
                    Act::Push => {
                        lane.push(&mut arena, now);
                        model.push_back((next[w], now, 0, false));
                        next[w] += 1;
                    }
                    Act::Begin => {
                        let waiting = model.iter_mut().find(|m| m.2 == 0);
                        let begun = lane.begin(&mut arena, now).map(|b| b.1);
                        prop_assert_eq!(begun, waiting.as_ref().map(|m| m.0));
                        if let Some(m) = waiting { m.2 = now; }
                    }
                    Act::Stamp => {
                        let mut stamped = Vec::new();
                        lane.stamp(&mut arena, now, NIL, |e| stamped.push(e.sequence));
                        let due = model.iter_mut().filter(|m| m.2 != 0 && !m.3);
                        let due: Vec<_> = due.map(|m| { (m.2, m.3) = (now, true); m.0 }).collect();
                        prop_assert_eq!(stamped, due);
                    }
                    Act::Answer(n) => {
                        let sequence = n as u32;
                        let at = model.iter().position(|m| m.0 == sequence && m.2 != 0);
                        let answer = lane.answer(&mut arena, sequence, NIL);
                        if let Some(m) = at.and_then(|at| model.remove(at)) {
                            let got = to(answer);
                            prop_assert_eq!((got.0, got.1, got.2), (m.0, m.1, m.2));
                        } else {
                                let sent = model.iter().find(|m| m.2 == 0).map_or(next[w], |m| m.0);
                                let expected = if sequence < sent {
                                    Answer::Duplicate
                                } else {
                                    Answer::Unknown
                                };
                                prop_assert_eq!(answer, expected);
                        }
                    }
                    Act::Oldest => {
                        let sent = model.front().is_some_and(|m| m.2 != 0);
                        let answer = lane.answer_oldest(&mut arena, NIL);
                        if let Some(m) = sent.then(|| model.pop_front()).flatten() {
                            prop_assert_eq!(to(answer).0, m.0);
                        } else {
                            prop_assert_eq!(answer, Answer::Unknown);
                        }
                    }
                }
                prop_assert_eq!(lane.is_empty(), model.is_empty());
                prop_assert_eq!(lane.is_waiting(), model.iter().any(|m| m.2 == 0));
            }
        }
    }
}
