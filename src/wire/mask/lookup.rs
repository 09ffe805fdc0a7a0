//! The check of Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per Byte"
//! (arXiv 2010.03090), over any vector that can look 16 entries up by nibble.
//!
//! Every wrong pair of bytes is a product of three nibble sets, so three lookups and two ANDs find
//! it. What is left is to see that the second and third byte after a long lead are continuations.
#![allow(unsafe_code)]
#![allow(clippy::inline_always)]

use super::text::Check;
use super::vector::Vector;

/// A vector with the byte shuffles that the check needs.
pub(super) trait Shuffle: Vector {
    /// # Safety
    /// See [`Vector::splat`]; so for every method here.
    unsafe fn byte(byte: u8) -> Self;

    /// The 16 entries, wherever the vector wants them for [`Shuffle::lookup`].
    ///
    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn table(entries: [u8; 16]) -> Self;

    /// The entry of `table` for each byte, which is below 16.
    ///
    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn lookup(self, table: Self) -> Self;

    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn high_nibbles(self) -> Self;

    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn and(self, other: Self) -> Self;

    /// Subtracts, not below zero.
    ///
    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn saturating_sub(self, other: Self) -> Self;

    /// Each byte's predecessors at distance 1, 2 and 3, the first ones from the end of `before`.
    ///
    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn predecessors(self, before: Self) -> [Self; 3];

    /// All zero but for the last four bytes.
    ///
    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn ending(word: u32) -> Self;

    /// # Safety
    /// See [`Shuffle::byte`].
    unsafe fn is_zero(self) -> bool;
}

const ASCII: u16 = 0x00ff;
const CONTINUATION: u16 = 0x0f00;
const LEAD: u16 = 0xf000;
const ANY: u16 = 0xffff;

const fn nibble(n: u16) -> u16 {
    1 << n
}

/// What may not stand side by side (RFC 3629 4): first byte's high nibble, its low nibble, second
/// byte's high nibble, each as a set of 16 bits. Rule k is bit k of the tables.
const RULES: [[u16; 3]; 8] = [
    // A lead without its continuation.
    [LEAD, ANY, ASCII | LEAD],
    // A continuation without a lead.
    [ASCII, ANY, CONTINUATION],
    // C0, C1: two bytes for what fits one.
    [nibble(0xC), nibble(0) | nibble(1), CONTINUATION],
    // E0 80..9F: three bytes for what fits two.
    [nibble(0xE), nibble(0), nibble(8) | nibble(9)],
    // ED A0..BF: a surrogate.
    [nibble(0xE), nibble(0xD), nibble(0xA) | nibble(0xB)],
    // F0 80..8F: four bytes for what fits three; F5..FF: above U+10FFFF.
    [nibble(0xF), ANY ^ 0b11110, nibble(8)],
    // F4 90..BF, F5..FF: above U+10FFFF.
    [nibble(0xF), ANY ^ 0b01111, nibble(9) | nibble(0xA) | nibble(0xB)],
    // Two continuations: wrong unless a longer lead stands before them. The top bit, because that
    // is where the lead's claim is computed.
    [CONTINUATION, ANY, CONTINUATION],
];

const fn table(column: usize) -> [u8; 16] {
    let mut entries = [0; 16];
    let mut rule = 0;
    while rule < 8 {
        let mut n = 0;
        while n < 16 {
            entries[n] |= ((RULES[rule][column] >> n & 1) << rule) as u8;
            n += 1;
        }
        rule += 1;
    }
    entries
}

const FIRST_HIGH: [u8; 16] = table(0);
const FIRST_LOW: [u8; 16] = table(1);
const SECOND_HIGH: [u8; 16] = table(2);

/// The check's state: the register before, and every error seen.
#[derive(Clone, Copy)]
pub(super) struct Lookup<V> {
    before: V,
    errors: V,
}

impl<V: Shuffle> Check for Lookup<V> {
    type V = V;

    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's: the CPU has the instructions.
        unsafe { Self { before: V::byte(0), errors: V::byte(0) } }
    }

    #[inline(always)]
    unsafe fn stand_after(&mut self, before: u32) {
        // SAFETY: as in `new`.
        self.before = unsafe { V::ending(before) };
    }

    #[inline(always)]
    unsafe fn push(&mut self, register: V) {
        // SAFETY: as in `new`.
        unsafe {
            let [first, second, third] = register.predecessors(self.before);
            let pairs = first
                .high_nibbles()
                .lookup(V::table(FIRST_HIGH))
                .and(first.and(V::byte(0x0f)).lookup(V::table(FIRST_LOW)))
                .and(register.high_nibbles().lookup(V::table(SECOND_HIGH)));
            // At least 0x80 two bytes after a lead of three or four, three after one of four.
            let claimed = second
                .saturating_sub(V::byte(0xE0 - 0x80))
                .or(third.saturating_sub(V::byte(0xF0 - 0x80)))
                .and(V::byte(0x80));
            self.errors = self.errors.or(pairs.xor(claimed));
            self.before = register;
        }
    }

    #[inline(always)]
    unsafe fn failed(self) -> bool {
        // SAFETY: as in `new`.
        unsafe { !self.errors.is_zero() }
    }
}
