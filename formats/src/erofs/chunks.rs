//! Large files with pieces of zeros: these pieces are not stored.

use super::{
    Error,
    copy::Source,
    format::{BLOCK, BLOCK_BITS},
};
use crate::{
    data::Data,
    sparse::{data_chunks, is_zero},
};

/// Smaller files are stored completely; they are not searched for zeros.
const WORTH: u64 = 1 << 20;
/// Smallest chunk: 64 KiB.
const MIN_BITS: u8 = 16;
/// Most chunks of a file: a larger file gets larger chunks.
const MAX_CHUNKS: u64 = 1 << 14;

/// A file in chunks of equal size; the last one may be shorter.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    bits: u8,
    size: u64,
    /// Which chunks are stored, one after the other.
    stored: Vec<bool>,
}

impl Chunks {
    /// Searches a file for zeros. `None` if it has too few zeros to be worth a chunk map.
    pub(super) fn find(data: &Data, source: &mut Source) -> Result<Option<Self>, Error> {
        let size = data.len();
        if size < WORTH {
            return Ok(None);
        }
        let mut bits = MIN_BITS;
        while size >> bits > MAX_CHUNKS {
            bits += 1;
        }
        let chunk = 1 << bits;
        let stored = match data {
            Data::Bytes(bytes) => bytes.chunks(1 << bits).map(|chunk| !is_zero(chunk)).collect(),
            Data::File { path, offset, len } => {
                let failed = |cause| Error::Source { path: path.to_path_buf(), offset: *offset, len: *len, cause };
                data_chunks(source.open(path)?, *offset, *len, chunk).map_err(failed)?
            }
        };
        Ok(if stored.iter().all(|stored| *stored) { None } else { Some(Self { bits, size, stored }) })
    }

    /// The format field of a chunk-based inode.
    pub(super) fn format(&self) -> u32 {
        u32::from(self.bits - BLOCK_BITS)
    }

    /// Length of the map in bytes: an address of 4 bytes for each chunk.
    pub(super) fn map_len(&self) -> u64 {
        4 * self.stored.len() as u64
    }

    /// Blocks that are stored.
    pub(super) fn blocks(&self) -> u64 {
        self.places().flatten().map(|(_, len, _)| len.div_ceil(BLOCK)).sum()
    }

    /// For each chunk that is stored: its offset in the file, its length, and its first block relative to the first chunk's.
    /// `None` for the others.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<(u64, u64, u64)>> {
        let mut block = 0;
        (0..).zip(&self.stored).map(move |(number, stored): (u64, _)| {
            let from = number << self.bits;
            let len = (self.size - from).min(1 << self.bits);
            let first = block;
            block += if *stored { len.div_ceil(BLOCK) } else { 0 };
            stored.then_some((from, len, first))
        })
    }
}
