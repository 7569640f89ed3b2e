//! Digests of whole blocks, sixteen at a time if the processor has vectors of sixteen words. That is faster than the
//! processor's SHA-256 instructions, because each of these must wait for the one before it.

use super::{BLOCK_LEN, DIGEST};
use sha2::Digest;

/// The SHA-256 of each block of 4096 bytes in `blocks`, into `digests`, 32 bytes each.
pub(super) fn digests(blocks: &[u8], digests: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    let done = vectors(blocks, digests);
    #[cfg(not(target_arch = "x86_64"))]
    let done = 0;
    let rest = blocks.chunks_exact(BLOCK_LEN).zip(digests.chunks_exact_mut(DIGEST)).skip(done);
    rest.for_each(|(block, digest)| digest.copy_from_slice(&sha2::Sha256::digest(block)));
}

/// Digests the blocks that fill whole vectors, and returns their number.
#[cfg(target_arch = "x86_64")]
fn vectors(blocks: &[u8], digests: &mut [u8]) -> usize {
    use avx512::LANES;
    if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")) {
        return 0;
    }
    let mut done = 0;
    for (blocks, digests) in blocks.chunks_exact(LANES * BLOCK_LEN).zip(digests.chunks_exact_mut(LANES * DIGEST)) {
        #[expect(unsafe_code, reason = "the only way to instructions that not every processor has")]
        // SAFETY: the processor has the features that the function is compiled for; it asks for nothing else.
        let words = unsafe { avx512::digests(blocks) };
        for (number, word) in words.iter().enumerate() {
            for (lane, word) in word.iter().enumerate() {
                let at = lane * DIGEST + number * 4;
                digests[at..at + 4].copy_from_slice(&word.to_be_bytes());
            }
        }
        done += LANES;
    }
    done
}

/// FIPS 180-4, each vector holding the same word of sixteen messages.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::BLOCK_LEN;
    use std::{
        arch::x86_64::{
            __m512i, _mm512_add_epi32, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shuffle_epi8,
            _mm512_shuffle_i32x4, _mm512_srli_epi32, _mm512_ternarylogic_epi32, _mm512_unpackhi_epi32,
            _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
        },
        array,
        mem::transmute,
    };

    /// Number of messages.
    pub(super) const LANES: usize = 16;
    /// Bytes of a message that one compression takes.
    const CHUNK: usize = 64;

    const START: [u32; 8] =
        [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2,
    ];

    /// Length of a message.
    const BITS: u32 = 8 * 4096;

    /// Truth tables of three bits.
    const XOR: i32 = 0b1001_0110;
    const CHOOSE: i32 = 0b1100_1010;
    const MAJORITY: i32 = 0b1110_1000;

    /// Reverses the bytes of each word; positions count within 16 bytes.
    const BIG_ENDIAN: [u8; CHUNK] = {
        let (row, mut out, mut at) = ([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12], [0; CHUNK], 0);
        while at < CHUNK {
            out[at] = row[at % 16];
            at += 1;
        }
        out
    };

    type State = [__m512i; 8];

    /// Digests of [`LANES`] messages of [`BLOCK_LEN`] bytes, which are one after the other in `blocks`. The result has, for each
    /// of the eight words of a digest, that word of every message.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn digests(blocks: &[u8]) -> [[u32; LANES]; 8] {
        let mut state = START.map(|word| broadcast(word));
        for at in (0..BLOCK_LEN).step_by(CHUNK) {
            let rows = array::from_fn(|lane| load(&blocks[lane * BLOCK_LEN + at..][..CHUNK]));
            compress(&mut state, transpose(rows));
        }
        // The padding of every message: a one bit, zeros, and the length in bits.
        let mut padding = [_mm512_setzero_si512(); 16];
        padding[0] = broadcast(1 << 31);
        padding[15] = broadcast(BITS);
        compress(&mut state, padding);
        state.map(words)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn compress(state: &mut State, mut w: [__m512i; 16]) {
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        macro_rules! round {
            ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k:expr, $at:literal) => {
                let choice = _mm512_ternarylogic_epi32::<CHOOSE>($e, $f, $g);
                let sum = add(add($h, add(w[$at], broadcast($k[$at]))), add(rotations::<6, 11, 25>($e), choice));
                $d = add($d, sum);
                let majority = _mm512_ternarylogic_epi32::<MAJORITY>($a, $b, $c);
                $h = add(sum, add(rotations::<2, 13, 22>($a), majority));
            };
        }
        macro_rules! next_word {
            ($($at:literal)*) => {$(
                let small = add(shifted::<7, 18, 3>(w[($at + 1) % 16]), shifted::<17, 19, 10>(w[($at + 14) % 16]));
                w[$at] = add(add(w[$at], w[($at + 9) % 16]), small);
            )*};
        }
        for (number, k) in K.as_chunks::<16>().0.iter().enumerate() {
            if number > 0 {
                next_word!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            }
            round!(a b c d e f g h, k, 0);
            round!(h a b c d e f g, k, 1);
            round!(g h a b c d e f, k, 2);
            round!(f g h a b c d e, k, 3);
            round!(e f g h a b c d, k, 4);
            round!(d e f g h a b c, k, 5);
            round!(c d e f g h a b, k, 6);
            round!(b c d e f g h a, k, 7);
            round!(a b c d e f g h, k, 8);
            round!(h a b c d e f g, k, 9);
            round!(g h a b c d e f, k, 10);
            round!(f g h a b c d e, k, 11);
            round!(e f g h a b c d, k, 12);
            round!(d e f g h a b c, k, 13);
            round!(c d e f g h a b, k, 14);
            round!(b c d e f g h a, k, 15);
        }
        for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = add(*word, new);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn rotations<const A: i32, const B: i32, const C: i32>(x: __m512i) -> __m512i {
        let [a, b, c] = [_mm512_ror_epi32::<A>(x), _mm512_ror_epi32::<B>(x), _mm512_ror_epi32::<C>(x)];
        _mm512_ternarylogic_epi32::<XOR>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn shifted<const A: i32, const B: i32, const SHIFT: u32>(x: __m512i) -> __m512i {
        let [a, b, c] = [_mm512_ror_epi32::<A>(x), _mm512_ror_epi32::<B>(x), _mm512_srli_epi32::<SHIFT>(x)];
        _mm512_ternarylogic_epi32::<XOR>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn broadcast(word: u32) -> __m512i {
        _mm512_set1_epi32(word.cast_signed())
    }

    /// From sixteen words of each message to each word of sixteen messages.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn transpose(rows: [__m512i; 16]) -> [__m512i; 16] {
        let mut half = rows;
        for (out, rows) in half.as_chunks_mut::<4>().0.iter_mut().zip(rows.as_chunks::<4>().0) {
            let low = [_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpacklo_epi32(rows[2], rows[3])];
            let high = [_mm512_unpackhi_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[2], rows[3])];
            *out = [
                _mm512_unpacklo_epi64(low[0], low[1]),
                _mm512_unpackhi_epi64(low[0], low[1]),
                _mm512_unpacklo_epi64(high[0], high[1]),
                _mm512_unpackhi_epi64(high[0], high[1]),
            ];
        }
        // half[4 * g + n] has words n, 4 + n, 8 + n, 12 + n of the messages of group g.
        let mut words = half;
        for n in 0..4 {
            let [x, y] = [(half[n], half[4 + n]), (half[8 + n], half[12 + n])];
            let (x_even, x_odd) = (_mm512_shuffle_i32x4::<0x88>(x.0, x.1), _mm512_shuffle_i32x4::<0xdd>(x.0, x.1));
            let (y_even, y_odd) = (_mm512_shuffle_i32x4::<0x88>(y.0, y.1), _mm512_shuffle_i32x4::<0xdd>(y.0, y.1));
            words[n] = _mm512_shuffle_i32x4::<0x88>(x_even, y_even);
            words[8 + n] = _mm512_shuffle_i32x4::<0xdd>(x_even, y_even);
            words[4 + n] = _mm512_shuffle_i32x4::<0x88>(x_odd, y_odd);
            words[12 + n] = _mm512_shuffle_i32x4::<0xdd>(x_odd, y_odd);
        }
        words
    }

    /// Sixteen big-endian words.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load(chunk: &[u8]) -> __m512i {
        let mut bytes = [0; CHUNK];
        bytes.copy_from_slice(chunk);
        _mm512_shuffle_epi8(vector(bytes), vector(BIG_ENDIAN))
    }

    #[inline]
    fn vector(bytes: [u8; CHUNK]) -> __m512i {
        #[expect(unsafe_code, reason = "vectors have no other way in")]
        // SAFETY: both are 64 bytes, and any bytes are a vector.
        unsafe {
            transmute(bytes)
        }
    }

    #[inline]
    fn words(vector: __m512i) -> [u32; LANES] {
        #[expect(unsafe_code, reason = "vectors have no other way out")]
        // SAFETY: both are 64 bytes, and any bytes are words.
        unsafe {
            transmute(vector)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_give_what_one_by_one_gives() {
        let count = 35;
        let byte = |at: usize| at.wrapping_mul(2_654_435_761).to_le_bytes()[3];
        let blocks: Vec<u8> = (0..count * BLOCK_LEN).map(byte).collect();
        for count in [0, 1, 15, 16, 17, 32, count] {
            let mut found = vec![0; count * DIGEST];
            digests(&blocks[..count * BLOCK_LEN], &mut found);
            let wanted = blocks.chunks_exact(BLOCK_LEN).take(count).flat_map(sha2::Sha256::digest);
            assert!(wanted.eq(found), "{count}");
        }
    }
}
