//! Pooled byte buffers with head-room: what is half received, and what a peer has not taken.
//!
//! A buffer grows with bytes received, never with bytes promised: [`Pool::take`] may hand out a
//! free buffer that is larger than asked for, as that memory is paid for already, but allocates for
//! what is needed now.

/// Bytes kept free in front of the payload, for the header of an answer.
pub const HEADROOM: usize = 16;

/// Free bytes kept for reuse, per size class.
const KEEP_PER_CLASS: usize = 4 << 20;

/// Capacity of class `c` is `1 KiB << 2c`: 1 KiB, 4 KiB, ... 1 MiB. Larger ones are not kept.
const CLASSES: usize = 6;

const fn class_capacity(class: usize) -> usize {
    1024 << (2 * class)
}

/// Owned bytes: [`HEADROOM`], then `len` of payload, then room.
///
/// Invariant: `HEADROOM + len <= bytes.len()`; every byte is initialised.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// Bytes of payload.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Payload bytes it can hold.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.bytes.len().saturating_sub(HEADROOM)
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[HEADROOM.min(self.bytes.len())..][..self.len]
    }

    /// The bytes from `start` of the head-room to the end of the payload.
    #[inline]
    pub fn from(&self, start: usize) -> &[u8] {
        &self.bytes[start..HEADROOM + self.len]
    }

    /// Writes `header` just before the payload and returns where it starts.
    pub fn put_header(&mut self, header: &[u8]) -> usize {
        let start = HEADROOM - header.len();
        self.bytes[start..HEADROOM].copy_from_slice(header);
        start
    }

    /// The room behind the payload.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        let from = (HEADROOM + self.len).min(self.bytes.len());
        &mut self.bytes[from..]
    }

    /// Takes `n` bytes of the room into the payload and returns them.
    #[inline]
    pub fn extend(&mut self, n: usize) -> &mut [u8] {
        let from = HEADROOM + self.len;
        self.len += n;
        &mut self.bytes[from..from + n]
    }
}

/// Free buffers of one shard, and the count of bytes that are lent out.
#[derive(Debug, Default)]
pub struct Pool {
    free: [Vec<Buffer>; CLASSES],
    lent: usize,
    kept: usize,
}

impl Pool {
    /// Bytes of capacity lent out.
    #[inline]
    pub fn lent(&self) -> usize {
        self.lent
    }

    /// Bytes of capacity lying free.
    #[inline]
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// An empty buffer for at least `need` bytes; for `hope` bytes if such a one lies free.
    pub fn take(&mut self, need: usize, hope: usize) -> Buffer {
        let least = class_for(need);
        let wish = class_for(hope.max(need));
        let found = (wish..CLASSES.min(wish + 2))
            .chain(least..wish.min(CLASSES))
            .find_map(|class| self.free[class].pop());
        self.kept -= found.as_ref().map_or(0, |buffer| buffer.bytes.len());
        let buffer = found.unwrap_or_else(|| allocate(need));
        self.lent += buffer.bytes.len();
        buffer
    }

    /// Makes room for `more` bytes behind the payload, at least doubling when it must allocate.
    pub fn grow(&mut self, buffer: &mut Buffer, more: usize, hope: usize) {
        let need = buffer.len + more;
        if need <= buffer.capacity() {
            return;
        }
        let mut larger = self.take(need.max(2 * buffer.len), hope.max(need));
        larger.extend(buffer.len).copy_from_slice(buffer.payload());
        self.give(std::mem::replace(buffer, larger));
    }

    /// Takes a buffer back.
    pub fn give(&mut self, mut buffer: Buffer) {
        let size = buffer.bytes.len();
        self.lent -= size;
        buffer.len = 0;
        let class = class_for(buffer.capacity());
        if size > 0
            && class < CLASSES
            && class_capacity(class) == buffer.capacity()
            && (self.free[class].len() + 1) * size <= KEEP_PER_CLASS.max(size)
        {
            self.kept += size;
            self.free[class].push(buffer);
        }
    }
}

/// The smallest class that holds `need`, [`CLASSES`] when none does.
fn class_for(need: usize) -> usize {
    (0..CLASSES).find(|&c| class_capacity(c) >= need).unwrap_or(CLASSES)
}

fn allocate(need: usize) -> Buffer {
    let class = class_for(need);
    let capacity =
        if class < CLASSES { class_capacity(class) } else { need.next_multiple_of(4096) };
    Buffer { bytes: vec![0; HEADROOM + capacity], len: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_reserves_nothing() {
        let mut pool = Pool::default();
        let buffer = pool.take(10, 1 << 20);
        assert_eq!(buffer.capacity(), 1024);
        pool.give(buffer);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn what_lies_free_is_used_for_a_promise() {
        let mut pool = Pool::default();
        let large = pool.take(1 << 20, 0);
        pool.give(large);
        assert_eq!(pool.take(10, 1 << 20).capacity(), 1 << 20);
        assert_eq!(pool.take(10, 1 << 20).capacity(), 1024);
    }

    #[test]
    fn a_free_buffer_that_is_too_small_is_left_alone() {
        let mut pool = Pool::default();
        let small = pool.take(10, 0);
        pool.give(small);
        assert!(pool.take(2000, 0).capacity() >= 2000);
    }

    #[test]
    fn growing_keeps_the_payload() {
        let mut pool = Pool::default();
        let mut buffer = pool.take(3, 3);
        buffer.extend(3).copy_from_slice(b"abc");
        pool.grow(&mut buffer, 5000, 0);
        assert_eq!(buffer.payload(), b"abc");
        assert!(buffer.room().len() >= 5000);
        assert_eq!(pool.lent(), buffer.capacity() + HEADROOM);
    }

    #[test]
    fn the_pool_keeps_a_bounded_amount() {
        let mut pool = Pool::default();
        let many: Vec<_> = (0..40).map(|_| pool.take(1 << 20, 0)).collect();
        for buffer in many {
            pool.give(buffer);
        }
        assert!(pool.kept() <= KEEP_PER_CLASS, "{} bytes kept", pool.kept());
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn a_header_stands_before_the_payload() {
        let mut pool = Pool::default();
        let mut buffer = pool.take(2, 2);
        buffer.extend(2).copy_from_slice(b"hi");
        let start = buffer.put_header(&[0x81, 2]);
        assert_eq!(buffer.from(start), b"\x81\x02hi");
    }
}
