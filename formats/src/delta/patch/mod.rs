//! A static delta: one file that makes a version's root file system and unified kernel image out of those of an older version.
//! The format is our own.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `berthdlt` |
//! | 4 | version, 1 |
//! | 4 | 0 |
//! | 8 each | lengths: old and new root file system, old and new unified kernel image |
//! | rest | an .xz stream (one block, LZMA2, no check) of sections |
//!
//! Numbers are little endian. The sections of the root file system come first, then those of the kernel image. In order, they
//! make each of the two from its first byte to its last. A section:
//!
//! | bytes | what |
//! |---|---|
//! | 4 each | lengths of the three following parts; together at most 1 MiB |
//! | | steps: four numbers (LEB128) each: `seek` (zigzag), `copy`, `add`, `put` |
//! | | differences |
//! | | new bytes |
//!
//! A step begins in the old bytes `seek` bytes after the end of the last step. It copies `copy` old bytes, then copies `add` old
//! bytes with a difference added to each, then adds `put` new bytes. Each section holds exactly what its steps need, so that
//! a delta can be applied while it is downloaded.

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

/// Lengths in bytes of the files of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Old root file system.
    pub old_root: u64,
    /// New root file system.
    pub new_root: u64,
    /// Old unified kernel image.
    pub old_uki: u64,
    /// New unified kernel image.
    pub new_uki: u64,
}

/// Largest kernel image, in bytes.
pub const MAX_UKI: u64 = 1 << 30;

const MAGIC: [u8; 8] = *b"berthdlt";
const VERSION: u32 = 1;
const HEADER: usize = 48;
/// Largest section without its lengths, in bytes.
const SECTION: usize = 1 << 20;
/// Dictionary of the xz stream, in bytes: memory that a host needs.
const DICTIONARY: u32 = 16 << 20;

impl Lengths {
    fn to_bytes(self) -> Vec<u8> {
        let mut out = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &[0; 4]].concat();
        out.extend([self.old_root, self.new_root, self.old_uki, self.new_uki].iter().flat_map(|len| len.to_le_bytes()));
        out
    }
}
