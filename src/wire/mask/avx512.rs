//! 64-byte registers of AVX-512 (F, BW, VL, VBMI and VBMI2: Ice Lake, Zen 4 and later).
//!
//! The text check is not the nibble lookup of the other bodies: VBMI looks a byte's low seven bits
//! up at once, so each byte is classed by itself and the classes are moved, not the bytes. A lead
//! marks in its class what it claims of the next one, two and three bytes; three funnel shifts
//! carry these claims to where they are due.
//!
//! No masked store anywhere: its whole 64-byte range counts as written when the next frame is
//! read, which costs 3 ns a frame where frames are packed.
#![allow(unsafe_code)]
#![allow(clippy::inline_always, clippy::wildcard_imports)]

use std::arch::x86_64::*;

use super::super::utf8::InvalidUtf8;
use super::Level;
use super::body::Body;
use super::lookup::Lookup;
use super::text::{Check, Rest, ascii_bulk, ascii_clamped, rest_checked};
use super::vector::{Vector, xor_bulk, xor_clamped};

/// The bodies, where this CPU has all five extensions.
pub(super) fn body() -> Option<&'static Body> {
    // SAFETY: given out below only where the extensions were found.
    static BODY: Body = unsafe { Body::new(Level::Avx512, xor, text) };
    let found = std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512vbmi")
        && std::arch::is_x86_feature_detected!("avx512vbmi2");
    found.then_some(&BODY)
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
unsafe fn xor(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the contract of `Xor` is that of the three, and `len` is 32 at least.
    unsafe {
        if len <= 4 * 32 {
            xor_clamped::<__m256i, 4>(key, from, to, len);
        } else if len <= 4 * 64 {
            xor_clamped::<__m256i, 8>(key, from, to, len);
        } else {
            xor_bulk::<__m512i>(key, from, to, len);
        }
    }
}

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
unsafe fn text(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Text` is that of the three, and `len` is 32 at least.
    unsafe {
        if len <= 4 * 32 {
            ascii_clamped::<__m256i, Beyond, 4>(key, from, to, len, state)
        } else if len <= 4 * 64 {
            ascii_clamped::<__m512i, Beyond, 4>(key, from, to, len, state)
        } else {
            ascii_bulk::<__m512i, Beyond>(key, from, to, len, state)
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

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2")]
#[inline(never)]
unsafe fn beyond(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the contract of `Rest`.
    unsafe {
        if len < 64 {
            rest_checked::<Lookup<__m256i>>(key, from, to, len, state)
        } else {
            rest_checked::<Classes>(key, from, to, len, state)
        }
    }
}

// SAFETY of each block below: the caller's promise that the CPU has the extensions and that the
// pointers reach 64 bytes, as the trait says.
impl Vector for __m512i {
    const LEN: usize = 64;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(word.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn store_aligned(self, to: *mut u8) {
        // SAFETY: see above; aligned by the caller.
        unsafe { _mm512_store_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_xor_si512(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { _mm512_or_si512(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: see above.
        unsafe { _mm512_movepi8_mask(self) == 0 }
    }
}

/// A lead claims that the next byte is a continuation. The top bit, because there a byte's own
/// bits tell continuations from ASCII.
const NEXT: u8 = 1 << 7;
/// A lead of three or four bytes claims the byte after the next one too.
const SECOND: u8 = 1 << 6;
/// A lead of four bytes claims the one after that as well.
const THIRD: u8 = 1 << 5;
/// A lead excludes a continuation of 80..8F, 90..9F, A0..BF as its next byte; a continuation lies
/// there.
const LOW: u8 = 1;
const MIDDLE: u8 = 1 << 1;
const HIGH: u8 = 1 << 2;

/// What a lead claims and excludes (RFC 3629 4), by its low six bits. C0, C1 and F5..FF exclude
/// whatever they claim.
const LEADS: [u8; 64] = {
    let mut table = [0; 64];
    let mut i = 0;
    while i < 64 {
        table[i] = match 0xC0 + i {
            0xC2..=0xDF => NEXT,
            0xE0 => NEXT | SECOND | LOW | MIDDLE,
            0xED => NEXT | SECOND | HIGH,
            0xE1..=0xEF => NEXT | SECOND,
            0xF0 => NEXT | SECOND | THIRD | LOW,
            0xF1..=0xF3 => NEXT | SECOND | THIRD,
            0xF4 => NEXT | SECOND | THIRD | MIDDLE | HIGH,
            _ => NEXT | LOW | MIDDLE | HIGH,
        };
        i += 1;
    }
    table
};

/// Where a continuation lies, by its low six bits. Other bytes get an entry too, but what follows a
/// lead and is no continuation is an error whatever its entry says.
const RANGES: [u8; 64] = {
    let mut table = [HIGH; 64];
    let mut i = 0;
    while i < 0x20 {
        table[i] = if i < 0x10 { LOW } else { MIDDLE };
        i += 1;
    }
    table
};

/// The check's state: the leads of the register before, and every error seen.
#[derive(Clone, Copy)]
struct Classes {
    leads: __m512i,
    /// Top bits: a continuation that is claimed and absent, or present and not claimed.
    miscounted: __m512i,
    /// Bits `LOW`, `MIDDLE`, `HIGH`: a continuation that its lead excludes.
    excluded: __m512i,
}

/// The entries of the leads, C0 and above; zero for every other byte.
///
/// # Safety
/// The CPU has the extensions.
#[inline(always)]
unsafe fn leads(register: __m512i) -> __m512i {
    // SAFETY: the caller's promise; 64 bytes are read from an array of 64.
    unsafe {
        let table = _mm512_loadu_si512(LEADS.as_ptr().cast());
        let mask = _mm512_cmpge_epu8_mask(register, _mm512_set1_epi8(0xC0_u8.cast_signed()));
        _mm512_maskz_permutexvar_epi8(mask, register, table)
    }
}

impl Check for Classes {
    type V = __m512i;

    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's: the CPU has the extensions.
        let zero = unsafe { _mm512_setzero_si512() };
        Self { leads: zero, miscounted: zero, excluded: zero }
    }

    #[inline(always)]
    unsafe fn stand_after(&mut self, before: u32) {
        // SAFETY: as in `new`.
        self.leads = unsafe { leads(_mm512_maskz_set1_epi32(1 << 15, before.cast_signed())) };
    }

    #[inline(always)]
    unsafe fn push(&mut self, register: __m512i) {
        // SAFETY: as in `new`; 64 bytes are read from an array of 64.
        unsafe {
            let ranges = _mm512_loadu_si512(RANGES.as_ptr().cast());
            let range = _mm512_permutexvar_epi8(register, ranges);
            let leads = leads(register);
            // The eight bytes before each eight bytes.
            let before = _mm512_alignr_epi64::<7>(leads, self.leads);
            // One byte on; two bytes on and one bit up, three bytes on and two bits up: each claim
            // in the top bit of the byte that it is about.
            let next = _mm512_shldi_epi64::<8>(leads, before);
            let second = _mm512_shldi_epi64::<17>(leads, before);
            let third = _mm512_shldi_epi64::<26>(leads, before);
            let claimed = _mm512_ternarylogic_epi64::<OR_3>(next, second, third);
            let wrong = _mm512_ternarylogic_epi64::<XOR_AND_NOT>(claimed, register, leads);
            self.miscounted = _mm512_or_si512(self.miscounted, wrong);
            self.excluded = _mm512_ternarylogic_epi64::<OR_AND>(self.excluded, next, range);
            self.leads = leads;
        }
    }

    #[inline(always)]
    unsafe fn failed(self) -> bool {
        // SAFETY: as in `new`.
        unsafe {
            let excluded = _mm512_set1_epi8((LOW | MIDDLE | HIGH).cast_signed());
            _mm512_movepi8_mask(self.miscounted) | _mm512_test_epi8_mask(self.excluded, excluded)
                != 0
        }
    }
}

/// Truth tables for `vpternlog`, made from those of its three operands.
const A: i32 = 0xF0;
const B: i32 = 0xCC;
const C: i32 = 0xAA;
const OR_3: i32 = A | B | C;
/// Claimed, against a byte beyond ASCII that is no lead.
const XOR_AND_NOT: i32 = A ^ (B & !C);
const OR_AND: i32 = A | (B & C);
