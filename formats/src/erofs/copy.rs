//! Copies contents into the image.
//!
//! A read into a buffer that stays in the CPU's cache and a write from there are faster than `copy_file_range` (3.7 instead of
//! 3.2 GB/s on ext4, Linux 6.18; 2.4 GB/s if offsets are not multiples of a page, as in a cache file). Zeros can also be
//! found that way.

use super::{Error, format::BLOCK};
use crate::{data::Data, sparse::is_zero, workers};
use std::{fs::File, num::NonZeroUsize, os::unix::fs::FileExt, path::Path, sync::Arc};

/// Bytes read and written at once.
const BUFFER: usize = 1 << 18;
/// Longest job: short enough that each thread gets one.
const PIECE: u64 = 1 << 22;

/// The file that was read last is kept open: jobs are sorted by path.
#[derive(Default)]
pub(super) struct Source {
    open: Option<(Arc<Path>, File)>,
}

impl Source {
    pub(super) fn open(&mut self, path: &Arc<Path>) -> Result<&File, Error> {
        let kept = self.open.take().filter(|(open, _)| Arc::ptr_eq(open, path) || open == path);
        let opened = match kept {
            Some(kept) => kept,
            None => {
                let failed = |cause| Error::Source { path: path.to_path_buf(), offset: 0, len: 0, cause };
                (Arc::clone(path), File::open(path).map_err(failed)?)
            }
        };
        Ok(&self.open.insert(opened).1)
    }

    fn read(&mut self, data: &Data, skip: u64, buf: &mut [u8]) -> Result<(), Error> {
        match data {
            Data::Bytes(bytes) => {
                let from = usize::try_from(skip).unwrap_or(usize::MAX);
                buf.copy_from_slice(&bytes[from..from + buf.len()]);
                Ok(())
            }
            Data::File { path, offset, .. } => {
                let at = offset + skip;
                let len = buf.len() as u64;
                let failed = |cause| Error::Source { path: path.to_path_buf(), offset: at, len, cause };
                self.open(path)?.read_exact_at(buf, at).map_err(failed)
            }
        }
    }
}

/// Bytes of a file, and their place in the image.
pub(super) struct Job<'a> {
    from: &'a Data,
    skip: u64,
    len: u64,
    to: u64,
}

/// All jobs of an image.
#[derive(Default)]
pub(super) struct Jobs<'a> {
    jobs: Vec<Job<'a>>,
}

impl<'a> Jobs<'a> {
    /// `len` bytes of `from`, after the first `skip`, go to byte `to` of the image.
    pub(super) fn add(&mut self, from: &'a Data, skip: u64, len: u64, to: u64) {
        let pieces = (0..len.div_ceil(PIECE)).map(|piece| piece * PIECE);
        self.jobs.extend(pieces.map(|at| Job { from, skip: skip + at, len: (len - at).min(PIECE), to: to + at }));
    }

    /// Does all jobs. Zeros are not written: `out` has holes there.
    pub(super) fn run(mut self, out: &File, threads: NonZeroUsize) -> Result<(), Error> {
        self.jobs.sort_by_cached_key(|job| match job.from {
            Data::Bytes(_) => (None, job.to),
            Data::File { path, offset, .. } => (Some(Arc::clone(path)), offset + job.skip),
        });
        let state = || (Source::default(), vec![0; BUFFER]);
        workers::each(self.jobs.len(), threads, state, |(source, buffer), number| {
            self.jobs[number].run(source, buffer, out)
        })
    }
}

impl Job<'_> {
    fn run(&self, source: &mut Source, buffer: &mut [u8], out: &File) -> Result<(), Error> {
        let mut done = 0;
        while done < self.len {
            let want = usize::try_from(self.len - done).unwrap_or(BUFFER).min(BUFFER);
            let piece = &mut buffer[..want];
            source.read(self.from, self.skip + done, piece)?;
            put(out, piece, self.to + done)?;
            done += want as u64;
        }
        Ok(())
    }
}

/// Writes at an offset, unless the bytes are zeros: a new file reads as zeros.
pub(super) fn put(out: &File, bytes: &[u8], offset: u64) -> Result<(), Error> {
    let failed = |cause| Error::Output { offset, len: bytes.len() as u64, cause };
    if (bytes.len() as u64) < BLOCK || !is_zero(bytes) {
        out.write_all_at(bytes, offset).map_err(failed)
    } else {
        Ok(())
    }
}
