//! Which shards have members on a path: what a publisher looks at before it mails.
//!
//! Path names are hashed into buckets; for each bucket every shard has a generation, a number that
//! is odd while the shard has rooms there. A shard makes it odd with its first room in the bucket,
//! which is before the 101 of that room's first member is written, and even with its last. So
//! whoever knows, by any message however indirect, that a subscriber's handshake is complete
//! publishes after that, and its mail goes there: no announcement can be late, because there is
//! none.
//!
//! A mail carries the generation that it was sent to. One that was meant for members who are all
//! gone is dropped, so that a newcomer never gets an old block and then misses one in between.
//! Two paths in one bucket cost a mail that finds no room.
//!
//! The generations are the one thing that hubs share without mails. Each has a single writer.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::limits::MAX_SHARDS;

/// Enough that some thousands of paths seldom meet; 16 KiB for each shard.
const BUCKETS: usize = 4096;

const _: () = assert!(BUCKETS * MAX_SHARDS * 4 <= 16 << 20, "small for a thousand shards too");

/// The generations of all shards.
#[derive(Debug)]
pub(super) struct Presence {
    /// By bucket, then by shard: a publisher reads neighbours.
    generations: Box<[AtomicU32]>,
    shards: usize,
    /// The same keys on every shard; random for each process, so that no peer can aim at a bucket.
    hasher: RandomState,
}

/// A bucket's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bucket(u16);

/// When a shard's members of a bucket came; no other time has the same, until 2^31 later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Generation(u32);

impl Presence {
    pub(super) fn new(shards: usize) -> Self {
        let generations = (0..BUCKETS * shards).map(|_| AtomicU32::new(0)).collect();
        Self { generations, shards, hasher: RandomState::new() }
    }

    /// The bucket of a path's name.
    pub(super) fn bucket(&self, name: &[u8]) -> Bucket {
        Bucket((self.hasher.hash_one(name) % BUCKETS as u64) as u16)
    }

    fn of(&self, bucket: Bucket) -> &[AtomicU32] {
        &self.generations[usize::from(bucket.0) * self.shards..][..self.shards]
    }

    /// Shards with rooms in the bucket, in order, and their generations.
    pub(super) fn shards(&self, bucket: Bucket) -> impl Iterator<Item = (usize, Generation)> {
        self.of(bucket).iter().enumerate().filter_map(|(shard, generation)| {
            let now = generation.load(SeqCst);
            (now % 2 == 1).then_some((shard, Generation(now)))
        })
    }
}

/// One shard's rooms counted by bucket: it alone moves its generations.
#[derive(Debug)]
pub(super) struct OwnRooms {
    shard: usize,
    counts: Box<[u32]>,
}

impl OwnRooms {
    pub(super) fn new(shard: usize) -> Self {
        Self { shard, counts: vec![0; BUCKETS].into() }
    }

    /// A room was made. Call it before anything tells a peer that it is in.
    pub(super) fn made(&mut self, presence: &Presence, bucket: Bucket) {
        let count = &mut self.counts[usize::from(bucket.0)];
        *count += 1;
        if *count == 1 {
            presence.of(bucket)[self.shard].fetch_add(1, SeqCst);
        }
    }

    /// A room was freed.
    pub(super) fn freed(&mut self, presence: &Presence, bucket: Bucket) {
        let count = &mut self.counts[usize::from(bucket.0)];
        *count -= 1;
        if *count == 0 {
            presence.of(bucket)[self.shard].fetch_add(1, SeqCst);
        }
    }

    /// The shard ends: whatever rooms it had, nobody mails to it any more.
    pub(super) fn end(&self, presence: &Presence) {
        for (bucket, _) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            presence.of(Bucket(bucket as u16))[self.shard].fetch_add(1, SeqCst);
        }
    }

    /// Whether a mail was sent to those who are here now.
    pub(super) fn is_now(&self, presence: &Presence, bucket: Bucket, sent: Generation) -> bool {
        presence.of(bucket)[self.shard].load(SeqCst) == sent.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(presence: &Presence, bucket: Bucket) -> Vec<usize> {
        presence.shards(bucket).map(|(shard, _)| shard).collect()
    }

    #[test]
    fn a_shard_is_present_while_it_has_a_room_in_the_bucket() {
        let presence = Presence::new(130);
        let bucket = presence.bucket(b"/a");
        for shard in [0, 63, 64, 129] {
            let mut own = OwnRooms::new(shard);
            assert!(shards(&presence, bucket).is_empty());
            own.made(&presence, bucket);
            own.made(&presence, bucket);
            own.freed(&presence, bucket);
            assert_eq!(shards(&presence, bucket), [shard]);
            own.freed(&presence, bucket);
        }
        let mut all: Vec<OwnRooms> = (0..130).map(OwnRooms::new).collect();
        for own in &mut all {
            own.made(&presence, bucket);
        }
        assert!(presence.shards(bucket).map(|(shard, _)| shard).eq(0..130));
        assert!(shards(&presence, Bucket((bucket.0 + 1) % BUCKETS as u16)).is_empty());
    }

    #[test]
    fn a_shard_that_ended_is_nowhere() {
        let presence = Presence::new(2);
        let mut own = OwnRooms::new(1);
        let (full, freed) = (presence.bucket(b"/a"), Bucket(7));
        own.made(&presence, full);
        own.made(&presence, full);
        own.made(&presence, freed);
        own.freed(&presence, freed);
        own.end(&presence);
        assert_eq!((shards(&presence, full), shards(&presence, freed)), (vec![], vec![]));
    }

    #[test]
    fn a_generation_does_not_come_back() {
        let presence = Presence::new(2);
        let bucket = presence.bucket(b"/a");
        let mut own = OwnRooms::new(1);
        own.made(&presence, bucket);
        let (_, sent) = presence.shards(bucket).next().unwrap();
        assert!(own.is_now(&presence, bucket, sent));
        own.freed(&presence, bucket);
        assert!(!own.is_now(&presence, bucket, sent));
        own.made(&presence, bucket);
        assert!(!own.is_now(&presence, bucket, sent));
    }

    #[test]
    fn a_name_has_one_bucket_and_names_spread() {
        let presence = Presence::new(2);
        let names: Vec<String> = (0..200).map(|n| format!("/{n}")).collect();
        let mut buckets: Vec<u16> =
            names.iter().map(|name| presence.bucket(name.as_bytes()).0).collect();
        assert!(names.iter().zip(&buckets).all(|(n, b)| presence.bucket(n.as_bytes()).0 == *b));
        buckets.sort_unstable();
        buckets.dedup();
        assert!(buckets.len() > 150, "{} buckets for 200 names", buckets.len());
    }
}
