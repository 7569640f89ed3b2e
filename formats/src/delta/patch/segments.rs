//! Decides which part of a new image is made out of which part of the old image.

use super::error::MakeError;
use crate::{
    delta::{BLOCK, MAX_IMAGE},
    erofs::read::{Image, ReadError},
    verity,
};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
};

type Digest = [u8; 32];
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// A range of the new image, in bytes, and its source in the old image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) new: Range<u64>,
    pub(super) from: Source,
}

/// Where a segment comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The same bytes are in the old image, from here on.
    Same(u64),
    /// The old image has a similar file at this range.
    Like(Range<u64>),
    /// The old image has nothing similar.
    Nothing,
}

/// An image with its blocks' digests, cut into files and the parts between them.
struct Parts {
    digests: Vec<Digest>,
    /// Contents of files, each with one path, in the order of the image. `None` for the parts between files: inodes and
    /// directories.
    parts: Vec<(Range<u64>, Option<Vec<u8>>)>,
}

/// Pairs the parts of the new image with parts of the old image.
pub(super) fn pair(old: &File, new: &File) -> Result<Vec<Segment>, MakeError> {
    let of = |which, file| Parts::of(file).map_err(|source| MakeError::Image { which, source });
    let (old, new) = (of("old", old)?, of("new", new)?);
    let mut same: BTreeMap<&[Digest], u64> = BTreeMap::new();
    let mut paths: BTreeMap<&[u8], Like<'_>> = BTreeMap::new();
    let mut alike: BTreeMap<Vec<u8>, Like<'_>> = BTreeMap::new();
    let mut names: BTreeMap<&[u8], Like<'_>> = BTreeMap::new();
    let mut gaps = Vec::new();
    for (range, path) in &old.parts {
        same.entry(old.digests(range)).or_insert(range.start);
        match path {
            Some(path) => {
                paths.entry(path).or_default().push(range);
                alike.entry(without_numbers(path)).or_default().push(range);
                names.entry(name(path)).or_default().push(range);
            }
            None => gaps.push(range),
        }
    }
    let mut gaps = gaps.into_iter();
    let mut segments: Vec<Segment> = Vec::new();
    for (range, path) in &new.parts {
        let like = match path {
            Some(path) => nearest(paths.get(path.as_slice()), range)
                .or_else(|| nearest(alike.get(&without_numbers(path)), range))
                .or_else(|| nearest(names.get(name(path)), range)),
            // The parts between files hold the same structures in the same order.
            None => gaps.next().cloned(),
        };
        let from = match (same.get(new.digests(range)), like) {
            (Some(start), _) => Source::Same(*start),
            (None, Some(like)) => Source::Like(like),
            (None, None) => Source::Nothing,
        };
        segments.push(Segment { new: range.clone(), from });
    }
    Ok(segments)
}

/// Contents of old files that a new file may be similar to.
type Like<'a> = Vec<&'a Range<u64>>;

/// Of several candidates, takes the one of the nearest length.
fn nearest(candidates: Option<&Like<'_>>, wanted: &Range<u64>) -> Option<Range<u64>> {
    let len = |range: &Range<u64>| range.end - range.start;
    candidates?.iter().min_by_key(|range| len(range).abs_diff(len(wanted))).map(|range| (*range).clone())
}

/// A path without its version numbers: kernels have them in folders, libraries in file names.
fn without_numbers(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b'0'..=b'9' if out.last() == Some(&b'#') => {}
            b'.' if out.last() == Some(&b'#') => {}
            b'0'..=b'9' => out.push(b'#'),
            byte => out.push(*byte),
        }
    }
    out
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

impl Parts {
    fn of(file: &File) -> Result<Self, ReadError> {
        let whole = |offset, cause| ReadError::Io { offset, len: 0, cause };
        let len = file.metadata().map_err(|cause| whole(0, cause))?.len();
        if len == 0 || !len.is_multiple_of(BLOCK) || len > MAX_IMAGE {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, format!("image of {len} bytes"));
            return Err(whole(len, cause));
        }
        let image = Image::open(file.try_clone().map_err(|cause| whole(0, cause))?, 0)?;
        let mut files: BTreeMap<u64, (u64, Vec<u8>)> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (path, node) in image.walk()? {
            if node.is_dir() || !seen.insert(node.nid()) {
                continue;
            }
            for extent in image.extents(&node)? {
                match files.entry(extent.start) {
                    Entry::Vacant(entry) => drop(entry.insert((extent.end, path.clone()))),
                    // Files that share blocks: another program wrote this image.
                    Entry::Occupied(mut entry) if entry.get().0 < extent.end => entry.get_mut().0 = extent.end,
                    Entry::Occupied(_) => {}
                }
            }
        }
        let mut parts = Vec::new();
        let mut at = 0;
        for (start, (end, path)) in files {
            let (start, end) = (start.max(at), end.min(len));
            if start >= end {
                continue;
            }
            if start > at {
                parts.push((at..start, None));
            }
            parts.push((start..end, Some(path)));
            at = end;
        }
        if at < len {
            parts.push((at..len, None));
        }
        Ok(Self { digests: digests(file, len)?, parts })
    }

    fn digests(&self, range: &Range<u64>) -> &[Digest] {
        let index = |at: u64| usize::try_from(at / BLOCK).unwrap_or(usize::MAX);
        self.digests.get(index(range.start)..index(range.end)).unwrap_or_default()
    }
}

/// The digests of all blocks.
fn digests(file: &File, len: u64) -> Result<Vec<Digest>, ReadError> {
    let (mut all, mut blocks, mut offset) = (Vec::new(), vec![0; PIECE], 0);
    while offset < len {
        let piece = usize::try_from(len - offset).unwrap_or(PIECE).min(PIECE);
        let piece = &mut blocks[..piece];
        file.read_exact_at(piece, offset).map_err(|cause| ReadError::Io { offset, len: piece.len(), cause })?;
        all.extend(verity::block_digests(piece));
        offset += piece.len() as u64;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_versions_make_no_difference() {
        let pairs: [(&str, &str); 4] = [
            ("/usr/lib/modules/6.12.107+deb13-cloud-amd64/a.ko", "/usr/lib/modules/6.12.117+deb13-cloud-amd64/a.ko"),
            ("/usr/lib/libz.so.1.3.1", "/usr/lib/libz.so.1.3.2"),
            ("/a/b9/c", "/a/b10/c"),
            ("/x.so.3", "/x.so.1.1"),
        ];
        for (old, new) in pairs {
            assert_eq!(without_numbers(old.as_bytes()), without_numbers(new.as_bytes()));
        }
        assert_ne!(without_numbers(b"/a/b"), without_numbers(b"/a/c"));
        let ranges = [0..10, 20..50, 60..64];
        assert_eq!(nearest(Some(&ranges.iter().collect()), &(100..128)), Some(20..50));
        assert_eq!(nearest(None, &(0..1)), None);
    }
}
