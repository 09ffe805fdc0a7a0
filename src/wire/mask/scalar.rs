//! 8-byte words, for CPUs without a vector body. Safe but for the addresses.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::super::utf8::InvalidUtf8;
use super::Level;
use super::body::Body;
use super::text::{Rest, ascii_bulk, rest_by_halves};
use super::vector::{Vector, xor_bulk};

/// The bodies.
pub(super) fn body() -> &'static Body {
    // SAFETY: they need no instructions beyond the target's own.
    static BODY: Body = unsafe { Body::new(Level::Scalar, xor, text) };
    &BODY
}

unsafe fn xor(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the contract of `Xor` is that of this function, and `len` is 32 at least.
    unsafe { xor_bulk::<u64>(key, from, to, len) }
}

unsafe fn text(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Text` is that of this function, and `len` is 32 at least.
    unsafe { ascii_bulk::<u64, Beyond>(key, from, to, len, state) }
}

/// Text that is not ASCII, out of the way of text that is.
struct Beyond;

impl Rest for Beyond {
    #[inline(never)]
    unsafe fn text(
        key: u32,
        from: *const u8,
        to: *mut u8,
        len: usize,
        state: u32,
    ) -> Result<u32, InvalidUtf8> {
        // SAFETY: the contract of `Rest`.
        unsafe { rest_by_halves::<u64>(key, from, to, len, state) }
    }
}

/// A word as a vector. In memory order on any target: the key's bytes come lowest first.
macro_rules! word {
    ($word:ty) => {
        impl Vector for $word {
            const LEN: usize = size_of::<$word>();

            #[inline(always)]
            unsafe fn splat(word: u32) -> Self {
                (<$word>::from(word) * (<$word>::MAX / <$word>::from(u32::MAX))).to_le()
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: the caller's: readable for `LEN` bytes.
                unsafe { from.cast::<Self>().read_unaligned() }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: the caller's: writable for `LEN` bytes.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }

            #[inline(always)]
            unsafe fn store_aligned(self, to: *mut u8) {
                // SAFETY: the caller's: writable for `LEN` bytes. Words need no better store.
                unsafe { self.store(to) }
            }

            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            unsafe fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            unsafe fn is_ascii(self) -> bool {
                self & (<$word>::MAX / 0xff * 0x80) == 0
            }
        }
    };
}

word!(u32);
word!(u64);
