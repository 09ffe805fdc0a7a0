//! The XOR bodies, written once over a small vector trait.
//!
//! Everything here is `inline(always)`: it is compiled inside a caller that has the vector's
//! instructions enabled, so a plain function or a closure that holds a vector has no place here.
//!
//! Source and destination are the same address (unmasking in place), do not overlap (unmasking
//! while copying), or the destination begins before the source (unmasking while moving together).
//! One discipline serves all three: a byte is loaded before any store can reach it, so the way is
//! upwards, and where two stores overlap they write the same value.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

/// A register full of payload bytes.
pub(super) trait Vector: Copy {
    /// Bytes of the register: a power of two, 4 at least, so that the key's phase is the same at
    /// each multiple of it.
    const LEN: usize;

    /// `word` in each 4-byte lane, its lowest byte first in memory.
    ///
    /// # Safety
    /// The CPU has this vector's instructions; so for every method here.
    unsafe fn splat(word: u32) -> Self;

    /// # Safety
    /// `from` is readable for `LEN` bytes.
    unsafe fn load(from: *const u8) -> Self;

    /// # Safety
    /// `to` is writable for `LEN` bytes.
    unsafe fn store(self, to: *mut u8);

    /// As [`Vector::store`].
    ///
    /// # Safety
    /// `to` is writable for `LEN` bytes and a multiple of `LEN`.
    unsafe fn store_aligned(self, to: *mut u8);

    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn xor(self, other: Self) -> Self;

    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn or(self, other: Self) -> Self;

    /// Whether no byte has its top bit set.
    ///
    /// # Safety
    /// See [`Vector::splat`].
    unsafe fn is_ascii(self) -> bool;
}

/// The key as it stands `offset` bytes further. Lowest byte first.
#[inline(always)]
pub(super) fn rotate(key: u32, offset: usize) -> u32 {
    key.rotate_right((offset as u32) << 3)
}

/// Bytes from `to` to the next multiple of `len` after it: 1 to `len`.
#[inline(always)]
pub(super) fn to_aligned(to: *mut u8, len: usize) -> usize {
    len - (to.addr() & (len - 1))
}

/// `N` registers that cover the payload whatever its length, so that no branch depends on it:
/// the k-th lies at `k * LEN` or as far back as it must to end inside. The last ends at the end.
///
/// The ones between are clamped to a multiple of 4, where the key has its first phase.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` is readable for `len` bytes, and
/// `V::LEN <= len <= N * V::LEN`.
#[inline(always)]
pub(super) unsafe fn load_clamped<V: Vector, const N: usize>(
    key: u32,
    from: *const u8,
    len: usize,
) -> [V; N] {
    // SAFETY: the caller's promise; each offset is at most `len - LEN`.
    unsafe {
        let last = len.unchecked_sub(V::LEN);
        let first_phase = V::splat(key);
        // `LEN` is a multiple of 4, so `len` and `last` have one phase.
        let last_phase = V::splat(rotate(key, len));
        let mut block = [first_phase; N];
        let mut k = 0;
        while k < N - 1 {
            block[k] = V::load(from.add(clamp::<V>(k, last))).xor(first_phase);
            k += 1;
        }
        block[N - 1] = V::load(from.add(last)).xor(last_phase);
        block
    }
}

/// Stores what [`load_clamped`] gave.
///
/// # Safety
/// As there, and `to` is writable for `len` bytes.
#[inline(always)]
pub(super) unsafe fn store_clamped<V: Vector, const N: usize>(
    block: [V; N],
    to: *mut u8,
    len: usize,
) {
    // SAFETY: the caller's promise; each offset is at most `len - LEN`.
    unsafe {
        let last = len.unchecked_sub(V::LEN);
        let mut k = 0;
        while k < N - 1 {
            block[k].store(to.add(clamp::<V>(k, last)));
            k += 1;
        }
        block[N - 1].store(to.add(last));
    }
}

#[inline(always)]
fn clamp<V: Vector>(k: usize, last: usize) -> usize {
    let (wanted, most) = (k * V::LEN, last & !3);
    if wanted < most { wanted } else { most }
}

/// XORs a payload of `V::LEN` to `N * V::LEN` bytes without a branch on its length.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` and `to` are readable and writable for `len` bytes;
/// `to` is not above `from`, or they do not overlap; `V::LEN <= len <= N * V::LEN`.
#[inline(always)]
pub(super) unsafe fn xor_clamped<V: Vector, const N: usize>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) {
    // SAFETY: passed on; every load stands before the first store.
    unsafe { store_clamped::<V, N>(load_clamped(key, from, len), to, len) }
}

/// XORs a payload of `V::LEN` bytes or more with aligned stores.
///
/// The first and the last register are loaded before anything is stored, and stored after
/// everything else: what they share with the aligned middle gets the same value twice.
///
/// # Safety
/// The CPU has the instructions of `V`; `from` and `to` are readable and writable for
/// `len >= V::LEN` bytes; `to` is not above `from`, or they do not overlap.
#[inline(always)]
pub(super) unsafe fn xor_bulk<V: Vector>(key: u32, from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller's promise. `at` stays below `last`, so a register there ends inside; the
    // loop over four runs while `at + 4 * LEN <= last`.
    unsafe {
        let last = len.unchecked_sub(V::LEN);
        let head = V::load(from).xor(V::splat(key));
        let tail = V::load(from.add(last)).xor(V::splat(rotate(key, last)));
        let mut at = to_aligned(to, V::LEN);
        let key = V::splat(rotate(key, at));
        while four_fit::<V>(at, last) {
            let block = load_four(key, from.add(at));
            store_four(block, to.add(at));
            at = at.unchecked_add(4 * V::LEN);
        }
        while at < last {
            V::load(from.add(at)).xor(key).store_aligned(to.add(at));
            at = at.unchecked_add(V::LEN);
        }
        tail.store(to.add(last));
        head.store(to);
    }
}

/// Whether four registers at `at` end at or before `last`; `at` may have passed it.
#[inline(always)]
pub(super) fn four_fit<V: Vector>(at: usize, last: usize) -> bool {
    last.wrapping_sub(at).cast_signed() >= 4 * V::LEN.cast_signed()
}

/// Four registers in a row, XOR key.
///
/// # Safety
/// `from` is readable for `4 * V::LEN` bytes, and the CPU has the instructions of `V`.
#[inline(always)]
pub(super) unsafe fn load_four<V: Vector>(key: V, from: *const u8) -> [V; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        [
            V::load(from).xor(key),
            V::load(from.add(V::LEN)).xor(key),
            V::load(from.add(2 * V::LEN)).xor(key),
            V::load(from.add(3 * V::LEN)).xor(key),
        ]
    }
}

/// Stores four registers in a row.
///
/// # Safety
/// `to` is writable for `4 * V::LEN` bytes and aligned to `V::LEN`, and the CPU has the
/// instructions of `V`.
#[inline(always)]
pub(super) unsafe fn store_four<V: Vector>(block: [V; 4], to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        block[0].store_aligned(to);
        block[1].store_aligned(to.add(V::LEN));
        block[2].store_aligned(to.add(2 * V::LEN));
        block[3].store_aligned(to.add(3 * V::LEN));
    }
}
