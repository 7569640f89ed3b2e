//! The block index of an image: which piece of the chunks file holds each of its 4 KiB blocks, and what a host needs to find
//! the blocks that it has already. The format is our own.
//!
//! All numbers are little endian. There is no checksum: a release's targets are signed with length and digest.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `berthidx` |
//! | 4 | version, 2 |
//! | 4 | number of chunks |
//! | 8 | number of blocks |
//! | 4 | blocks of the prefix |
//! | 4 | blocks of a group |
//! | 20 each | chunk: compressed length (3), number of blocks less one (1), the first 16 bytes of the compressed bytes' SHA-256 |
//! | 20 each | run of 32 blocks (the last one has the remaining blocks): key (4) and digest (16) of its marks, see [`Run`] |
//!
//! Chunks cover the image from the first to the last block, and are one after the other in the chunks file in the same order.
//! Chunks that begin in the same group of blocks (block number divided by the group's size) refer to the same prefix: the
//! blocks before the first of these chunks. After the chunks, the chunks file has the mark of each block: the first 8 bytes of
//! its SHA-256, which without a salt is its leaf in the hash tree.

use super::{
    BLOCK, MAX_IMAGE,
    marks::{MARK, RUN_BLOCKS, Run},
};
use sha2::Digest;
use std::{fmt, ops::Range};

const MAGIC: [u8; 8] = *b"berthidx";
const VERSION: u32 = 2;
const HEADER: usize = 32;
const CHUNK: usize = 20;
const RUN: usize = 20;

/// Largest number of blocks of a chunk: 1 MiB.
pub const MAX_CHUNK_BLOCKS: u32 = 256;
/// Largest number of blocks of the prefix: 8 MiB.
pub const MAX_PREFIX_BLOCKS: u32 = 2048;
/// Largest number of blocks of a group: 4 MiB.
pub const MAX_GROUP_BLOCKS: u32 = 1024;
/// Largest frame that zstd makes of a chunk that cannot be compressed, in bytes.
pub const MAX_CHUNK_COMPRESSED: u32 = (MAX_CHUNK_BLOCKS * 4096) + (1 << 16);

/// The first 16 bytes of a chunk's SHA-256. That is enough: the index is signed, and other bytes with this digest cannot be
/// found. Full digests would be a tenth of the bytes of a small update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkDigest(pub [u8; 16]);

impl ChunkDigest {
    /// The digest of a chunk's compressed bytes.
    #[must_use]
    pub fn of(compressed: &[u8]) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&sha2::Sha256::digest(compressed)[..16]);
        Self(digest)
    }
}

impl fmt::Display for ChunkDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A piece of the image in the chunks file: one zstd frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First byte in the chunks file.
    pub offset: u64,
    /// Bytes in the chunks file.
    pub compressed: u32,
    /// Their digest.
    pub digest: ChunkDigest,
    /// First block of the image.
    pub first: u64,
    /// Number of blocks.
    pub blocks: u32,
}

impl Chunk {
    /// The blocks of the image in it.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.first..self.first + u64::from(self.blocks)
    }

    /// Bytes of the image in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::from(self.blocks) * BLOCK
    }

    /// Always false: a chunk has one block at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks == 0
    }
}

/// The index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    prefix_blocks: u32,
    group_blocks: u32,
    chunks: Vec<Chunk>,
    blocks: u64,
    runs: Vec<Run>,
}

/// Why bytes are not an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file is shorter or longer than its header says.
    #[error("block index: expected {wanted} bytes, found {found}")]
    Length {
        /// Length that follows from the header.
        wanted: u64,
        /// Length of the file.
        found: u64,
    },
    /// A field with another value than required.
    #[error("block index: {field}: expected {wanted}, found {found}")]
    Field {
        /// Which.
        field: &'static str,
        /// The value expected.
        wanted: String,
        /// The value found.
        found: u64,
    },
    /// A chunk of an impossible length.
    #[error("block index: chunk {number}: expected 1 to {most} bytes, found {found}")]
    Chunk {
        /// Which, counted from 0.
        number: usize,
        /// The largest length.
        most: u32,
        /// The value found.
        found: u32,
    },
}

impl Index {
    /// Chunks in order: compressed length, digest of the compressed bytes, blocks; and the runs of their marks.
    pub(super) fn new(
        (prefix_blocks, group_blocks): (u32, u32),
        chunks: impl Iterator<Item = (u32, ChunkDigest, u32)>,
        runs: Vec<Run>,
    ) -> Self {
        let (mut offset, mut first) = (0, 0);
        let place = |(compressed, digest, blocks)| {
            let chunk = Chunk { offset, compressed, digest, first, blocks };
            offset += u64::from(compressed);
            first += u64::from(blocks);
            chunk
        };
        let chunks = chunks.map(place).collect();
        Self { prefix_blocks, group_blocks, chunks, blocks: first, runs }
    }

    /// Bytes of the image.
    #[must_use]
    pub fn image_len(&self) -> u64 {
        self.blocks * BLOCK
    }

    /// Bytes of the chunks file.
    #[must_use]
    pub fn chunks_len(&self) -> u64 {
        self.marks_offset() + self.blocks * MARK as u64
    }

    /// Where in the chunks file the marks begin.
    fn marks_offset(&self) -> u64 {
        self.chunks.last().map_or(0, |chunk| chunk.offset + u64::from(chunk.compressed))
    }

    /// The runs of marks, in the order of the image.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The blocks of runs that follow each other.
    #[must_use]
    pub fn blocks_of(&self, runs: &Range<usize>) -> Range<u64> {
        let block = |run: usize| (run as u64 * RUN_BLOCKS as u64).min(self.blocks);
        block(runs.start)..block(runs.end)
    }

    /// Where in the chunks file the marks of these blocks are.
    #[must_use]
    pub fn marks_of(&self, blocks: &Range<u64>) -> Range<u64> {
        let at = |block: u64| self.marks_offset() + block * MARK as u64;
        at(blocks.start)..at(blocks.end)
    }

    /// The largest number of bytes of the image before a chunk that are needed to decode it.
    #[must_use]
    pub fn history_len(&self) -> u64 {
        (u64::from(self.prefix_blocks) + u64::from(self.group_blocks)) * BLOCK
    }

    /// The bytes of the image that are the prefix of a chunk.
    #[must_use]
    pub fn prefix_of(&self, chunk: &Chunk) -> Range<u64> {
        let group = u64::from(self.group_blocks);
        let first = self.chunks.partition_point(|other| other.first / group < chunk.first / group);
        let end = self.chunks.get(first).map_or(chunk.first, |chunk| chunk.first);
        end.saturating_sub(self.prefix_blocks.into()) * BLOCK..end * BLOCK
    }

    /// All chunks, in the order of the image.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// The number of the chunk that holds a block.
    #[must_use]
    pub fn chunk_of(&self, block: u64) -> Option<usize> {
        let number = self.chunks.partition_point(|chunk| chunk.range().end <= block);
        (number < self.chunks.len()).then_some(number)
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.chunks.len() * CHUNK + self.runs.len() * RUN);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(u32::try_from(self.chunks.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(self.blocks.to_le_bytes());
        out.extend(self.prefix_blocks.to_le_bytes());
        out.extend(self.group_blocks.to_le_bytes());
        for chunk in &self.chunks {
            // Neither can be larger than this, or zero.
            out.extend((chunk.compressed | (chunk.blocks - 1) << 24).to_le_bytes());
            out.extend(chunk.digest.0);
        }
        for run in &self.runs {
            out.extend(run.key.to_le_bytes());
            out.extend(run.digest);
        }
        out
    }

    /// Reads what [`Self::to_bytes`] writes. Takes at most twice the file's length as memory.
    ///
    /// # Errors
    /// The file differs in any byte from what [`Self::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        let field =
            |field, wanted: &dyn ToString, found| IndexError::Field { field, wanted: wanted.to_string(), found };
        let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
            return Err(IndexError::Length { wanted: HEADER as u64, found: bytes.len() as u64 });
        };
        let (magic, version) = (u64_at(header, 0), u32_at(header, 8));
        let (chunk_count, blocks) = (u32_at(header, 12), u64_at(header, 16));
        let (prefix_blocks, group_blocks) = (u32_at(header, 24), u32_at(header, 28));
        if magic != u64::from_le_bytes(MAGIC) {
            return Err(field("magic", &"`berthidx`", magic));
        }
        if version != VERSION {
            return Err(field("version", &VERSION, version.into()));
        }
        if blocks == 0 || blocks > MAX_IMAGE / BLOCK {
            return Err(field("blocks", &format!("1 to {}", MAX_IMAGE / BLOCK), blocks));
        }
        if u64::from(chunk_count) > blocks {
            return Err(field("chunks", &format!("at most {blocks}, the number of blocks"), chunk_count.into()));
        }
        if prefix_blocks > MAX_PREFIX_BLOCKS {
            return Err(field("prefix", &format!("at most {MAX_PREFIX_BLOCKS} blocks"), prefix_blocks.into()));
        }
        if !(1..=MAX_GROUP_BLOCKS).contains(&group_blocks) {
            return Err(field("group", &format!("1 to {MAX_GROUP_BLOCKS} blocks"), group_blocks.into()));
        }
        let table = u64::from(chunk_count) * CHUNK as u64;
        let wanted = HEADER as u64 + table + blocks.div_ceil(RUN_BLOCKS as u64) * RUN as u64;
        if bytes.len() as u64 != wanted {
            return Err(IndexError::Length { wanted, found: bytes.len() as u64 });
        }
        // The file is as long as the list, so the list fits into memory.
        let (table, runs) = rest.split_at(usize::try_from(table).unwrap_or(rest.len()));
        let mut covered = 0;
        for (number, (compressed, _, blocks)) in rows(table).enumerate() {
            if !(1..=MAX_CHUNK_COMPRESSED).contains(&compressed) {
                return Err(IndexError::Chunk { number, most: MAX_CHUNK_COMPRESSED, found: compressed });
            }
            covered += u64::from(blocks);
        }
        if covered != blocks {
            return Err(field("blocks of all chunks", &blocks, covered));
        }
        let run = |row: &[u8; RUN]| Run { key: u32_at(row, 0), digest: digest_at(row, 4) };
        let runs = runs.as_chunks().0.iter().map(run).collect();
        Ok(Self::new((prefix_blocks, group_blocks), rows(table), runs))
    }
}

/// Compressed length, digest and blocks of each chunk.
fn rows(table: &[u8]) -> impl Iterator<Item = (u32, ChunkDigest, u32)> {
    table.as_chunks::<CHUNK>().0.iter().map(|row| {
        let numbers = u32_at(row, 0);
        (numbers & 0x00ff_ffff, ChunkDigest(digest_at(row, 4)), (numbers >> 24) + 1)
    })
}

fn digest_at(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&bytes[at..at + 16]);
    digest
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
