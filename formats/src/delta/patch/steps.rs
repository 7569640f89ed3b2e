//! The steps that make a segment of the new bytes.

use super::{diff, suffix::common};
use libsais::LibsaisError;

/// One step: copies old bytes from `from` on, then old bytes with differences, then adds new bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Offset in the old image.
    pub(super) from: u64,
    /// Bytes that are the same.
    pub(super) copy: u64,
    /// Bytes after those, to each of which a difference is added.
    pub(super) add: u64,
    /// Bytes that are new.
    pub(super) put: u64,
}

/// Steps, with their differences and new bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    /// Differences: new byte minus old byte.
    pub(super) differences: Vec<u8>,
    /// Bytes that are new.
    pub(super) bytes: Vec<u8>,
}

impl Step {
    /// Offset in the old image at which the last step ends.
    pub(super) fn end(&self) -> u64 {
        self.from + self.copy + self.add
    }
}

/// Number of equal bytes from which on a step of its own is made. Fewer are stored as differences of 0, which compress better
/// than steps. A patch release of openssl has 219, 214, 188, 182 and 184 KB with 16, 32, 128, 512 and 2048.
const RUN: usize = 512;

/// `old` begins at byte `start` of the old image.
pub(super) fn between(old: &[u8], start: u64, new: &[u8]) -> Result<Steps, LibsaisError> {
    let mut made = Steps::default();
    let mut at = 0;
    for found in diff::matches(old, new)? {
        made.put(&new[at..found.new]);
        made.near(&old[found.old..][..found.len], start + found.old as u64, &new[found.new..][..found.len]);
        at = found.new + found.len;
    }
    made.put(&new[at..]);
    Ok(made)
}

impl Steps {
    /// What follows.
    pub(super) fn append(&mut self, mut more: Self) {
        self.steps.append(&mut more.steps);
        self.differences.append(&mut more.differences);
        self.bytes.append(&mut more.bytes);
    }

    /// New bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes.extend(bytes);
        match self.steps.last_mut() {
            Some(step) => step.put += bytes.len() as u64,
            None => self.steps.push(Step { put: bytes.len() as u64, ..Step::default() }),
        }
    }

    /// Adds bytes most of which are the same.
    fn near(&mut self, old: &[u8], from: u64, new: &[u8]) {
        let mut step = Step { from, ..Step::default() };
        let mut at = 0;
        while at < new.len() {
            let same = common(&old[at..], &new[at..]);
            if same >= RUN || (same > 0 && at + same == new.len()) || step.add == 0 {
                if step.add > 0 {
                    let next = step.end();
                    self.steps.push(step);
                    step = Step { from: next, ..Step::default() };
                }
                step.copy += same as u64;
            } else {
                self.differences.extend(std::iter::repeat_n(0, same));
                step.add += same as u64;
            }
            at += same;
            if at < new.len() {
                self.differences.push(new[at].wrapping_sub(old[at]));
                step.add += 1;
                at += 1;
            }
        }
        self.steps.push(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies the steps, as a host does.
    fn applied(old: &[u8], start: u64, made: &Steps) -> Vec<u8> {
        let (mut out, mut differences, mut bytes) = (Vec::new(), made.differences.iter(), made.bytes.iter());
        let size = |len: u64| usize::try_from(len).unwrap();
        for step in &made.steps {
            let copy = size(step.from.saturating_sub(start));
            let add = copy + size(step.copy);
            out.extend(&old[copy..add]);
            out.extend(
                old[add..].iter().zip(differences.by_ref().take(size(step.add))).map(|(a, b)| a.wrapping_add(*b)),
            );
            out.extend(bytes.by_ref().take(size(step.put)));
        }
        assert_eq!((differences.len(), bytes.len()), (0, 0));
        out
    }

    #[test]
    fn steps_make_the_new_bytes_whatever_they_are() {
        let mut state = 7_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(state >> 8).unwrap() % below
        };
        for round in 0..400 {
            let (kinds, len) = (1 + random(6) * random(40), random(3000));
            let old: Vec<u8> = (0..len).map(|_| random(kinds).to_le_bytes()[0]).collect();
            let mut new = Vec::new();
            for _ in 0..random(6) {
                // Pieces of the old bytes, some of them with changes, and new bytes.
                let from = random(old.len() + 1);
                let piece = &old[from..from + random(old.len() - from + 1)];
                new.extend(piece.iter().map(|byte| if random(20) == 0 { byte.wrapping_add(3) } else { *byte }));
                new.extend((0..random(100)).map(|_| random(256).to_le_bytes()[0]));
            }
            assert!(applied(&old, 5000, &between(&old, 5000, &new).unwrap()) == new, "round {round}");
        }
    }

    #[test]
    fn a_program_with_other_addresses_is_nearly_the_same() {
        let old: Vec<u8> =
            (0..100_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
        let mut new = old.clone();
        new[40_000..].iter_mut().step_by(80).for_each(|byte| *byte = byte.wrapping_add(8));
        new.splice(90_010..90_010, *b"what is new");
        let made = between(&old, 0, &new).unwrap();
        assert_eq!(made.bytes.len(), 11);
        assert!(made.steps.len() < 5, "{}", made.steps.len());
        assert!(applied(&old, 0, &made) == new);
    }
}
