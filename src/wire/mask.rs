//! XOR with the masking key (RFC 6455 5.3), in place and while copying.
//!
//! One safe entry, [`Masker`]: payloads under 32 bytes are done inline, longer ones by the bodies
//! of the best instruction set that this CPU has, chosen once. Text is validated while it is
//! unmasked. Payloads may begin at any address, at any phase of the key, and have any length.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod body;
mod lookup;
#[cfg(test)]
mod naive;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod roofline;
mod scalar;
mod short;
#[cfg(target_arch = "x86_64")]
mod sse2;
#[cfg(test)]
mod tests;
mod text;
mod vector;

use std::fmt;

use self::body::Body;
use super::utf8::{InvalidUtf8, Utf8};

/// A masking key, turned so that its first byte meets the next payload byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Key(pub [u8; 4]);

impl Key {
    /// The key as it stands after `n` payload bytes.
    #[must_use]
    #[inline]
    pub fn after(self, n: usize) -> Self {
        Self(vector::rotate(self.word(), n).to_le_bytes())
    }

    /// The first byte lowest.
    #[inline]
    fn word(self) -> u32 {
        u32::from_le_bytes(self.0)
    }
}

/// An instruction set that has bodies of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// 8-byte words, on any CPU.
    Scalar,
    /// x86-64, always there.
    Sse2,
    /// x86-64, 32-byte registers.
    Avx2,
    /// x86-64, 64-byte registers: F, BW, VL, VBMI and VBMI2.
    Avx512,
    /// 64-bit Arm, always there.
    Neon,
}

impl Level {
    /// The worst first.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Sse2, Self::Avx2, Self::Avx512, Self::Neon];

    fn body(self) -> Option<&'static Body> {
        match self {
            Self::Scalar => Some(scalar::body()),
            #[cfg(target_arch = "x86_64")]
            Self::Sse2 => Some(sse2::body()),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::body(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::body(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Some(neon::body()),
            _ => None,
        }
    }
}

/// The bodies chosen for this CPU. Copy; made once for each shard.
#[derive(Clone, Copy)]
pub struct Masker(&'static Body);

impl Masker {
    /// Looks at the CPU once.
    pub fn detect() -> Self {
        let best = Level::ALL.into_iter().rev().find_map(Level::body);
        Self(best.unwrap_or(scalar::body()))
    }

    /// The bodies of one level, where this CPU has it: for tests and benchmarks.
    pub fn with(level: Level) -> Option<Self> {
        level.body().map(Self)
    }

    /// Whose bodies these are.
    pub fn level(self) -> Level {
        self.0.level()
    }

    /// XORs `data` in place.
    #[expect(
        clippy::inline_always,
        reason = "a call for each small message is a twentieth of its cost"
    )]
    #[inline(always)]
    pub fn apply(self, key: Key, data: &mut [u8]) {
        if data.len() < body::MIN {
            short::xor(key.word(), data);
        } else {
            self.0.xor_in_place(key.word(), data);
        }
    }

    /// XORs `data[from..]` and writes it to the front of `data`: unmasks and moves in one pass.
    /// What lies behind the result may hold anything.
    ///
    /// # Panics
    /// If `from` is past the end.
    #[inline]
    pub fn apply_moved(self, key: Key, data: &mut [u8], from: usize) {
        if data.len() - from < body::MIN {
            short::xor_moved(key.word(), data, from);
        } else {
            self.0.xor_moved(key.word(), data, from);
        }
    }

    /// Writes `from` XOR key to `to`.
    ///
    /// # Panics
    /// Unless both have one length.
    #[inline]
    pub fn copy(self, key: Key, from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len(), "source and destination differ in length");
        if from.len() < body::MIN {
            short::xor_copy(key.word(), from, to);
        } else {
            self.0.xor_copy(key.word(), from, to);
        }
    }

    /// XORs in place and validates the result as the next piece of a text message.
    ///
    /// Fails exactly where [`Utf8::push`] would; then `data` may hold anything.
    #[inline]
    pub fn apply_text(self, key: Key, data: &mut [u8], utf8: &mut Utf8) -> Result<(), InvalidUtf8> {
        if data.len() < body::MIN {
            let ascii = short::xor(key.word(), data);
            if ascii && utf8.state() == 0 { Ok(()) } else { utf8.push(data) }
        } else {
            let state = self.0.text_in_place(key.word(), data, utf8.state())?;
            *utf8 = Utf8::resume(state);
            Ok(())
        }
    }

    /// As [`Masker::copy`], validating what it writes.
    ///
    /// Fails exactly where [`Utf8::push`] would; then `to` may hold anything.
    ///
    /// # Panics
    /// Unless both have one length.
    #[inline]
    pub fn copy_text(
        self,
        key: Key,
        from: &[u8],
        to: &mut [u8],
        utf8: &mut Utf8,
    ) -> Result<(), InvalidUtf8> {
        assert_eq!(from.len(), to.len(), "source and destination differ in length");
        if from.len() < body::MIN {
            let ascii = short::xor_copy(key.word(), from, to);
            if ascii && utf8.state() == 0 { Ok(()) } else { utf8.push(to) }
        } else {
            let state = self.0.text_copy(key.word(), from, to, utf8.state())?;
            *utf8 = Utf8::resume(state);
            Ok(())
        }
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Masker").field(&self.level()).finish()
    }
}
