//! A static delta: one file that makes a version's root file system and unified kernel image out of an older version's.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `berthdlt` |
//! | 4 | version, 1 |
//! | 4 | 0 |
//! | 8 each | lengths: old and new root file system, old and new unified kernel image |
//! | rest | an .xz stream (one block, LZMA2, no check) of sections |
//!
//! Numbers are little endian. The sections of the root file system come first, then those of the kernel image; together
//! they make each from its first byte to its last. A section:
//!
//! | bytes | what |
//! |---|---|
//! | 4 each | lengths of the three that follow; together at most 1 MiB |
//! | | steps: four numbers (LEB128) each: `seek` (zigzag), `copy`, `add`, `put` |
//! | | differences |
//! | | new bytes |
//!
//! A step goes on in the old bytes where the last one ended, `seek` bytes further. It copies `copy` of them, takes `add` more
//! with a difference added to each, and puts `put` new bytes behind. Each section has all that its steps need and nothing
//! else, so that a delta can be applied while it comes in, whoever made it.

mod apply;
mod diff;
mod error;
mod make;
mod segments;
mod steps;
mod suffix;

pub use apply::{ApplyError, Delta, KernelDelta, ReadAt};
pub use error::MakeError;
pub use make::make;

/// Lengths in bytes of what a delta is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Root file system that is needed.
    pub old_root: u64,
    /// Root file system that is made.
    pub new_root: u64,
    /// Unified kernel image that is needed.
    pub old_uki: u64,
    /// Unified kernel image that is made.
    pub new_uki: u64,
}

/// Largest kernel image, in bytes.
pub const MAX_UKI: u64 = 1 << 30;

const MAGIC: [u8; 8] = *b"berthdlt";
const VERSION: u32 = 1;
const HEADER: usize = 48;
/// Bytes of a section without its lengths, at most.
const SECTION: usize = 1 << 20;
/// Bytes that a host must have for what was unpacked last.
const DICTIONARY: u32 = 16 << 20;

impl Lengths {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &[0; 4]].concat();
        out.extend([self.old_root, self.new_root, self.old_uki, self.new_uki].iter().flat_map(|len| len.to_le_bytes()));
        out
    }
}
