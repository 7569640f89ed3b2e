//! Formats of the disk. A build writes the raw disk first and copies it into each other format: one row for each.
//!
//! To add a format, add a module with its row, and the row to [`DISK_FORMATS`].

mod qcow2;

use super::staging::Staging;
use crate::plan::Outputs;
use anyhow::{Context, Result};
use berth_formats::{place::Place, range::Range};
use std::fs::File;

/// A format other than raw.
#[derive(Debug)]
pub struct DiskFormat {
    /// File name extension, and the name in messages.
    pub extension: &'static str,
    /// Writes the raw disk into an empty file of this format.
    write: fn(raw: &File, out: &File) -> Result<()>,
    /// Names the structure at a byte of such a file. `None` if it cannot be read.
    pub place: fn(file: &Range<'_>, at: u64) -> Option<Place>,
}

/// All formats other than raw.
pub const DISK_FORMATS: &[DiskFormat] = &[qcow2::FORMAT];

/// Copies the raw disk into every other format; returns the names of the files.
///
/// # Errors
/// The disk cannot be read, or a file cannot be written.
pub fn write_copies(raw: &File, outputs: &Outputs, staging: &Staging) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for DiskFormat { extension, write, .. } in DISK_FORMATS {
        let name = outputs.disk(extension);
        write(raw, &staging.create(&name)?).context(*extension)?;
        names.push(name);
    }
    Ok(names)
}

/// All files of a build, in the order in which they are listed.
#[must_use]
pub fn all(outputs: &Outputs) -> Vec<String> {
    let Outputs { raw, root, verity, uki, manifest, checksums, .. } = outputs;
    let copies = DISK_FORMATS.iter().map(|format| outputs.disk(format.extension));
    let first = [raw, root, verity, uki].into_iter().cloned();
    first.chain(copies).chain([manifest.clone(), checksums.clone()]).collect()
}
