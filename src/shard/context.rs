//! What a hook knows besides its connection: the time, the other shards, the counters.

use std::time::Instant;

use super::counters::Counters;
use super::mailbox::Post;

/// The shard around a hook.
#[derive(Debug)]
pub struct Cx<'a, M> {
    pub(super) now: Instant,
    pub(super) shard: usize,
    pub(super) post: &'a Post<M>,
    pub(super) counters: &'a [Counters],
}

impl<M> Cx<'_, M> {
    /// The time of this event if the App is [`PRECISE`](super::App::PRECISE), of this turn if not.
    #[inline]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// This shard's number.
    #[inline]
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Shards of the group.
    #[inline]
    pub fn shards(&self) -> usize {
        self.counters.len()
    }

    /// This shard's counters.
    #[inline]
    pub fn counters(&self) -> &Counters {
        &self.counters[self.shard]
    }

    /// Queues a mail for a shard of the group, or gives it back: its mailbox is full, try again
    /// next turn.
    pub fn mail(&self, to: usize, mail: M) -> Result<(), M> {
        let outcome = self.post.send(to, mail);
        match outcome {
            Ok(()) => self.counters().mails_out.add(1),
            Err(_) => self.counters().mails_refused.add(1),
        }
        outcome
    }
}
