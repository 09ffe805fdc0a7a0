//! What benchmarks call 100 %: every aligned register of a buffer read, turned over and written
//! back, without a key, a head or a tail. It shares nothing with the bodies that it judges.
#![allow(unsafe_code)]
#![doc(hidden)]

/// Bytes of the blocks that are touched; what lies outside whole blocks is left alone.
pub const BLOCK: usize = 256;

/// Inverts each whole block of `data` with the widest registers of this CPU.
pub fn invert(data: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        let (_, blocks, _) = aligned(data);
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has AVX-512 F.
            return unsafe { x86::invert_avx512(blocks) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2.
            return unsafe { x86::invert_avx2(blocks) };
        }
    }
    let (_, blocks, _) = aligned(data);
    for block in blocks {
        for byte in &mut block.0 {
            *byte = !*byte;
        }
    }
}

/// A block where registers of 64 bytes may be stored aligned.
#[repr(align(64))]
struct Block([u8; BLOCK]);

fn aligned(data: &mut [u8]) -> (&mut [u8], &mut [Block], &mut [u8]) {
    // SAFETY: a block is bytes without padding, and any bytes make one.
    unsafe { data.align_to_mut() }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(clippy::wildcard_imports, clippy::cast_ptr_alignment)]

    use std::arch::x86_64::*;

    use super::{BLOCK, Block};

    #[target_feature(enable = "avx512f")]
    pub(super) fn invert_avx512(blocks: &mut [Block]) {
        let ones = _mm512_set1_epi8(-1);
        for block in blocks {
            let registers = block.0.as_mut_ptr().cast::<__m512i>();
            for i in 0..BLOCK / 64 {
                // SAFETY: the i-th register of an aligned block.
                unsafe {
                    let at = registers.add(i);
                    _mm512_store_si512(at, _mm512_xor_si512(_mm512_load_si512(at), ones));
                }
            }
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn invert_avx2(blocks: &mut [Block]) {
        let ones = _mm256_set1_epi8(-1);
        for block in blocks {
            let registers = block.0.as_mut_ptr().cast::<__m256i>();
            for i in 0..BLOCK / 32 {
                // SAFETY: the i-th register of an aligned block.
                unsafe {
                    let at = registers.add(i);
                    _mm256_store_si256(at, _mm256_xor_si256(_mm256_load_si256(at), ones));
                }
            }
        }
    }
}
