//! Connections by number, with generations: an event for a connection that is gone finds nothing.

/// Names one connection of one shard for as long as it lives, and nothing after that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// Place in the slab.
    pub index: u32,
    /// How many connections had that place before.
    pub generation: u32,
}

impl ConnId {
    /// Never a connection.
    pub const NONE: Self = Self { index: u32::MAX, generation: u32::MAX };

    /// Both numbers in one, for a poll token.
    #[inline]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`ConnId::to_bits`].
    #[inline]
    pub fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Full(T),
    Free { next: u32 },
}

/// Values by [`ConnId`]. Places are reused, latest first, which keeps them warm.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: u32::MAX, len: 0 }
    }
}

impl<T> Slab<T> {
    /// Values present.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Places made so far: every index is below it.
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory it has reserved.
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry<T>>()
    }

    /// The id that the next insert will give.
    pub fn next_id(&self) -> ConnId {
        let place = self.entries.get(self.free as usize);
        let index = if place.is_some() { self.free } else { self.entries.len() as u32 };
        ConnId { index, generation: place.map_or(0, |entry| entry.generation) }
    }

    /// Puts a value in a free place.
    ///
    /// # Panics
    ///
    /// At 2^32 values, which no descriptor table holds.
    pub fn insert(&mut self, value: T) -> ConnId {
        self.len += 1;
        if let Some(entry) = self.entries.get_mut(self.free as usize) {
            let index = self.free;
            if let Content::Free { next } = entry.content {
                self.free = next;
            }
            entry.content = Content::Full(value);
            return ConnId { index, generation: entry.generation };
        }
        let index = self.entries.len() as u32;
        assert!(index < u32::MAX - 8, "a shard holds fewer than 2^32 connections");
        self.entries.push(Entry { generation: 0, content: Content::Full(value) });
        ConnId { index, generation: 0 }
    }

    /// The value, if that very connection is still here.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        match self.entries.get_mut(id.index as usize) {
            Some(Entry { generation, content: Content::Full(value) })
                if *generation == id.generation =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    /// Takes the value out; its id is void from now on.
    pub fn remove(&mut self, id: ConnId) -> Option<T> {
        self.get_mut(id)?;
        let entry = &mut self.entries[id.index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        let freed = std::mem::replace(&mut entry.content, Content::Free { next: self.free });
        self.free = id.index;
        self.len -= 1;
        match freed {
            Content::Full(value) => Some(value),
            Content::Free { .. } => None,
        }
    }

    /// The id of whatever is at a place now.
    #[inline]
    pub fn id_at(&self, index: usize) -> Option<ConnId> {
        match self.entries.get(index) {
            Some(Entry { generation, content: Content::Full(_) }) => {
                Some(ConnId { index: index as u32, generation: *generation })
            }
            _ => None,
        }
    }

    /// Everything present.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.content {
            Content::Full(value) => {
                Some((ConnId { index: index as u32, generation: entry.generation }, value))
            }
            Content::Free { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_and_back() {
        let id = ConnId { index: 7, generation: 9 };
        assert_eq!(ConnId::from_bits(id.to_bits()), id);
    }

    #[test]
    fn a_stale_id_finds_nothing() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!(first.index, second.index, "the place is reused");
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut 'b'));
    }

    proptest! {
        /// Against a plain map under any sequence of inserts and removals.
        #[test]
        fn like_a_map(ops in proptest::collection::vec((any::<bool>(), any::<usize>()), 0..200)) {
            let mut slab = Slab::default();
            let mut map = Vec::new();
            for (n, (insert, pick)) in ops.into_iter().enumerate() {
                if insert || map.is_empty() {
                    let expected = slab.next_id();
                    map.push((slab.insert(n), n));
                    prop_assert_eq!(map[map.len() - 1].0, expected);
                } else {
                    let (id, value) = map.swap_remove(pick % map.len());
                    prop_assert_eq!(slab.remove(id), Some(value));
                    prop_assert_eq!(slab.remove(id), None);
                }
                prop_assert_eq!(slab.len(), map.len());
                for (id, value) in &map {
                    prop_assert_eq!(slab.get_mut(*id), Some(&mut value.clone()));
                    prop_assert_eq!(slab.id_at(id.index as usize), Some(*id));
                }
                prop_assert_eq!(slab.iter().count(), map.len());
            }
        }
    }
}
