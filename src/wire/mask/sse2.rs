//! 16-byte registers of SSE2, which every x86-64 CPU has.
//!
//! SSE2 cannot shuffle bytes, so its text tests ASCII while it unmasks and leaves the rest to the
//! validator of `utf8`.
#![allow(unsafe_code)]
#![allow(clippy::inline_always, clippy::wildcard_imports)]

use std::arch::x86_64::*;

use super::super::utf8::InvalidUtf8;
use super::Level;
use super::body::Body;
use super::text::{Rest, ascii_bulk, ascii_clamped, rest_by_halves};
use super::vector::{Vector, xor_bulk, xor_clamped};

/// The bodies.
pub(super) fn body() -> &'static Body {
    // SAFETY: SSE2 belongs to x86-64.
    static BODY: Body = unsafe { Body::new(Level::Sse2, xor, text) };
    &BODY
}

unsafe fn xor(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the contract of `Xor` is that of the two, and `len` is 32 at least.
    unsafe {
        if len <= 8 * 16 {
            xor_clamped::<__m128i, 8>(key, from, to, len);
        } else {
            xor_bulk::<__m128i>(key, from, to, len);
        }
    }
}

unsafe fn text(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Text` is that of the two, and `len` is 32 at least.
    unsafe {
        if len <= 8 * 16 {
            ascii_clamped::<__m128i, Beyond, 8>(key, from, to, len, state)
        } else {
            ascii_bulk::<__m128i, Beyond>(key, from, to, len, state)
        }
    }
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
        unsafe { rest_by_halves::<__m128i>(key, from, to, len, state) }
    }
}

// SAFETY of each block below: SSE2 belongs to x86-64; the caller's promise that the pointers reach
// 16 bytes, as the trait says.
impl Vector for __m128i {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: see above.
        unsafe { _mm_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm_storeu_si128(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        // SAFETY: see above; aligned by the caller.
        unsafe { _mm_store_si128(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm_xor_si128(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm_or_si128(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm_movemask_epi8(self) == 0 }
    }
}
