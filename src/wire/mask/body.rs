//! The table of one instruction set's bodies, and the one place that calls through it.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::super::utf8::InvalidUtf8;
use super::Level;

/// Shortest payload that a body takes, in bytes. Below it a call costs more than the work.
pub(super) const MIN: usize = 32;

/// Key, source, destination, bytes.
///
/// Safety contract: the CPU has the body's instructions; source and destination are readable and
/// writable for the given bytes, which are [`MIN`] at least; the destination begins where the
/// source does or before it, or they do not overlap.
pub(super) type Xor = unsafe fn(u32, *const u8, *mut u8, usize);

/// As [`Xor`], with the state of the text before; gives the state after. Source and destination are
/// equal or do not overlap.
pub(super) type Text = unsafe fn(u32, *const u8, *mut u8, usize, u32) -> Result<u32, InvalidUtf8>;

/// What one instruction set offers.
pub(super) struct Body {
    level: Level,
    xor: Xor,
    text: Text,
}

impl Body {
    /// # Safety
    /// The functions keep the contracts of [`Xor`] and [`Text`], and the value is handed out only
    /// where the CPU has their instructions.
    pub(super) const unsafe fn new(level: Level, xor: Xor, text: Text) -> Self {
        Self { level, xor, text }
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// XORs in place. `data` holds [`MIN`] bytes at least.
    #[inline(always)]
    pub(super) fn xor_in_place(&self, key: u32, data: &mut [u8]) {
        assert!(data.len() >= MIN);
        let to = data.as_mut_ptr();
        // SAFETY: one exclusive slice is source and destination, its length was checked, and `new`
        // vouches for the CPU.
        unsafe { (self.xor)(key, to, to, data.len()) }
    }

    /// XORs `data[from..]` and writes it to the front. It holds [`MIN`] bytes at least.
    #[inline(always)]
    pub(super) fn xor_moved(&self, key: u32, data: &mut [u8], from: usize) {
        assert!(from <= data.len() && data.len() - from >= MIN);
        let to = data.as_mut_ptr();
        // SAFETY: both ranges end inside one exclusive slice, the destination's begins at its front
        // and so not behind the source's, their length was checked, and `new` vouches for the CPU.
        unsafe { (self.xor)(key, to.add(from), to, data.len() - from) }
    }

    /// XORs while copying. Both hold the same number of bytes, [`MIN`] at least.
    #[inline(always)]
    pub(super) fn xor_copy(&self, key: u32, from: &[u8], to: &mut [u8]) {
        assert!(from.len() >= MIN && from.len() == to.len());
        // SAFETY: a shared and an exclusive slice never overlap, their lengths were checked, and
        // `new` vouches for the CPU.
        unsafe { (self.xor)(key, from.as_ptr(), to.as_mut_ptr(), from.len()) }
    }

    /// XORs and validates in place. `data` holds [`MIN`] bytes at least.
    #[inline(always)]
    pub(super) fn text_in_place(
        &self,
        key: u32,
        data: &mut [u8],
        state: u32,
    ) -> Result<u32, InvalidUtf8> {
        assert!(data.len() >= MIN);
        let to = data.as_mut_ptr();
        // SAFETY: as in `xor_in_place`.
        unsafe { (self.text)(key, to, to, data.len(), state) }
    }

    /// XORs and validates while copying. Both hold the same number of bytes, [`MIN`] at least.
    #[inline(always)]
    pub(super) fn text_copy(
        &self,
        key: u32,
        from: &[u8],
        to: &mut [u8],
        state: u32,
    ) -> Result<u32, InvalidUtf8> {
        assert!(from.len() >= MIN && from.len() == to.len());
        // SAFETY: as in `xor_copy`.
        unsafe { (self.text)(key, from.as_ptr(), to.as_mut_ptr(), from.len(), state) }
    }
}
