//! An image in chunks. Each chunk is a zstd frame that refers to bytes of the image before it.
//! <https://www.rfc-editor.org/rfc/rfc8878>
//!
//! Independent frames would be a third larger than one stream over the image. So each chunk is compressed with preceding bytes
//! of the image as raw prefix (`zstd --patch-from`): a host makes the image from its first to its last block, and so has
//! these bytes. Chunks of one group have the same prefix, which the compressor then reads once.

use super::{
    BLOCK,
    index::{ChunkDigest, Index, MAX_CHUNK_BLOCKS, MAX_GROUP_BLOCKS, MAX_PREFIX_BLOCKS},
    marks::{Mark, RUN_BLOCKS, Run},
};
use crate::{verity, workers};
use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ErrorCode, MAGIC_DICTIONARY, compress_bound, get_error_name};

/// How an image is cut and compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// zstd level, 1 to 22.
    pub level: i32,
    /// Largest number of blocks of a chunk, 1 to [`MAX_CHUNK_BLOCKS`].
    pub chunk_blocks: u32,
    /// Blocks of the prefix, at most [`MAX_PREFIX_BLOCKS`].
    pub prefix_blocks: u32,
    /// Blocks of a group, 1 to [`MAX_GROUP_BLOCKS`].
    pub group_blocks: u32,
}

/// Chunks are small, because a whole chunk is fetched for one new block. With small chunks most of the time is spent on
/// reading prefixes; groups reduce that. Measured as MB to fetch for a patch release of the kernel, with index and marks:
/// chunks of 8 blocks, prefix of 512, groups of 32: 21.04; chunks of 12: 21.14; of 6: 21.22. A prefix of 256 needs 1.4 percent
/// more bytes and half the time; groups of 64 need 1.2 percent more bytes.
impl Default for Settings {
    fn default() -> Self {
        Self { level: 19, chunk_blocks: 8, prefix_blocks: 512, group_blocks: 32 }
    }
}

/// Why chunks cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The image cannot be read.
    #[error("cannot read the image's {len} bytes at {offset}")]
    Image {
        /// Where in the image.
        offset: u64,
        /// Number of bytes.
        len: usize,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// An image that is empty, or not a whole number of blocks.
    #[error("image of {len} bytes: expected one or more blocks of 4096 bytes")]
    Size {
        /// Its length.
        len: u64,
    },
    /// The chunks file cannot be written.
    #[error("cannot write the chunks file")]
    Output(#[source] io::Error),
    /// zstd failed.
    #[error("chunk of {len} bytes: zstd: {what}")]
    Zstd {
        /// Bytes of the image in it.
        len: usize,
        /// The message of zstd.
        what: &'static str,
    },
    /// The decoded chunk is too short.
    #[error("chunk: expected {wanted} bytes, found {found}")]
    Length {
        /// Length in the index.
        wanted: usize,
        /// Length of the decoded bytes.
        found: usize,
    },
}

/// Decodes a chunk into `out`, which is as long as the index says. `prefix` are the bytes of the image at
/// [`Index::prefix_of`]. Takes about 200 KB of memory, whatever the frame says. Check the digest of `compressed` before.
///
/// # Errors
/// The chunk is damaged, or has another length.
pub fn decode(prefix: &[u8], compressed: &[u8], out: &mut [u8]) -> Result<(), ChunkError> {
    let wanted = out.len();
    let failed = |code| ChunkError::Zstd { len: wanted, what: get_error_name(code) };
    let mut context = DCtx::create();
    context.ref_prefix(prefix).map_err(failed)?;
    let found = context.decompress(out, compressed).map_err(failed)?;
    if found == wanted { Ok(()) } else { Err(ChunkError::Length { wanted, found }) }
}

/// Cuts the first `image_len` bytes of `image` at `cuts` (blocks at which files begin, ascending: `cuts::of`) and where a
/// chunk would become too long. Writes the chunks file, with the marks at its end. Works with a thread for each CPU, each of
/// which takes about 20 MB at level 19; the result does not depend on their number.
///
/// # Errors
/// The image cannot be read, or `out` cannot be written.
pub fn write(
    image: &File,
    image_len: u64,
    cuts: &[u64],
    settings: Settings,
    out: &mut (impl Write + Send),
) -> Result<Index, ChunkError> {
    if image_len == 0 || !image_len.is_multiple_of(BLOCK) {
        return Err(ChunkError::Size { len: image_len });
    }
    let settings = Settings {
        chunk_blocks: settings.chunk_blocks.clamp(1, MAX_CHUNK_BLOCKS),
        prefix_blocks: settings.prefix_blocks.min(MAX_PREFIX_BLOCKS),
        group_blocks: settings.group_blocks.clamp(1, MAX_GROUP_BLOCKS),
        ..settings
    };
    let pieces = pieces(image_len / BLOCK, cuts, settings.chunk_blocks.into());
    let (mut chunks, mut marks) = (Vec::new(), Vec::new());
    let group = |piece: &Range<u64>| piece.start / u64::from(settings.group_blocks);
    let groups: Vec<&[Range<u64>]> = pieces.chunk_by(|one, next| group(one) == group(next)).collect();
    let make = |buffer: &mut Vec<u8>, number: usize| compress_group(image, groups[number], settings, buffer);
    workers::in_order(groups.len(), workers::per_cpu(), Vec::new, make, |made: Vec<Made>| {
        for Made { compressed, marks: its } in made {
            out.write_all(&compressed).map_err(ChunkError::Output)?;
            let number = |len| u32::try_from(len).map_err(|error| ChunkError::Output(io::Error::other(error)));
            chunks.push((number(compressed.len())?, ChunkDigest::of(&compressed), number(its.len())?));
            marks.extend(its);
        }
        Ok(())
    })?;
    let bytes: Vec<u8> = marks.iter().flat_map(|mark: &Mark| mark.0).collect();
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(ChunkError::Output)?;
    let runs = marks.chunks(RUN_BLOCKS).map(Run::of).collect();
    Ok(Index::new((settings.prefix_blocks, settings.group_blocks), chunks.into_iter(), runs))
}

/// Ranges of blocks, none longer than `most`. The blocks between two cuts are divided only if they are more than that.
fn pieces(blocks: u64, cuts: &[u64], most: u64) -> Vec<Range<u64>> {
    let mut pieces: Vec<Range<u64>> = Vec::new();
    let ends = cuts.iter().copied().filter(|cut| (1..blocks).contains(cut)).chain([blocks]);
    let mut start = 0;
    for end in ends {
        if end <= start {
            continue;
        }
        match pieces.last_mut() {
            // Put small files together, as long as they fit.
            Some(last) if end - last.start <= most => last.end = end,
            _ => {
                pieces.extend((start..end).step_by(usize::try_from(most).unwrap_or(1)).map(|at| at..end.min(at + most)))
            }
        }
        start = end;
    }
    pieces
}

/// A compressed chunk.
struct Made {
    compressed: Vec<u8>,
    marks: Vec<Mark>,
}

fn compress_group(
    image: &File,
    pieces: &[Range<u64>],
    settings: Settings,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Made>, ChunkError> {
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return Ok(Vec::new()) };
    let from = first.start.saturating_sub(settings.prefix_blocks.into());
    let bytes = |blocks: u64| usize::try_from(blocks * BLOCK).unwrap_or(usize::MAX);
    let (offset, len) = (from * BLOCK, bytes(last.end - from));
    buffer.resize(len, 0);
    image.read_exact_at(buffer, offset).map_err(|cause| ChunkError::Image { offset, len, cause })?;
    let (prefix, mut rest) = buffer.split_at(bytes(first.start - from));
    let failed = |len| move |code| ChunkError::Zstd { len, what: get_error_name(code) };
    let mut context = context(prefix, settings).map_err(failed(prefix.len()))?;
    let mut made = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (content, behind) = rest.split_at(bytes(piece.end - piece.start));
        rest = behind;
        let mut compressed = Vec::with_capacity(compress_bound(content.len()));
        context.compress2(&mut compressed, content).map_err(failed(content.len()))?;
        made.push(Made { compressed, marks: verity::block_digests(content).iter().map(Mark::of).collect() });
    }
    Ok(made)
}

/// A compressor of frames with their content's size, without a checksum.
fn context(prefix: &[u8], settings: Settings) -> Result<CCtx<'static>, ErrorCode> {
    let mut context = CCtx::create();
    // A search tree only as large as needed, and half of level 19's search depth. That changes 0.2 percent of the bytes; most of
    // the time is spent on reading the prefix.
    let tree = (u64::from(settings.prefix_blocks) * BLOCK).max(1 << 16).next_power_of_two().ilog2() + 1;
    for parameter in [
        CParameter::CompressionLevel(settings.level),
        CParameter::ChecksumFlag(false),
        CParameter::ChainLog(tree),
        CParameter::HashLog(tree - 2),
        CParameter::SearchLog(6),
    ] {
        context.set_parameter(parameter)?;
    }
    // zstd would read a prefix that begins like one of its dictionaries as a dictionary. Without its first byte it does not.
    let raw = if prefix.starts_with(&MAGIC_DICTIONARY.to_le_bytes()) { &prefix[1..] } else { prefix };
    context.load_dictionary(raw)?;
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_to_cuts_and_never_grow_too_long() {
        let all = |cuts: &[u64], most| pieces(20, cuts, most).iter().map(|p| (p.start, p.end)).collect::<Vec<_>>();
        assert_eq!(all(&[], 64), [(0, 20)]);
        assert_eq!(all(&[0, 2, 5, 6, 14, 20, 99], 8), [(0, 6), (6, 14), (14, 20)]);
        assert_eq!(all(&[3], 8), [(0, 3), (3, 11), (11, 19), (19, 20)]);
        assert_eq!(all(&[9, 9, 4], 8), [(0, 8), (8, 9), (9, 17), (17, 20)], "cuts out of order do no harm");
    }
}
