//! The rooms of one shard: found by name when somebody comes or a mail arrives, by number
//! otherwise.

use std::collections::HashMap;
use std::sync::Arc;

/// A registry of `T`s. Numbers are reused; who holds one keeps its room from being removed.
#[derive(Debug)]
pub(super) struct Rooms<T> {
    numbers: HashMap<Arc<[u8]>, u32>,
    /// Boxed, so that a free slot is a pointer's size.
    slots: Vec<Option<Box<T>>>,
    free: Vec<u32>,
}

impl<T> Default for Rooms<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Rooms<T> {
    /// Rooms there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// Adds a room under a name that is not there.
    pub(super) fn add(&mut self, name: Arc<[u8]>, room: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[number as usize] = Some(Box::new(room));
        self.numbers.insert(name, number);
        number
    }

    /// Removes a room; its number may be given to another one.
    pub(super) fn remove(&mut self, number: u32, name: &[u8]) {
        self.numbers.remove(name);
        self.slots[number as usize] = None;
        self.free.push(number);
        if self.numbers.capacity() > 64 && self.numbers.len() < self.numbers.capacity() / 8 {
            self.numbers.shrink_to(self.numbers.len() * 2);
        }
        if self.numbers.is_empty() {
            self.slots = Vec::new();
            self.free = Vec::new();
        }
    }

    /// A room by number.
    pub(super) fn get(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let mut rooms = Rooms::default();
        let a = rooms.add(Arc::from(&b"/a"[..]), 'a');
        let b = rooms.add(Arc::from(&b"/b"[..]), 'b');
        assert_eq!(
            (rooms.find(b"/a"), rooms.find(b"/b"), rooms.find(b"/c")),
            (Some(a), Some(b), None)
        );
        rooms.remove(a, b"/a");
        assert_eq!((rooms.find(b"/a"), rooms.get(a)), (None, None));
        assert_eq!(rooms.add(Arc::from(&b"/c"[..]), 'c'), a, "a number is used again");
        assert_eq!((rooms.get(a).copied(), rooms.get(b).copied()), (Some('c'), Some('b')));
        assert_eq!(rooms.len(), 2);
    }

    #[test]
    fn what_is_gone_leaves_no_memory() {
        let mut rooms = Rooms::default();
        let name = |n: u32| Arc::from(format!("/{n}").as_bytes());
        for n in 0..10_000 {
            rooms.add(name(n), n);
        }
        for n in 0..9_999 {
            let number = rooms.find(&name(n)).unwrap();
            rooms.remove(number, &name(n));
        }
        assert!(rooms.numbers.capacity() < 100, "{}", rooms.numbers.capacity());
        let last = rooms.find(b"/9999").unwrap();
        rooms.remove(last, b"/9999");
        assert_eq!((rooms.slots.capacity(), rooms.free.capacity()), (0, 0));
    }
}
