//! Compares one output of two builds.

use berth_formats::range::Range;
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

const CHUNK: u64 = 1 << 20;

/// The same output of two builds.
#[derive(Debug)]
pub(super) struct Pair {
    /// Each file with its length.
    files: [(File, u64); 2],
}

impl Pair {
    pub(super) fn open(first: &Path, second: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let open = |path: &Path| {
            let file = File::open(path).and_then(|file| file.metadata().map(|found| (file, found.len())));
            file.map_err(|error| (path.to_owned(), error))
        };
        Ok(Self { files: [open(first)?, open(second)?] })
    }

    pub(super) fn ranges(&self) -> [Range<'_>; 2] {
        [0, 1].map(|which| Range::new(&self.files[which].0, 0, self.files[which].1))
    }

    /// The first byte at or after `from` that differs.
    pub(super) fn next(&self, from: u64) -> io::Result<Option<(u64, [Option<u8>; 2])>> {
        let [first, second] = &self.ranges();
        let common = first.len().min(second.len());
        let mut at = from;
        while at < common {
            // Holes are zeros, so a range that is a hole in both files is equal.
            let (here, there) = (next_data(first.file(), at)?, next_data(second.file(), at)?);
            at = here.unwrap_or(common).min(there.unwrap_or(common));
            let len = CHUNK.min(common.saturating_sub(at));
            let read = |range: &Range<'_>| {
                range.bytes(at, len).ok_or_else(|| io::Error::other(format!("cannot read {len} bytes at byte {at}")))
            };
            let (a, b) = (read(first)?, read(second)?);
            if let Some(inside) = a.iter().zip(&b).position(|(a, b)| a != b) {
                return Ok(Some((at + inside as u64, [Some(a[inside]), Some(b[inside])])));
            }
            at += len;
        }
        let at = from.max(common);
        let end = |range: &Range<'_>| range.array::<1>(at).map(|[byte]| byte);
        Ok((at < first.len().max(second.len())).then(|| (at, [end(first), end(second)])))
    }
}

/// Offset of the next byte that is not in a hole. `None` if there is no more data.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        // This file system does not report holes.
        Err(Errno::INVAL) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}
