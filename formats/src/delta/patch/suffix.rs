//! Finds the longest equal piece in other bytes with a suffix array.

use libsais::{LibsaisError, SuffixArrayConstruction};

/// Pairs of bytes.
const PAIRS: usize = 1 << 16;

/// Bytes with all their suffixes in order.
pub(super) struct Suffixes<'a> {
    text: &'a [u8],
    sorted: Vec<i32>,
    /// For each pair of bytes: where in `sorted` the suffixes that begin with this pair begin. The last element is their end.
    pairs: Vec<u32>,
}

impl<'a> Suffixes<'a> {
    /// Sorts the suffixes of less than 2 GiB of bytes. Takes four bytes of memory for each.
    pub(super) fn new(text: &'a [u8]) -> Result<Self, LibsaisError> {
        let sorted = SuffixArrayConstruction::for_text(text).in_owned_buffer32().single_threaded().run()?.into_vec();
        let mut pairs = vec![0; PAIRS + 1];
        for pair in text.windows(2) {
            pairs[usize::from(u16::from_be_bytes([pair[0], pair[1]])) + 1] += 1;
        }
        // The suffix that is a single byte comes before all others that begin with that byte.
        if let Some(last) = text.last() {
            pairs[usize::from(*last) << 8] += 1;
        }
        let mut sum = 0;
        for start in &mut pairs {
            sum += *start;
            *start = sum;
        }
        Ok(Self { text, sorted, pairs })
    }

    /// Length and place of the longest beginning of `wanted`, which has two bytes at least.
    pub(super) fn longest(&self, wanted: &[u8]) -> (usize, usize) {
        let &[first, second, ..] = wanted else { return (0, 0) };
        let pair = usize::from(u16::from_be_bytes([first, second]));
        let at = |index: usize| usize::try_from(self.sorted[index]).unwrap_or_default();
        let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (mut low, mut high) = (index(self.pairs[pair]), index(self.pairs[pair + 1]));
        // The next pair's begin. Its first byte may be the last byte of all.
        if second == u8::MAX && self.text.last().is_some_and(|last| first.checked_add(1) == Some(*last)) {
            high -= 1;
        }
        let (mut best, mut place) = (0, 0);
        // Lower bounds of the bytes that the suffixes before `low` and from `high` on have in common with `wanted`.
        let (mut common_low, mut common_high) = (0, 0);
        while low < high {
            let middle = low + (high - low) / 2;
            let (start, skip) = (at(middle), common_low.min(common_high));
            let suffix = &self.text[start..];
            let len = skip + common(&suffix[skip.min(suffix.len())..], &wanted[skip..]);
            if len > best {
                (best, place) = (len, start);
            }
            // A suffix that ends is less than a longer one.
            let less = match (suffix.get(len), wanted.get(len)) {
                (_, None) => return (best, place),
                (None, _) => true,
                (Some(found), Some(wanted)) => found < wanted,
            };
            if less {
                (low, common_low) = (middle + 1, len);
            } else {
                (high, common_high) = (middle, len);
            }
        }
        (best, place)
    }
}

/// Number of equal bytes at the beginning of both.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let whole = a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0).take_while(|(a, b)| a == b).count() * 16;
    whole + a[whole..].iter().zip(&b[whole..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_piece_is_found() {
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..300 {
            // Few values, among them high ones, so that pieces repeat and the ends of the table are reached.
            let (kinds, len) = (1 + random(4), random(60));
            let mut bytes = |len: u32| (0..len).map(|_| 255 - u8::try_from(random(kinds)).unwrap()).collect::<Vec<_>>();
            let (text, wanted) = (bytes(len), bytes(20));
            let (found, place) = Suffixes::new(&text).unwrap().longest(&wanted);
            let longest = (0..text.len()).map(|at| common(&text[at..], &wanted)).max().unwrap_or(0);
            let least = if longest < 2 { 0 } else { longest };
            assert!((least..=longest).contains(&found), "{found}, not {longest}: {text:?} {wanted:?}");
            assert!(found == 0 || common(&text[place..], &wanted) >= found);
        }
    }
}
