//! dm-verity: a tree of SHA-256 digests over a file system, and the superblock that describes it.
//!
//! Kernel: Documentation/admin-guide/device-mapper/verity.rst; superblock: cryptsetup's wiki, "DMVerity", version 1.
//! Data and hash blocks of 4096 bytes, hash type 1 (the salt comes first). What is built here has no salt, so that a
//! digest in the tree is the plain SHA-256 of a block and says which blocks two versions share; trees with a salt are read.
//!
//! The hash device holds the superblock in block 0, then the levels, the top one (a single block) first. The root hash
//! is the digest of the top block. A data device of one block has no levels: the root hash is its digest.

mod blocks;
mod file_digest;
mod stream;
mod superblock;
mod table;
mod tree;
mod verify;

pub use file_digest::file_digest;
pub use stream::{TreeWriter, block_digests};
pub use superblock::{BadSuperblock, Level, Superblock};
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
/// Where the top block lies on the hash device: behind the superblock.
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
    /// What the system says.
    #[source]
    pub cause: io::Error,
}

impl IoError {
    fn of(verb: &'static str, device: &'static str, offset: u64) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { verb, device, offset, cause }
    }
}

/// The root hash of a tree, from its superblock and the block at [`TOP_BLOCK_OFFSET`] alone. Whether the rest of the
/// tree belongs to it is for the kernel to find out, block by block.
///
/// A data device of one block has no hash block: give that data block.
#[must_use]
pub fn root_hash_of(superblock: &Superblock, top_block: &[u8; BLOCK_LEN]) -> RootHash {
    RootHash(Sha256(superblock.digest(top_block)))
}

impl Superblock {
    /// Of a tree over `len` bytes, without UUID and salt.
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
