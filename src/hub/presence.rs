//! Which shards may have members on a path: what a publisher looks at before it mails.
//!
//! Path names are hashed into buckets; each bucket has a bit for each shard. A shard sets its bit
//! when it makes its first room in the bucket, which is before the 101 of that room's first member
//! is written, and clears it when it frees its last. So whoever knows, by any message however
//! indirect, that a subscriber's handshake is complete publishes after the bit was set, and its
//! mail goes there: no announcement can be late, because there is none. Two paths in one bucket, or
//! a room that is just gone, cost a mail that finds no room.
//!
//! The bits are the one thing that hubs share without mails. A bit has a single writer, its shard.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Enough that some thousands of paths seldom meet; 32 KiB for each 64 shards.
const BUCKETS: usize = 4096;

/// The bits of all shards.
#[derive(Debug)]
pub(super) struct Presence {
    /// `BUCKETS` times `words`.
    bits: Box<[AtomicU64]>,
    /// Words of one bucket: 64 shards each.
    words: usize,
    /// The same keys on every shard; random for each process, so that no peer can aim at a bucket.
    hasher: RandomState,
}

/// A bucket's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bucket(u16);

impl Presence {
    pub(super) fn new(shards: usize) -> Self {
        let words = shards.div_ceil(64).max(1);
        let bits = (0..BUCKETS * words).map(|_| AtomicU64::new(0)).collect();
        Self { bits, words, hasher: RandomState::new() }
    }

    /// The bucket of a path's name.
    pub(super) fn bucket(&self, name: &[u8]) -> Bucket {
        Bucket((self.hasher.hash_one(name) % BUCKETS as u64) as u16)
    }

    /// Shards with rooms in the bucket, in order.
    pub(super) fn shards(&self, bucket: Bucket) -> impl Iterator<Item = usize> {
        let words = &self.bits[usize::from(bucket.0) * self.words..][..self.words];
        words.iter().enumerate().flat_map(|(at, word)| {
            let mut left = word.load(SeqCst);
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }

    fn set(&self, bucket: Bucket, shard: usize, present: bool) {
        let word = &self.bits[usize::from(bucket.0) * self.words + shard / 64];
        if present {
            word.fetch_or(1 << (shard % 64), SeqCst);
        } else {
            word.fetch_and(!(1 << (shard % 64)), SeqCst);
        }
    }
}

/// One shard's rooms counted by bucket: it alone sets its bits.
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
            presence.set(bucket, self.shard, true);
        }
    }

    /// A room was freed.
    pub(super) fn freed(&mut self, presence: &Presence, bucket: Bucket) {
        let count = &mut self.counts[usize::from(bucket.0)];
        *count -= 1;
        if *count == 0 {
            presence.set(bucket, self.shard, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(presence: &Presence, bucket: Bucket) -> Vec<usize> {
        presence.shards(bucket).collect()
    }

    #[test]
    fn a_bit_stands_while_the_shard_has_a_room_in_the_bucket() {
        let presence = Presence::new(130);
        let bucket = presence.bucket(b"/a");
        for shard in [0, 63, 64, 129] {
            let mut own = OwnRooms::new(shard);
            assert_eq!(shards(&presence, bucket), []);
            own.made(&presence, bucket);
            own.made(&presence, bucket);
            own.freed(&presence, bucket);
            assert_eq!(shards(&presence, bucket), [shard]);
            own.freed(&presence, bucket);
        }
        let mut all: Vec<OwnRooms> = (0..130).map(OwnRooms::new).collect();
        all.iter_mut().for_each(|own| own.made(&presence, bucket));
        assert!(presence.shards(bucket).eq(0..130));
        assert_eq!(shards(&presence, Bucket((bucket.0 + 1) % BUCKETS as u16)), []);
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
