//! dm-verity: a tree of SHA-256 digests over a file system, and the superblock that describes it.
//!
//! <https://docs.kernel.org/admin-guide/device-mapper/verity.html>; superblock, version 1:
//! <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>.
//!
//! Data and hash blocks have 4096 bytes; the hash type is 1 (the salt comes first). Trees that are built here have no salt,
//! so that a digest in the tree is the plain SHA-256 of a block and tells which blocks two versions have in common. Trees
//! with a salt can be read.
//!
//! The hash device holds the superblock in block 0, then the levels. The top level, a single block, is first. The root hash
//! is the digest of the top block. A data device of one block has no levels: the root hash is its digest.

mod blocks;
mod file_digest;
pub mod show;
mod stream;
mod superblock;
mod survey;
mod table;
mod tree;
mod verify;

pub use file_digest::file_digest;
pub use stream::{TreeWriter, block_digests};
pub use superblock::{BadSuperblock, Level, Superblock, tree_size};
pub use survey::{Survey, survey};
pub use table::table;
pub use tree::{Tree, build};
pub use verify::{Fault, VerifyError, verify};

use berth_contract::digest::{RootHash, Sha256};
use sha2::Digest;
use std::io;

/// Bytes of a data block, and of a hash block.
pub const BLOCK: u64 = 4096;
const BLOCK_LEN: usize = 4096;
/// Bytes of a digest.
const DIGEST: usize = 32;
/// Digests in a hash block.
const FANOUT: usize = BLOCK_LEN / DIGEST;
/// Offset of the top block on the hash device: after the superblock.
pub const TOP_BLOCK_OFFSET: u64 = BLOCK;

/// A read or write that failed.
#[derive(Debug, thiserror::Error)]
#[error("verity: cannot {verb} {device} at byte {offset}")]
pub struct IoError {
    /// `read` or `write`.
    pub verb: &'static str,
    /// `data` or `hash tree`.
    pub device: &'static str,
    /// Where.
    pub offset: u64,
    /// The cause.
    #[source]
    pub cause: io::Error,
}

impl IoError {
    fn of(verb: &'static str, device: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { verb, device, offset, cause }
    }
}

/// The root hash of a tree, computed from its superblock and the block at [`TOP_BLOCK_OFFSET`] only. The kernel checks the
/// rest of the tree later, block by block.
///
/// A data device of one block has no hash block: pass that data block.
#[must_use]
pub fn root_hash_of(superblock: &Superblock, top_block: &[u8; BLOCK_LEN]) -> RootHash {
    RootHash(Sha256(superblock.digest(top_block)))
}

impl Superblock {
    /// The superblock of a tree over `len` bytes, without UUID and salt.
    fn for_data(len: u64) -> Result<Self, IoError> {
        if len == 0 || !len.is_multiple_of(BLOCK) {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, format!("{len} bytes are not whole blocks"));
            return Err(IoError { verb: "read", device: "data", offset: len, cause });
        }
        Ok(Self { uuid: [0; 16], data_blocks: len / BLOCK, salt: Vec::new() })
    }

    fn digest(&self, block: &[u8]) -> [u8; DIGEST] {
        sha2::Sha256::new().chain_update(&self.salt).chain_update(block).finalize().into()
    }
}
