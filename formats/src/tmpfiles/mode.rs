//! The field "mode".

/// Permission bits, and when they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// At most 0o7777.
    pub bits: u16,
    /// `~` before them: [`Self::applied`] masks them with the bits that the path has now.
    pub masked: bool,
    /// `:` before them: only for a path that the line creates.
    pub only_new: bool,
}

impl Mode {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_start_matches(['~', ':']);
        let prefix = &text[..text.len() - digits.len()];
        let valid = digits.starts_with(|c: char| c.is_digit(8));
        let bits = u16::from_str_radix(digits, 8).ok().filter(|bits| valid && *bits <= 0o7777)?;
        Some(Self { bits, masked: prefix.contains('~'), only_new: prefix.contains(':') })
    }

    /// The bits for a path that has the bits `current`. If masked: execute, write or read permission is given to nobody if
    /// nobody has it now, and setuid, setgid and sticky are given only to directories.
    #[must_use]
    pub fn applied(self, current: u16, is_directory: bool) -> u16 {
        let mut bits = self.bits;
        if self.masked {
            for kind in [0o111, 0o222, 0o444] {
                if current & kind == 0 {
                    bits &= !kind;
                }
            }
            if !is_directory {
                bits &= 0o777;
            }
        }
        bits
    }
}
