//! A reader of untrusted bytes, and a short run with random bytes for the normal tests.
#![allow(dead_code, reason = "the fuzz target does not use the short run")]

/// One reader.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Its name.
    pub(crate) name: &'static str,
    /// Valid inputs, from which others are made.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Reads any bytes. It must not panic, nor hang.
    pub(crate) read: fn(&[u8]),
}

/// Gives a reader its seeds, every beginning of them, `rounds` changed seeds, and `rounds` random inputs.
pub(crate) fn smoke(reader: &Reader, rounds: u32) {
    let (seeds, mut chance) = ((reader.seeds)(), Chance(0x5eed));
    for seed in &seeds {
        (0..=seed.len()).for_each(|end| (reader.read)(&seed[..end]));
    }
    for _ in 0..rounds {
        let mut bytes = seeds[chance.below(seeds.len())].clone();
        for _ in 0..=chance.below(4) {
            change(&mut bytes, &mut chance);
        }
        (reader.read)(&bytes);
        let random: Vec<u8> = (0..chance.below(400)).map(|_| chance.byte()).collect();
        (reader.read)(&random);
    }
}

fn change(bytes: &mut Vec<u8>, chance: &mut Chance) {
    if bytes.is_empty() {
        return bytes.push(chance.byte());
    }
    let at = chance.below(bytes.len());
    match chance.below(5) {
        0 => bytes[at] = chance.byte(),
        1 => bytes[at] ^= 1 << chance.below(8),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, chance.byte()),
        _ => {
            let part = bytes[at..].to_vec();
            bytes.extend(part);
        }
    }
}

/// splitmix64, always with the same start: a failure is repeatable.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
