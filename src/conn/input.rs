//! A cursor over the shard's read buffer: hands out disjoint slices and remembers where they lie.

/// Bytes that arrived and are not interpreted yet.
#[derive(Debug)]
pub struct Input<'b> {
    rest: &'b mut [u8],
    at: usize,
}

impl<'b> Input<'b> {
    /// `bytes` stand at offset `at` of the read buffer.
    #[inline]
    pub fn new(bytes: &'b mut [u8], at: usize) -> Self {
        Self { rest: bytes, at }
    }

    /// What is left.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        self.rest
    }

    /// What is left, to be worked on before it is taken.
    #[inline]
    pub(super) fn rest_mut(&mut self) -> &mut [u8] {
        self.rest
    }

    /// Offset of the next byte in the read buffer.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Takes the next `n` bytes, for as long as the read buffer lives. Panics if there are fewer.
    #[inline]
    pub fn take(&mut self, n: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        self.at += n;
        taken
    }

    /// Forgets what is left: nothing after a failure is interpreted.
    pub fn discard(&mut self) {
        let n = self.rest.len();
        self.take(n);
    }
}
