//! Payloads under 32 bytes, inline: two overlapping registers of the largest kind that fits.
//!
//! Each gives whether the result is ASCII; a caller that does not ask pays nothing for it.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::vector::{Vector, load_clamped, store_clamped};

/// The 16-byte register that every CPU of the target has.
#[cfg(target_arch = "x86_64")]
type Wide = std::arch::x86_64::__m128i;
#[cfg(target_arch = "aarch64")]
type Wide = std::arch::aarch64::uint8x16_t;

/// XORs in place.
#[inline(always)]
pub(super) fn xor(key: u32, data: &mut [u8]) -> bool {
    let to = data.as_mut_ptr();
    // SAFETY: one exclusive slice is source and destination.
    unsafe { xor_any(key, to, to, data.len()) }
}

/// XORs `data[from..]` and writes it to the front.
///
/// # Panics
/// If `from` is past the end.
#[inline(always)]
pub(super) fn xor_moved(key: u32, data: &mut [u8], from: usize) -> bool {
    assert!(from <= data.len());
    let to = data.as_mut_ptr();
    // SAFETY: both ranges end inside one exclusive slice, and the destination's begins at its
    // front.
    unsafe { xor_any(key, to.add(from), to, data.len() - from) }
}

/// XORs while copying.
///
/// # Panics
/// Unless both have one length.
#[inline(always)]
pub(super) fn xor_copy(key: u32, from: &[u8], to: &mut [u8]) -> bool {
    assert_eq!(from.len(), to.len());
    // SAFETY: a shared and an exclusive slice of one length, which never overlap.
    unsafe { xor_any(key, from.as_ptr(), to.as_mut_ptr(), from.len()) }
}

/// # Safety
/// `from` and `to` are readable and writable for `len` bytes; `to` is not above `from`, or they do
/// not overlap.
#[inline(always)]
unsafe fn xor_any(key: u32, from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: the caller's promise; each arm takes a register that fits.
    unsafe {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if len >= 16 {
            return xor_two::<Wide>(key, from, to, len);
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        if len >= 16 {
            let first = xor_two::<u64>(key, from, to, 16);
            let rest = len.unchecked_sub(16);
            return xor_any(key, from.add(16), to.add(16), rest) & first;
        }
        if len >= 8 {
            xor_two::<u64>(key, from, to, len)
        } else if len >= 4 {
            xor_two::<u32>(key, from, to, len)
        } else {
            let mut all = 0;
            for (i, key) in key.to_le_bytes().into_iter().take(len).enumerate() {
                let byte = from.add(i).read() ^ key;
                to.add(i).write(byte);
                all |= byte;
            }
            all < 0x80
        }
    }
}

/// # Safety
/// As [`xor_any`], with `V::LEN <= len <= 2 * V::LEN` and the instructions of `V`.
#[inline(always)]
unsafe fn xor_two<V: Vector>(key: u32, from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let block: [V; 2] = load_clamped(key, from, len);
        store_clamped(block, to, len);
        block[0].or(block[1]).is_ascii()
    }
}
