//! What a shard finds by name when somebody comes or a mail arrives, and by number otherwise:
//! crowds of members, and the rooms that it is home to.

use std::collections::HashMap;
use std::sync::Arc;

/// A registry of `T`s. Numbers are reused; who holds one keeps its `T` from being removed.
#[derive(Debug)]
pub(super) struct Registry<T> {
    numbers: HashMap<Arc<[u8]>, u32>,
    /// Boxed, so that a free slot is a pointer's size.
    slots: Vec<Option<Box<T>>>,
    free: Vec<u32>,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Registry<T> {
    /// `T`s there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a name.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// Adds one under a name that is not there.
    pub(super) fn add(&mut self, name: Arc<[u8]>, one: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.slots[number as usize] = Some(Box::new(one));
        self.numbers.insert(name, number);
        number
    }

    /// Removes one; its number may be given to another one.
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

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(Option::as_deref)
    }

    /// One by number.
    pub(super) fn get(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(number as usize)?.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let mut registry = Registry::default();
        let a = registry.add(Arc::from(&b"/a"[..]), 'a');
        let b = registry.add(Arc::from(&b"/b"[..]), 'b');
        assert_eq!(
            (registry.find(b"/a"), registry.find(b"/b"), registry.find(b"/c")),
            (Some(a), Some(b), None)
        );
        registry.remove(a, b"/a");
        assert_eq!((registry.find(b"/a"), registry.get(a)), (None, None));
        assert_eq!(registry.add(Arc::from(&b"/c"[..]), 'c'), a, "a number is used again");
        assert_eq!((registry.get(a).copied(), registry.get(b).copied()), (Some('c'), Some('b')));
        assert_eq!(registry.len(), 2);
    }

    #[test]
    fn what_is_gone_leaves_no_memory() {
        let mut registry = Registry::default();
        let name = |n: u32| Arc::from(format!("/{n}").as_bytes());
        for n in 0..10_000 {
            registry.add(name(n), n);
        }
        for n in 0..9_999 {
            let number = registry.find(&name(n)).unwrap();
            registry.remove(number, &name(n));
        }
        assert!(registry.numbers.capacity() < 100, "{}", registry.numbers.capacity());
        let last = registry.find(b"/9999").unwrap();
        registry.remove(last, b"/9999");
        assert_eq!((registry.slots.capacity(), registry.free.capacity()), (0, 0));
    }
}
