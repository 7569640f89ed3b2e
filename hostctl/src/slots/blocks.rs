//! The block delta: which chunks must be fetched because neither slot has their blocks, and how the new root file system is made of these
//! chunks and of blocks of the slots.

use super::{
    block_map::{BlockMap, Location, Matcher},
    content::each_digest,
    disk::Slots,
    error::SlotError,
    marks,
    remote::{Meter, Metered},
    sink::Sink,
};
use berth_contract::{chain::Chain, disk::BLOCK};
use berth_formats::{
    delta::{
        chunks::decode,
        index::{Chunk, ChunkDigest, Index, MAX_CHUNK_BLOCKS},
        marks::Mark,
    },
    verity::block_digests,
};
use std::{io::Read, ops::Range, os::unix::fs::FileExt};

/// Largest image for a block delta, in bytes: the plan of a larger one would take too much memory.
pub const MAX_IMAGE: u64 = 4 << 30;

const BLOCK_LEN: usize = 4096;

/// Which chunks are fetched, and where all other blocks are. Needs 12 bytes for each block of the new image and 40 for each chunk.
#[derive(Debug)]
pub(super) struct BlockPlan {
    index: Index,
    /// One mark for each block of the new image.
    marks: Vec<Mark>,
    map: BlockMap,
    /// For each chunk whether it is fetched.
    fetched: Vec<bool>,
    /// Bytes fetched to make this plan.
    surveyed: u64,
}

impl BlockPlan {
    /// Fetches the block index `target` of an image of `size` bytes (at most [`MAX_IMAGE`]), fetches the marks that are in neither slot
    /// from `chunks`, and looks up the blocks in both slots.
    pub(super) fn make(
        target: &str,
        chunks: &str,
        size: u64,
        slots: &Slots,
        remote: &Meter<'_>,
    ) -> Result<Self, SlotError> {
        let refused = |wanted: String, found: String| SlotError::Target { target: target.to_owned(), wanted, found };
        let before = remote.fetched();
        // Twenty bytes for each run and for each chunk. An index with fewer than 8 blocks per chunk on average is refused.
        let limit = (size / BLOCK / 32 + size / BLOCK / 8 + 1024) * 20;
        let bytes = remote.read_whole(target, limit)?;
        let index =
            Index::parse(&bytes).map_err(|error| refused("a block index".to_owned(), Chain(&error).to_string()))?;
        drop(bytes);
        if index.image_len() != size {
            return Err(refused(format!("the index of {size} bytes"), format!("that of {}", index.image_len())));
        }
        let marks = marks::gather(&index, chunks, slots, remote)?;
        let surveyed = remote.fetched() - before;
        let blocks = marks.len() as u64;
        let map = {
            let count = u32::try_from(blocks).unwrap_or(0);
            let zeros = block_digests(&[0; BLOCK_LEN]);
            let mut matcher = Matcher::new(count, |block| marks[block as usize].0, &zeros[0]);
            each_digest(&slots.running, blocks, |position, digest| matcher.running(position, &digest));
            each_digest(&slots.idle, blocks, |position, digest| matcher.idle(position, &digest));
            matcher.finish()
        };
        let missing = |chunk: &Chunk| chunk.range().any(|block| map.location(block) == Location::Missing);
        let fetched = index.chunks().iter().map(missing).collect();
        Ok(Self { index, marks, map, fetched, surveyed })
    }

    /// Whether any chunk must be fetched.
    pub(super) fn needs_chunks(&self) -> bool {
        self.fetched.contains(&true)
    }

    /// Bytes to fetch, including those already fetched for the plan.
    pub(super) fn cost(&self) -> u64 {
        let chunks = self.index.chunks().iter().zip(&self.fetched);
        self.surveyed
            + chunks.filter(|(_, fetched)| **fetched).map(|(chunk, _)| u64::from(chunk.compressed)).sum::<u64>()
    }

    /// Writes the root file system. Chunks are fetched from `target`.
    pub(super) fn write(
        &self,
        target: &str,
        slots: &Slots,
        remote: &Meter<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), SlotError> {
        let mut wire = ChunkReader { plan: self, target, remote, run: None };
        let mut history = History::new(self.index.history_len());
        let (mut content, mut compressed) = (Vec::new(), Vec::new());
        for (number, chunk) in self.index.chunks().iter().enumerate() {
            content.resize(usize::try_from(chunk.len()).unwrap_or(usize::MAX), 0);
            let here = !self.fetched[number] && self.gather(chunk, slots, &mut content);
            let mut digests = if here { block_digests(&content) } else { Vec::new() };
            // A sector may be bad, or the hash tree of a slot may be wrong. Then this one chunk is fetched.
            if !self.is_right(chunk, &digests) {
                wire.read(number, chunk, &mut compressed)?;
                let decoded = decode(history.get(&self.index.prefix_of(chunk)), &compressed, &mut content);
                decoded.map_err(|error| wire.refused(number, "a chunk", Chain(&error).to_string()))?;
                digests = block_digests(&content);
                if !self.is_right(chunk, &digests) {
                    return Err(wire.refused(number, "the blocks of the index", "others".to_owned()));
                }
            }
            sink.put(&content, &digests)?;
            history.push(&content);
        }
        Ok(())
    }

    /// Whether the digests match the marks of the chunk's blocks.
    fn is_right(&self, chunk: &Chunk, digests: &[[u8; 32]]) -> bool {
        let from = usize::try_from(chunk.first).unwrap_or(usize::MAX);
        let marks = self.marks.iter().skip(from).take(chunk.blocks as usize).copied();
        marks.eq(digests.iter().map(Mark::of))
    }

    /// Reads the blocks of the chunk from the slots, adjacent blocks in one read. Returns false if a block cannot be read.
    fn gather(&self, chunk: &Chunk, slots: &Slots, content: &mut [u8]) -> bool {
        let mut sources = chunk.range().map(|block| self.map.location(block)).peekable();
        let mut rest = content;
        while let Some(first) = sources.next() {
            let mut blocks = 1;
            while sources.next_if(|next| *next == first.after(blocks)).is_some() {
                blocks += 1;
            }
            let (run, behind) = std::mem::take(&mut rest).split_at_mut(blocks as usize * BLOCK_LEN);
            rest = behind;
            let (slot, position) = match first {
                Location::Zeros => {
                    run.fill(0);
                    continue;
                }
                Location::Running(position) => (&slots.running, position),
                Location::Idle(position) => (&slots.idle, position),
                Location::Missing => return false,
            };
            if slot.data.file.read_exact_at(run, position * BLOCK).is_err() {
                return false;
            }
        }
        true
    }
}

impl Location {
    /// The location `blocks` blocks after this one.
    fn after(self, blocks: u32) -> Self {
        match self {
            Self::Running(position) => Self::Running(position + u64::from(blocks)),
            Self::Idle(position) => Self::Idle(position + u64::from(blocks)),
            other => other,
        }
    }
}

/// Reads the fetched chunks: adjacent chunks with one request.
struct ChunkReader<'a> {
    plan: &'a BlockPlan,
    target: &'a str,
    remote: &'a Meter<'a>,
    /// The number of the next chunk, and the reader that returns it.
    run: Option<(usize, Metered<'a>)>,
}

impl<'a> ChunkReader<'a> {
    /// Reads the compressed bytes of a chunk and checks their digest. If they are wrong, the chunk is requested once more by itself.
    fn read(&mut self, number: usize, chunk: &Chunk, compressed: &mut Vec<u8>) -> Result<(), SlotError> {
        compressed.resize(chunk.compressed as usize, 0);
        let planned = self.plan.fetched[number];
        if planned {
            let mut reader = match self.run.take() {
                Some((next, reader)) if next == number => reader,
                _ => self.open(chunk, self.planned_from(number))?,
            };
            if reader.read_exact(compressed).is_ok() {
                self.run = Some((number + 1, reader));
                if ChunkDigest::of(compressed) == chunk.digest {
                    return Ok(());
                }
                self.run = None;
            }
        }
        let broken = |cause| SlotError::Stream { target: self.target.to_owned(), cause };
        self.open(chunk, chunk.compressed.into())?.read_exact(compressed).map_err(broken)?;
        match ChunkDigest::of(compressed) {
            found if found == chunk.digest => Ok(()),
            found => Err(self.refused(
                number,
                &format!("bytes whose SHA-256 begins with {}", chunk.digest),
                found.to_string(),
            )),
        }
    }

    fn open(&self, chunk: &Chunk, len: u64) -> Result<Metered<'a>, SlotError> {
        Ok(self.remote.open(self.target, chunk.offset, Some(len))?)
    }

    /// Bytes of the adjacent chunks to fetch, from `number` on.
    fn planned_from(&self, number: usize) -> u64 {
        let chunks = self.plan.index.chunks().iter().zip(&self.plan.fetched).skip(number);
        chunks.take_while(|(_, fetched)| **fetched).map(|(chunk, _)| u64::from(chunk.compressed)).sum()
    }

    fn refused(&self, number: usize, wanted: &str, found: String) -> SlotError {
        SlotError::Target { target: self.target.to_owned(), wanted: format!("{wanted} at chunk {number}"), found }
    }
}

/// Additional bytes that are kept, so that the content is not moved for every chunk.
const SLACK: usize = 2 << 20;
/// Largest chunk, in bytes.
const MAX_CHUNK: usize = MAX_CHUNK_BLOCKS as usize * BLOCK_LEN;

/// The last bytes of the image written so far.
struct History {
    bytes: Vec<u8>,
    kept: usize,
    /// Size of the image written so far.
    end: u64,
}

impl History {
    fn new(kept: u64) -> Self {
        // The index format limits this to 12 MiB.
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        Self { bytes: Vec::with_capacity(kept + SLACK + MAX_CHUNK), kept, end: 0 }
    }

    /// A range of the image. It must be within the kept bytes.
    fn get(&self, range: &Range<u64>) -> &[u8] {
        let back = |at: u64| self.bytes.len().saturating_sub(usize::try_from(self.end - at).unwrap_or(usize::MAX));
        &self.bytes[back(range.start)..back(range.end)]
    }

    fn push(&mut self, content: &[u8]) {
        if self.bytes.len() + content.len() > self.kept + SLACK {
            self.bytes.drain(..self.bytes.len().saturating_sub(self.kept));
        }
        self.bytes.extend_from_slice(content);
        self.end += content.len() as u64;
    }
}
