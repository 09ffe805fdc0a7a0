//! Mail between hubs, in order for each shard: what a full mailbox does not take waits here and
//! goes first the next time. Never drops one, never waits for one.

use std::collections::VecDeque;

use super::publication::Delivery;
use super::rooms::{Answer, Ask};
use crate::calls::Call;

/// What hubs send each other.
#[derive(Debug)]
pub(super) enum Letter {
    /// A block for the members of a crowd.
    Block(Delivery),
    /// To the home of a room.
    Ask(Box<Ask>),
    /// From the home of a room, to a member's shard.
    Answer(Box<Answer>),
    /// From the admin plane.
    Call(Call),
}

/// What full mailboxes did not take.
#[derive(Debug)]
pub(super) struct Letters {
    /// By shard, in order.
    held: Box<[VecDeque<Letter>]>,
    /// Letters in `held`.
    count: usize,
}

impl Letters {
    pub(super) fn new(shards: usize) -> Self {
        Self { held: (0..shards).map(|_| VecDeque::new()).collect(), count: 0 }
    }

    /// Letters that wait for room.
    pub(super) fn held(&self) -> usize {
        self.count
    }

    /// Mails a letter, behind what already waits, or it would overtake.
    pub(super) fn send(
        &mut self,
        to: usize,
        letter: Letter,
        mut mail: impl FnMut(usize, Letter) -> Result<(), Letter>,
    ) {
        let sent = if self.held[to].is_empty() { mail(to, letter) } else { Err(letter) };
        if let Err(letter) = sent {
            self.held[to].push_back(letter);
            self.count += 1;
        }
    }

    /// Tries again what waits.
    pub(super) fn again(&mut self, mut mail: impl FnMut(usize, Letter) -> Result<(), Letter>) {
        if self.count == 0 {
            return;
        }
        for (to, held) in self.held.iter_mut().enumerate() {
            while let Some(letter) = held.pop_front() {
                if let Err(letter) = mail(to, letter) {
                    held.push_front(letter);
                    break;
                }
                self.count -= 1;
            }
        }
    }
}
