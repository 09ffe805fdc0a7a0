//! 32-byte registers of AVX2.
#![allow(unsafe_code)]
#![allow(clippy::inline_always, clippy::wildcard_imports)]

use std::arch::x86_64::*;

use super::super::utf8::InvalidUtf8;
use super::Level;
use super::body::Body;
use super::lookup::{Lookup, Shuffle};
use super::text::{Rest, ascii_bulk, ascii_clamped, rest_checked};
use super::vector::{Vector, xor_bulk, xor_clamped};

/// The bodies, where this CPU has AVX2.
pub(super) fn body() -> Option<&'static Body> {
    // SAFETY: given out below only where AVX2 was found.
    static BODY: Body = unsafe { Body::new(Level::Avx2, xor, text) };
    std::arch::is_x86_feature_detected!("avx2").then_some(&BODY)
}

#[target_feature(enable = "avx2")]
unsafe fn xor(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the contract of `Xor` is that of the two, and `len` is 32 at least.
    unsafe {
        if len <= 4 * 32 {
            xor_clamped::<__m256i, 4>(key, from, to, len);
        } else {
            xor_bulk::<__m256i>(key, from, to, len);
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn text(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Text` is that of the two, and `len` is 32 at least.
    unsafe {
        if len <= 4 * 32 {
            ascii_clamped::<__m256i, Beyond, 4>(key, from, to, len, state)
        } else {
            ascii_bulk::<__m256i, Beyond>(key, from, to, len, state)
        }
    }
}

/// Text that is not ASCII, out of the way of text that is.
struct Beyond;

impl Rest for Beyond {
    #[inline(always)]
    unsafe fn text(
        key: u32,
        from: *const u8,
        to: *mut u8,
        len: usize,
        state: u32,
    ) -> Result<u32, InvalidUtf8> {
        // SAFETY: the caller's promise.
        unsafe { beyond(key, from, to, len, state) }
    }
}

#[target_feature(enable = "avx2")]
#[inline(never)]
unsafe fn beyond(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Rest`.
    unsafe { rest_checked::<Lookup<__m256i>>(key, from, to, len, state) }
}

// SAFETY of each block below: the caller's promise that the CPU has AVX2 and that the pointers
// reach 32 bytes, as the trait says.
impl Vector for __m256i {
    const LEN: usize = 32;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        // SAFETY: see above; aligned by the caller.
        unsafe { _mm256_store_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_xor_si256(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_or_si256(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm256_movemask_epi8(self) == 0 }
    }
}

// SAFETY of each block below: as above.
impl Shuffle for __m256i {
    #[inline(always)]
    unsafe fn byte(byte: u8) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_set1_epi8(byte.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn table(entries: [u8; 16]) -> Self {
        // SAFETY: see above; 16 bytes are read from an array of 16.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(entries.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn lookup(self, table: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_shuffle_epi8(table, self) }
    }

    #[inline(always)]
    unsafe fn high_nibbles(self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(self), _mm256_set1_epi8(0x0f)) }
    }

    #[inline(always)]
    unsafe fn and(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_and_si256(self, other) }
    }

    #[inline(always)]
    unsafe fn saturating_sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_subs_epu8(self, other) }
    }

    #[inline(always)]
    unsafe fn predecessors(self, before: Self) -> [Self; 3] {
        // SAFETY: see above.
        unsafe {
            // Byte shifts stay inside 16-byte lanes, so each lane first meets the one before it.
            let lane_before = _mm256_permute2x128_si256::<0x21>(before, self);
            [
                _mm256_alignr_epi8::<15>(self, lane_before),
                _mm256_alignr_epi8::<14>(self, lane_before),
                _mm256_alignr_epi8::<13>(self, lane_before),
            ]
        }
    }

    #[inline(always)]
    unsafe fn ending(word: u32) -> Self {
        // SAFETY: see above.
        unsafe { _mm256_setr_epi32(0, 0, 0, 0, 0, 0, 0, word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm256_testz_si256(self, self) != 0 }
    }
}
