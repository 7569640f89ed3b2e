//! File attributes, as chattr(1) writes them: the types `h` and `H`. The numbers are those of `include/uapi/linux/fs.h` of Linux.

/// Letter and flag.
const FLAGS: [(char, u32); 15] = [
    ('A', 0x80),
    ('S', 0x8),
    ('D', DIRECTORIES_SYNC),
    ('a', 0x20),
    ('c', 0x4),
    ('d', 0x40),
    ('e', 0x80000),
    ('i', 0x10),
    ('j', 0x4000),
    ('s', 0x1),
    ('u', 0x2),
    ('t', 0x8000),
    ('T', 0x20000),
    ('P', 0x2000_0000),
    ('C', 0x0080_0000),
];
/// Only for directories.
const DIRECTORIES_SYNC: u32 = 0x10000;

/// The flags that a line changes, and their new values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    mask: u32,
    value: u32,
}

impl Attributes {
    /// `+i`, `-aC`, `=`, `A`. `None`: another text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sign, letters) = match text.split_at_checked(1)? {
            (sign @ ("+" | "-" | "="), letters) => (sign, letters),
            _ => ("+", text),
        };
        let flags =
            letters.chars().map(|letter| FLAGS.iter().find(|(known, _)| *known == letter).map(|(_, flag)| flag));
        let flags = flags.sum::<Option<u32>>().filter(|_| is_distinct(letters))?;
        let all = FLAGS.iter().map(|(_, flag)| flag).sum();
        match sign {
            "=" => Some(Self { mask: all, value: flags }),
            _ if flags == 0 => None,
            "-" => Some(Self { mask: flags, value: 0 }),
            _ => Some(Self { mask: flags, value: flags }),
        }
    }

    /// The flags of a path that has the flags `old`.
    #[must_use]
    pub fn applied(self, old: u32, is_dir: bool) -> u32 {
        let value = if is_dir { self.value } else { self.value & !DIRECTORIES_SYNC };
        old & !self.mask | value & self.mask
    }
}

/// The sum of flags is only their union if no letter comes twice.
fn is_distinct(letters: &str) -> bool {
    letters.char_indices().all(|(at, letter)| !letters[..at].contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_added_removed_and_set() {
        let applied = |text: &str, old, is_dir| Attributes::parse(text).map(|it| it.applied(old, is_dir));
        assert_eq!(applied("+iA", 0x4, false), Some(0x94));
        assert_eq!(applied("iA", 0x4, false), Some(0x94));
        assert_eq!(applied("-c", 0x14, false), Some(0x10));
        // The flag of an encrypted file is none of these.
        assert_eq!(applied("=a", 0x894, false), Some(0x820));
        assert_eq!(applied("=", 0x14, false), Some(0));
        assert_eq!((applied("+D", 0, false), applied("+D", 0, true)), (Some(0), Some(0x10000)));
        for wrong in ["", "+", "-", "+q", "ii", "i+a"] {
            assert_eq!(Attributes::parse(wrong), None, "{wrong}");
        }
    }
}
