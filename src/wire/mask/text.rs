//! Unmasking and UTF-8 validation in one pass, written once over the vector trait.
//!
//! ASCII is tested while the bytes are in registers, before they are stored; that is all the usual
//! text costs. From the first register that is not ASCII on, the rest goes to a [`Rest`], which for
//! most instruction sets feeds a [`Check`] on the way. Windows may overlap: each is checked after
//! the four bytes before it, so a byte seen twice gives the same answer twice.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::super::utf8::{self, InvalidUtf8, Utf8};
use super::vector::{
    Vector, four_fit, load_clamped, load_four, rotate, store_clamped, store_four, to_aligned,
};

/// What takes text over where it stops being ASCII: a body's own function, out of the way of the
/// ASCII loop and its registers.
pub(super) trait Rest {
    /// The contract of `Text`, for any payload that its caller has not finished.
    ///
    /// # Safety
    /// As for `Text`, with the caller's smallest vector as the least length.
    unsafe fn text(
        key: u32,
        from: *const u8,
        to: *mut u8,
        len: usize,
        state: u32,
    ) -> Result<u32, InvalidUtf8>;
}

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

/// Text of `LEN` to `N * LEN` bytes, without a branch on the length while it is ASCII.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` and `to` are equal or do not overlap, readable and
/// writable for `len` bytes, `LEN <= len <= N * LEN`.
#[inline(always)]
pub(super) unsafe fn ascii_clamped<V: Vector, R: Rest, const N: usize>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise; every load stands before the first store.
    unsafe {
        let block: [V; N] = load_clamped(key, from, len);
        let mut all = block[0];
        let mut k = 1;
        while k < N {
            all = all.or(block[k]);
            k += 1;
        }
        if !all.is_ascii() || state != 0 {
            return R::text(key, from, to, len, state);
        }
        store_clamped(block, to, len);
        Ok(0)
    }
}

/// Text of more than `2 * LEN` bytes, with aligned stores: the counterpart of `xor_bulk`.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` and `to` are equal or do not overlap, readable and
/// writable for `len > 2 * LEN` bytes.
#[inline(always)]
pub(super) unsafe fn ascii_bulk<V: Vector, R: Rest>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise. `at` is `LEN` at most where it begins and stays below `last`
    // where registers are read. The rest after `at` holds `LEN` bytes at least, none of which has
    // been stored; the head, which may reach into it, is stored when the rest is done.
    unsafe {
        let last = len.unchecked_sub(V::LEN);
        let head = V::load(from).xor(V::splat(key));
        if !head.is_ascii() || state != 0 {
            return R::text(key, from, to, len, state);
        }
        let tail = V::load(from.add(last)).xor(V::splat(rotate(key, last)));
        let mut at = to_aligned(to, V::LEN);
        let phase = rotate(key, at);
        let key = V::splat(phase);
        let mut ascii = true;
        while four_fit::<V>(at, last) {
            let block = load_four(key, from.add(at));
            ascii = block[0].or(block[1]).or(block[2].or(block[3])).is_ascii();
            if !ascii {
                break;
            }
            store_four(block, to.add(at));
            at = at.unchecked_add(4 * V::LEN);
        }
        ascii &= tail.is_ascii();
        while ascii && at < last {
            let register = V::load(from.add(at)).xor(key);
            ascii = register.is_ascii();
            if ascii {
                register.store_aligned(to.add(at));
                at = at.unchecked_add(V::LEN);
            }
        }
        let state = if ascii {
            tail.store(to.add(last));
            Ok(0)
        } else {
            R::text(phase, from.add(at), to.add(at), len.unchecked_sub(at), 0)
        };
        head.store(to);
        state
    }
}

/// Unmasks first and validates after: the rest where an instruction set cannot look bytes up.
///
/// # Safety
/// The contract of `Text` for `len >= LEN` bytes, and the CPU has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn rest_by_halves<V: Vector>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
    state: u32,
) -> Result<u32, InvalidUtf8> {
    // SAFETY: the caller's promise; what is validated was written whole just before.
    let text = unsafe {
        super::vector::xor_bulk::<V>(key, from, to, len);
        std::slice::from_raw_parts(to, len)
    };
    let mut utf8 = Utf8::resume(state);
    utf8.push(text)?;
    Ok(utf8.state())
}

/// Any text of `LEN` bytes or more, checked on the way.
///
/// # Safety
/// The CPU has the instructions of `C::V`; `from` and `to` are equal or do not overlap, readable
/// and writable for `len >= LEN` bytes.
#[inline(always)]
pub(super) unsafe fn rest_checked<C: Check>(
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
        check.stand_after(state);
        check.push(head);
        check.stand_after(before(key, from, at, state));
        // Whether the register pushed last was ASCII, and so was all that was passed over since.
        let mut clean = false;

        let key = C::V::splat(rotate(key, at));
        while four_fit::<C::V>(at, last) {
            let block = load_four(key, from.add(at));
            // Where the first is not ASCII the others need not be asked.
            let ascii = block[0].is_ascii() && block[1].or(block[2]).or(block[3]).is_ascii();
            if !(ascii && clean) {
                check.push(block[0]);
                check.push(block[1]);
                check.push(block[2]);
                check.push(block[3]);
            }
            clean = ascii;
            store_four(block, to.add(at));
            at = at.unchecked_add(4 * C::V::LEN);
        }
        while at < last {
            let register = C::V::load(from.add(at)).xor(key);
            check.push(register);
            register.store_aligned(to.add(at));
            at = at.unchecked_add(C::V::LEN);
        }
        tail.store(to.add(last));
        head.store(to);
        check.stand_after(before_tail);
        check.push(tail);
        if check.failed() { Err(InvalidUtf8) } else { utf8::unfinished(end) }
    }
}

/// Four unmasked bytes at `offset`, little endian.
///
/// # Safety
/// `from` is readable for `offset + 4` bytes.
#[inline(always)]
unsafe fn word(key: u32, from: *const u8, offset: usize) -> u32 {
    // SAFETY: the caller's promise.
    let received = unsafe { from.add(offset).cast::<[u8; 4]>().read() };
    u32::from_le_bytes(received) ^ rotate(key, offset)
}

/// The four bytes of text before `offset`, reaching into the previous piece's `state`.
///
/// # Safety
/// `from` is readable for `max(offset, 4)` bytes.
#[inline(always)]
unsafe fn before(key: u32, from: *const u8, offset: usize, state: u32) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        if offset >= 4 {
            word(key, from, offset.unchecked_sub(4))
        } else {
            let around = u64::from(state) | u64::from(word(key, from, 0)) << 32;
            (around >> ((offset as u32) << 3)) as u32
        }
    }
}
