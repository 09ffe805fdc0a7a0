//! XOR with the masking key (RFC 6455 5.3), in place and while copying.

use super::utf8::{InvalidUtf8, Utf8};

/// A masking key, turned so that its first byte meets the next payload byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Key(pub [u8; 4]);

impl Key {
    /// The key as it stands after `n` payload bytes.
    #[must_use]
    pub fn after(self, n: usize) -> Self {
        let mut bytes = self.0;
        bytes.rotate_left(n % 4);
        Self(bytes)
    }
}

/// The bodies chosen for this CPU. Copy; made once for each shard.
#[derive(Clone, Copy, Debug)]
pub struct Masker(());

impl Masker {
    /// Looks at the CPU once.
    pub fn detect() -> Self {
        Self(())
    }

    /// XORs `data` in place.
    pub fn apply(self, key: Key, data: &mut [u8]) {
        for (i, byte) in data.iter_mut().enumerate() {
            *byte ^= key.0[i % 4];
        }
    }

    /// Writes `from` XOR key to `to`. Panics unless both have one length.
    pub fn copy(self, key: Key, from: &[u8], to: &mut [u8]) {
        to.copy_from_slice(from);
        self.apply(key, to);
    }

    /// XORs in place and validates the result as the next piece of a text message.
    pub fn apply_text(self, key: Key, data: &mut [u8], utf8: &mut Utf8) -> Result<(), InvalidUtf8> {
        self.apply(key, data);
        utf8.push(data)
    }

    /// As [`Masker::copy`], validating what it writes.
    pub fn copy_text(
        self,
        key: Key,
        from: &[u8],
        to: &mut [u8],
        utf8: &mut Utf8,
    ) -> Result<(), InvalidUtf8> {
        self.copy(key, from, to);
        utf8.push(to)
    }
}
