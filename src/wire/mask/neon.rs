//! 16-byte registers of NEON, which every 64-bit Arm CPU has.
#![allow(unsafe_code)]
#![allow(clippy::inline_always, clippy::wildcard_imports)]

use std::arch::aarch64::*;

use super::super::utf8::InvalidUtf8;
use super::Level;
use super::body::Body;
use super::lookup::{Lookup, Shuffle};
use super::text::{Rest, ascii_bulk, ascii_clamped, rest_checked};
use super::vector::{Vector, xor_bulk, xor_clamped};

/// The bodies.
pub(super) fn body() -> &'static Body {
    // SAFETY: NEON belongs to 64-bit Arm.
    static BODY: Body = unsafe { Body::new(Level::Neon, xor, text) };
    &BODY
}

unsafe fn xor(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the contract of `Xor` is that of the two, and `len` is 32 at least.
    unsafe {
        if len <= 8 * 16 {
            xor_clamped::<uint8x16_t, 8>(key, from, to, len);
        } else {
            xor_bulk::<uint8x16_t>(key, from, to, len);
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
            ascii_clamped::<uint8x16_t, Beyond, 8>(key, from, to, len, state)
        } else {
            ascii_bulk::<uint8x16_t, Beyond>(key, from, to, len, state)
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
        unsafe { rest_checked::<Lookup<uint8x16_t>>(key, from, to, len, state) }
    }
}

// SAFETY of each block below: NEON belongs to 64-bit Arm; the caller's promise that the pointers
// reach 16 bytes, as the trait says.
impl Vector for uint8x16_t {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // In memory order on any target: the key's bytes come lowest first.
        // SAFETY: see above.
        unsafe { vreinterpretq_u8_u32(vdupq_n_u32(word.to_le())) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { vst1q_u8(to, self) }
    }

    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { vst1q_u8(to, self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { veorq_u8(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { vorrq_u8(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: see above.
        unsafe { vmaxvq_u8(self) < 0x80 }
    }
}

// SAFETY of each block below: as above.
impl Shuffle for uint8x16_t {
    #[inline(always)]
    unsafe fn byte(byte: u8) -> Self {
        // SAFETY: see above.
        unsafe { vdupq_n_u8(byte) }
    }

    #[inline(always)]
    unsafe fn table(entries: [u8; 16]) -> Self {
        // SAFETY: see above; 16 bytes are read from an array of 16.
        unsafe { vld1q_u8(entries.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn lookup(self, table: Self) -> Self {
        // SAFETY: see above.
        unsafe { vqtbl1q_u8(table, self) }
    }

    #[inline(always)]
    unsafe fn high_nibbles(self) -> Self {
        // SAFETY: see above.
        unsafe { vshrq_n_u8::<4>(self) }
    }

    #[inline(always)]
    unsafe fn and(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { vandq_u8(self, other) }
    }

    #[inline(always)]
    unsafe fn saturating_sub(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { vqsubq_u8(self, other) }
    }

    #[inline(always)]
    unsafe fn predecessors(self, before: Self) -> [Self; 3] {
        // SAFETY: see above.
        unsafe {
            [
                vextq_u8::<15>(before, self),
                vextq_u8::<14>(before, self),
                vextq_u8::<13>(before, self),
            ]
        }
    }

    #[inline(always)]
    unsafe fn ending(word: u32) -> Self {
        // SAFETY: see above.
        unsafe { vreinterpretq_u8_u32(vsetq_lane_u32::<3>(word.to_le(), vdupq_n_u32(0))) }
    }

    #[inline(always)]
    unsafe fn is_zero(self) -> bool {
        // SAFETY: see above.
        unsafe { vmaxvq_u8(self) == 0 }
    }
}
