//! Text for instruction sets that cannot look bytes up: ASCII is tested while it is unmasked, and
//! from the first byte that is not, the rest is unmasked first and validated after.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::super::utf8::{InvalidUtf8, Utf8};
use super::vector::{
    Vector, four_fit, load_clamped, load_four, rotate, store_clamped, store_four, to_aligned,
    xor_bulk,
};

/// The contract of `Text`, for payloads of `LEN` bytes or more; up to `N * LEN` without a branch
/// on the length.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` and `to` are equal or do not overlap, readable and
/// writable for `len >= V::LEN` bytes.
#[inline(always)]
pub(super) unsafe fn text_by_halves<V: Vector, const N: usize>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise; what is validated was written whole just before.
    unsafe {
        if state == 0 && len <= N * V::LEN {
            let block: [V; N] = load_clamped(key, from, len);
            let mut all = block[0];
            let mut k = 1;
            while k < N {
                all = all.or(block[k]);
                k += 1;
            }
            store_clamped(block, to, len);
            if all.is_ascii() {
                return Ok(0);
            }
            return validate(to, len, 0);
        }
        let ascii = if state == 0 { unmask_ascii::<V>(key, from, to, len) } else { 0 };
        if ascii == len {
            return Ok(0);
        }
        if ascii == 0 {
            xor_bulk::<V>(key, from, to, len);
        }
        validate(to.add(ascii), len.unchecked_sub(ascii), state)
    }
}

/// Unmasks everything when it begins with ASCII, and gives how much is known to be. Where the
/// first register is not ASCII it gives 0 and has written nothing.
///
/// # Safety
/// As [`text_by_halves`].
#[inline(always)]
unsafe fn unmask_ascii<V: Vector>(key: u32, from: *const u8, to: *mut u8, len: usize) -> usize {
    // SAFETY: the caller's promise. `at` stays below `last` where registers are read; the rest
    // after `at` holds `LEN` bytes at least. The head is stored last, so the rest is read masked.
    unsafe {
        let last = len.unchecked_sub(V::LEN);
        let head = V::load(from).xor(V::splat(key));
        if !head.is_ascii() {
            return 0;
        }
        let tail = V::load(from.add(last)).xor(V::splat(rotate(key, last)));
        let mut at = to_aligned(to, V::LEN);
        let turned = V::splat(rotate(key, at));
        while four_fit::<V>(at, last) {
            let block = load_four(turned, from.add(at));
            if !block[0].or(block[1]).or(block[2].or(block[3])).is_ascii() {
                xor_bulk::<V>(rotate(key, at), from.add(at), to.add(at), len.unchecked_sub(at));
                head.store(to);
                return at;
            }
            store_four(block, to.add(at));
            at = at.unchecked_add(4 * V::LEN);
        }
        let known = at;
        let mut rest = tail;
        while at < last {
            let register = V::load(from.add(at)).xor(turned);
            rest = rest.or(register);
            register.store_aligned(to.add(at));
            at = at.unchecked_add(V::LEN);
        }
        tail.store(to.add(last));
        head.store(to);
        // A head of ASCII reaches as far as the first aligned register, so `known` is never 0.
        if rest.is_ascii() { len } else { known }
    }
}

/// # Safety
/// `text` is readable and initialized for `len` bytes.
unsafe fn validate(text: *const u8, len: usize, state: u32) -> Result<u32, InvalidUtf8> {
    let mut utf8 = Utf8::resume(state);
    // SAFETY: the caller's promise.
    utf8.push(unsafe { std::slice::from_raw_parts(text, len) })?;
    Ok(utf8.state())
}
