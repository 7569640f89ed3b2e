//! The superblock, and the places of the tree's levels.

use super::{BLOCK, FANOUT};

const SIGNATURE: [u8; 8] = *b"verity\0\0";
const ALGORITHM: &[u8] = b"sha256";
/// Bytes of a superblock; the rest of its block is not used.
const LEN: usize = 512;
const SALT: usize = 88;
const SALT_MAX: usize = 256;

/// The fields of a superblock that differ between trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// UUID of the tree.
    pub uuid: [u8; 16],
    /// Blocks of data under the tree, at least 1.
    pub data_blocks: u64,
    /// Bytes that are hashed before each block, up to 256. Trees that are built here have none.
    pub salt: Vec<u8>,
}

/// A superblock that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("verity superblock: {field}: expected {wanted}, found {found}")]
pub struct BadSuperblock {
    /// The field's name.
    pub field: &'static str,
    /// The value expected.
    pub wanted: &'static str,
    /// What it is.
    pub found: String,
}

/// A level of the tree on the hash device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Byte offset of its first block.
    pub offset: u64,
    /// Number of its blocks.
    pub blocks: u64,
}

impl Superblock {
    /// Reads a superblock from the first bytes of a hash device, 512 or more.
    ///
    /// # Errors
    /// It is not a superblock, or not of version 1 with SHA-256 and blocks of 4096 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSuperblock> {
        let Some(raw) = bytes.first_chunk::<LEN>() else {
            return Err(BadSuperblock { field: "length", wanted: "512 bytes", found: bytes.len().to_string() });
        };
        let check = |field, wanted, good: bool, found: &dyn Fn() -> String| match good {
            true => Ok(()),
            false => Err(BadSuperblock { field, wanted, found: found() }),
        };
        check("signature", "verity", raw[..8] == SIGNATURE, &|| raw[..8].escape_ascii().to_string())?;
        let fields = [("version", "1", 8, 1), ("hash_type", "1", 12, 1)];
        let sizes = [("data_block_size", "4096", 64, 4096), ("hash_block_size", "4096", 68, 4096)];
        for (field, wanted, at, value) in fields.into_iter().chain(sizes) {
            check(field, wanted, u32_at(raw, at) == value, &|| u32_at(raw, at).to_string())?;
        }
        let algorithm = raw[32..64].split(|byte| *byte == 0).next().unwrap_or_default();
        check("algorithm", "sha256", algorithm == ALGORITHM, &|| algorithm.escape_ascii().to_string())?;
        let data_blocks = u64::from(u32_at(raw, 72)) | u64::from(u32_at(raw, 76)) << 32;
        let possible = (1..=i64::MAX.unsigned_abs() / BLOCK).contains(&data_blocks);
        check("data_blocks", "1 to 2^51", possible, &|| data_blocks.to_string())?;
        let salt_len = usize::from(u16::from_le_bytes([raw[80], raw[81]]));
        check("salt_size", "at most 256", salt_len <= SALT_MAX, &|| salt_len.to_string())?;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&raw[16..32]);
        Ok(Self { uuid, data_blocks, salt: raw[SALT..SALT + salt_len].to_vec() })
    }

    /// The bytes at the beginning of a hash device. A salt of more than 256 bytes is cut.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut raw = [0; LEN];
        let mut put = |at: usize, bytes: &[u8]| raw[at..at + bytes.len()].copy_from_slice(bytes);
        let salt = &self.salt[..self.salt.len().min(SALT_MAX)];
        put(0, &SIGNATURE);
        put(8, &1_u32.to_le_bytes());
        put(12, &1_u32.to_le_bytes());
        put(16, &self.uuid);
        put(32, ALGORITHM);
        put(64, &4096_u32.to_le_bytes());
        put(68, &4096_u32.to_le_bytes());
        put(72, &self.data_blocks.to_le_bytes());
        put(80, &u16::try_from(salt.len()).unwrap_or_default().to_le_bytes());
        put(SALT, salt);
        raw
    }

    /// The levels from the leaves up. The last level is a single block, the top. Empty if there is only one data block.
    #[must_use]
    pub fn levels(&self) -> Vec<Level> {
        let mut levels: Vec<_> = level_blocks(self.data_blocks).map(|blocks| Level { offset: 0, blocks }).collect();
        // On the device the top comes first, after the superblock.
        let mut offset = BLOCK;
        for level in levels.iter_mut().rev() {
            level.offset = offset;
            offset += level.blocks * BLOCK;
        }
        levels
    }

    /// Bytes of the hash device: superblock and all levels.
    #[must_use]
    pub fn tree_size(&self) -> u64 {
        tree_size(self.data_blocks)
    }

    /// Bytes of the data device.
    #[must_use]
    pub fn data_size(&self) -> u64 {
        self.data_blocks * BLOCK
    }
}

/// Bytes of a hash device for this many data blocks: superblock and all levels.
#[must_use]
pub fn tree_size(data_blocks: u64) -> u64 {
    BLOCK + level_blocks(data_blocks).sum::<u64>() * BLOCK
}

/// Blocks of each level, from the leaves up.
fn level_blocks(data_blocks: u64) -> impl Iterator<Item = u64> {
    let above = |below: u64| (below > 1).then(|| below.div_ceil(FANOUT as u64));
    std::iter::successors(above(data_blocks), move |blocks| above(*blocks))
}

fn u32_at(raw: &[u8; LEN], at: usize) -> u32 {
    u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data_blocks: u64) -> Superblock {
        Superblock { uuid: [7; 16], data_blocks, salt: vec![1, 2, 3] }
    }

    #[test]
    fn levels_are_those_of_the_kernel() {
        for (data_blocks, leaves_first) in [
            (1, &[][..]),
            (2, &[1]),
            (128, &[1]),
            (129, &[2, 1]),
            (16_384, &[128, 1]),
            (16_385, &[129, 2, 1]),
            (i64::MAX as u64 / BLOCK, &[1 << 44, 1 << 37, 1 << 30, 1 << 23, 1 << 16, 512, 4, 1]),
        ] {
            let levels = of(data_blocks).levels();
            assert!(levels.iter().map(|level| level.blocks).eq(leaves_first.iter().copied()), "{data_blocks}");
            let mut end = BLOCK;
            for level in levels.iter().rev() {
                assert_eq!(level.offset, end);
                end += level.blocks * BLOCK;
            }
            assert_eq!(of(data_blocks).tree_size(), end);
        }
    }

    #[test]
    fn superblocks_read_as_written_and_others_are_refused_by_name() {
        let superblock = of(99);
        let bytes = superblock.to_bytes();
        assert_eq!(Superblock::parse(&bytes).unwrap(), superblock);
        assert_eq!(Superblock::parse(&bytes[..511]).unwrap_err().field, "length");
        for (at, field) in [
            (0, "signature"),
            (8, "version"),
            (15, "hash_type"),
            (38, "algorithm"),
            (65, "data_block_size"),
            (68, "hash_block_size"),
            (79, "data_blocks"),
            (81, "salt_size"),
        ] {
            let mut bad = bytes;
            bad[at] = 0x55;
            assert_eq!(Superblock::parse(&bad).unwrap_err().field, field);
        }
        assert_eq!(Superblock::parse(&of(0).to_bytes()).unwrap_err().field, "data_blocks");
    }
}
