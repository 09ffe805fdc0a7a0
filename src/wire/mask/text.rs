//! Unmasking and UTF-8 validation in one pass, written once over the vector trait.
//!
//! ASCII is tested while the bytes are in registers, before they are stored. What is not ASCII
//! goes through a [`Check`]. Windows may overlap: each is checked after the four bytes before it,
//! so a byte seen twice gives the same answer twice.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::super::utf8::{self, InvalidUtf8};
use super::vector::{
    Vector, four_fit, load_clamped, load_four, rotate, store_clamped, store_four, to_aligned,
};

/// A validator that is fed registers in text order.
pub(super) trait Check: Copy {
    /// What it is fed.
    type V: Vector;

    /// A check after nothing but ASCII.
    ///
    /// # Safety
    /// The CPU has the instructions of `Self::V`; so for every method here.
    unsafe fn new() -> Self;

    /// The next register stands after these four bytes (the last in the top byte).
    ///
    /// # Safety
    /// See [`Check::new`].
    unsafe fn stand_after(&mut self, before: u32);

    /// Checks a register as the continuation of what came before.
    ///
    /// # Safety
    /// See [`Check::new`].
    unsafe fn push(&mut self, register: Self::V);

    /// Whether any byte pushed so far was wrong. A code point that has only begun is not.
    ///
    /// # Safety
    /// See [`Check::new`].
    unsafe fn failed(self) -> bool;
}

/// Four unmasked bytes at `offset`, little endian.
#[inline(always)]
unsafe fn word(key: u32, from: *const u8, offset: usize) -> u32 {
    // SAFETY: the caller's: `from` is readable for `offset + 4` bytes.
    let masked = unsafe { from.add(offset).cast::<[u8; 4]>().read() };
    u32::from_le_bytes(masked) ^ rotate(key, offset)
}

/// The four bytes of text before `offset`, reaching into the previous piece's `state`.
#[inline(always)]
unsafe fn before(key: u32, from: *const u8, offset: usize, state: u32) -> u32 {
    // SAFETY: the caller's: `from` is readable for `max(offset, 4)` bytes.
    unsafe {
        if offset >= 4 {
            word(key, from, offset.unchecked_sub(4))
        } else {
            let around = u64::from(state) | u64::from(word(key, from, 0)) << 32;
            (around >> ((offset as u32) << 3)) as u32
        }
    }
}

/// A payload of `LEN` to `N * LEN` bytes.
///
/// # Safety
/// The CPU has the instructions of `C::V`; `from` and `to` are equal or do not overlap, readable
/// and writable for `len` bytes, `LEN <= len <= N * LEN`.
#[inline(always)]
pub(super) unsafe fn text_clamped<C: Check, const N: usize>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise; every load stands before the first store.
    unsafe {
        let block: [C::V; N] = load_clamped(key, from, len);
        let mut all = block[0];
        let mut k = 1;
        while k < N {
            all = all.or(block[k]);
            k += 1;
        }
        if all.is_ascii() && state == 0 {
            store_clamped(block, to, len);
            return Ok(0);
        }
        let checked = text_windows::<C>(key, from, len, state);
        store_clamped(block, to, len);
        checked
    }
}

/// Checks a short payload window by window, storing nothing.
///
/// # Safety
/// The CPU has the instructions of `C::V`; `from` is readable for `len >= LEN` bytes.
#[inline(always)]
unsafe fn text_windows<C: Check>(
    key: u32,
    from: *const u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise; `at` is below `last`, where a register still fits.
    unsafe {
        let last = len.unchecked_sub(C::V::LEN);
        let first_phase = C::V::splat(key);
        let mut check = C::new();
        check.stand_after(state);
        let mut at = 0;
        while at < last {
            check.push(C::V::load(from.add(at)).xor(first_phase));
            at = at.unchecked_add(C::V::LEN);
        }
        check.stand_after(before(key, from, last, state));
        check.push(C::V::load(from.add(last)).xor(C::V::splat(rotate(key, last))));
        if check.failed() {
            return Err(InvalidUtf8);
        }
        utf8::unfinished(word(key, from, len.unchecked_sub(4)))
    }
}

/// A payload of `LEN` bytes or more, with aligned stores: the text's counterpart of `xor_bulk`.
///
/// # Safety
/// The CPU has the instructions of `C::V`; `from` and `to` are equal or do not overlap, readable
/// and writable for `len >= LEN` bytes.
#[inline(always)]
pub(super) unsafe fn text_bulk<C: Check>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise. What lies in the head and tail registers, before the middle,
    // before the tail and at the end is read before anything is stored. `at` stays below `last`,
    // and four registers are read only where they end at or before `last + LEN`.
    unsafe {
        let last = len.unchecked_sub(C::V::LEN);
        let head = C::V::load(from).xor(C::V::splat(key));
        let tail = C::V::load(from.add(last)).xor(C::V::splat(rotate(key, last)));
        let before_tail = before(key, from, last, state);
        let end = word(key, from, len.unchecked_sub(4));
        let mut at = to_aligned(to, C::V::LEN);

        let mut check = C::new();
        // Whether all text up to `at` is ASCII, or a register of ASCII was pushed since.
        let mut clean = head.is_ascii() && state == 0;
        if !clean {
            check.stand_after(state);
            check.push(head);
            check.stand_after(before(key, from, at, state));
        }

        let key = C::V::splat(rotate(key, at));
        while four_fit::<C::V>(at, last) {
            let block = load_four(key, from.add(at));
            if block[0].or(block[1]).or(block[2].or(block[3])).is_ascii() {
                if !clean {
                    check.push(block[0]);
                    clean = true;
                }
            } else {
                check.push(block[0]);
                check.push(block[1]);
                check.push(block[2]);
                check.push(block[3]);
                clean = false;
            }
            store_four(block, to.add(at));
            at = at.unchecked_add(4 * C::V::LEN);
        }
        while at < last {
            let register = C::V::load(from.add(at)).xor(key);
            let ascii = register.is_ascii();
            if !(ascii && clean) {
                check.push(register);
            }
            clean = ascii;
            register.store_aligned(to.add(at));
            at = at.unchecked_add(C::V::LEN);
        }
        tail.store(to.add(last));
        head.store(to);

        if !(clean && tail.is_ascii()) {
            check.stand_after(before_tail);
            check.push(tail);
        }
        if check.failed() { Err(InvalidUtf8) } else { utf8::unfinished(end) }
    }
}
