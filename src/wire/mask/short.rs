//! Payloads under 32 bytes, inline and safe: two overlapping words of the largest size that fits.
//!
//! Each gives whether the result is ASCII; a caller that does not ask pays nothing for it.

#![allow(clippy::inline_always)]

use super::vector::rotate;

const TOP_BITS: u32 = 0x8080_8080;

/// Two words that cover a payload of one to two words. Both are read before either is written.
macro_rules! xor_words {
    ($bytes:literal, $key:expr, $from:expr, $to:expr) => {{
        let len = $from.len();
        let (Some(head), Some(tail)) =
            ($from.first_chunk::<$bytes>(), $from.last_chunk::<$bytes>())
        else {
            return true;
        };
        let head = xor_word::<$bytes>(*head, $key);
        let tail = xor_word::<$bytes>(*tail, rotate($key, len - $bytes));
        if let Some(to) = $to.first_chunk_mut::<$bytes>() {
            *to = head;
        }
        if let Some(to) = $to.last_chunk_mut::<$bytes>() {
            *to = tail;
        }
        is_ascii(head) && is_ascii(tail)
    }};
}

macro_rules! xor_short {
    ($key:expr, $from:expr, $to:expr) => {{
        let len = $from.len();
        if len >= 16 {
            xor_words!(16, $key, $from, $to)
        } else if len >= 8 {
            xor_words!(8, $key, $from, $to)
        } else if len >= 4 {
            xor_words!(4, $key, $from, $to)
        } else {
            let mut all = 0;
            for i in 0..len {
                let byte = $from[i] ^ $key.to_le_bytes()[i];
                all |= byte;
                $to[i] = byte;
            }
            all < 0x80
        }
    }};
}

/// XORs in place.
#[inline]
pub(super) fn xor(key: u32, data: &mut [u8]) -> bool {
    xor_short!(key, data, data)
}

/// XORs while copying. Both have one length.
#[inline]
pub(super) fn xor_copy(key: u32, from: &[u8], to: &mut [u8]) -> bool {
    xor_short!(key, from, to)
}

#[inline(always)]
fn xor_word<const N: usize>(mut word: [u8; N], key: u32) -> [u8; N] {
    let key = key.to_le_bytes();
    for (i, byte) in word.iter_mut().enumerate() {
        *byte ^= key[i % 4];
    }
    word
}

#[inline(always)]
fn is_ascii<const N: usize>(word: [u8; N]) -> bool {
    let (words, _) = word.as_chunks::<4>();
    words.iter().fold(0, |all, word| all | u32::from_le_bytes(*word)) & TOP_BITS == 0
}
