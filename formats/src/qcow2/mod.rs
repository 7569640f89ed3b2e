//! qcow2, version 3: a disk for QEMU that is as small as its data. <https://www.qemu.org/docs/master/interop/qcow2.html>
//!
//! Clusters of 64 KiB, uncompressed, no backing file. Clusters of zeros are not stored. The order in the file is:
//! header, refcount table, refcount blocks, L1 table, L2 tables, data in the order of the disk.

mod layout;
pub mod show;

use crate::{sparse::data_chunks, workers};
pub use layout::CLUSTER;

use layout::{CLUSTER_LEN, Layout};
use std::{fs::File, io, os::unix::fs::FileExt};

/// Clusters that are written at once: they are adjacent in the file, whatever their places on the disk.
const BATCH: usize = 4;
/// QEMU counts disks in sectors.
const SECTOR: u64 = 512;
/// Largest disk: its L1 table has 32 MiB.
const DISK_MAX: u64 = CLUSTER * (CLUSTER / 8) * ((32 << 20) / 8);

/// A disk image that has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub size: u64,
}

/// Why the image was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An invalid size of the disk.
    #[error("qcow2: a disk of {size} bytes: expected a multiple of {SECTOR}, 1 sector to {DISK_MAX} bytes")]
    Size {
        /// Bytes found.
        size: u64,
    },
    /// Reading or writing failed.
    #[error("qcow2: cannot {verb} {file} at byte {offset}")]
    Io {
        /// `read` or `write`.
        verb: &'static str,
        /// `the raw disk` or `the image`.
        file: &'static str,
        /// Where.
        offset: u64,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

fn reading(offset: u64) -> impl FnOnce(io::Error) -> Error {
    move |cause| Error::Io { verb: "read", file: "the raw disk", offset, cause }
}

fn writing(offset: u64) -> impl FnOnce(io::Error) -> Error {
    move |cause| Error::Io { verb: "write", file: "the image", offset, cause }
}

/// Writes the disk `raw` to `out`, whose old content is lost. The bytes depend only on the disk's content, not on its holes or
/// on the number of threads. Moves the position of `raw`.
///
/// # Errors
/// The disk is too large, is not whole sectors, or cannot be read; or `out` cannot be written.
pub fn write(raw: &File, out: &File) -> Result<Written, Error> {
    let size = raw.metadata().map_err(reading(0))?.len();
    if size == 0 || size > DISK_MAX || !size.is_multiple_of(SECTOR) {
        return Err(Error::Size { size });
    }
    let layout = Layout::new(size, &data_chunks(raw, 0, size, CLUSTER).map_err(reading(0))?);
    let file_size = layout.file_size();
    out.set_len(0).and_then(|()| out.set_len(file_size)).map_err(writing(0))?;
    layout.tables(|bytes, offset| out.write_all_at(bytes, offset).map_err(writing(offset)))?;

    let batches: Vec<_> = layout.data().chunks(BATCH).collect();
    let buffer = || vec![0; BATCH * CLUSTER_LEN];
    workers::each(batches.len(), workers::per_cpu(), buffer, |buffer, number| {
        let mut filled = 0;
        for from in batches[number].iter().map(|cluster| cluster * CLUSTER) {
            // The disk may end within its last cluster. The file holds the whole cluster, with zeros at its end.
            let len = usize::try_from(size - from).unwrap_or(CLUSTER_LEN).min(CLUSTER_LEN);
            raw.read_exact_at(&mut buffer[filled..filled + len], from).map_err(reading(from))?;
            filled += len;
        }
        let to = layout.data_offset(number * BATCH);
        out.write_all_at(&buffer[..filled], to).map_err(writing(to))
    })?;
    Ok(Written { size: file_size })
}
