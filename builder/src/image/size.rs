//! The size that each package, each overlay and Berth itself add to the image.

use crate::tree::{Kind, Show, Tree, TreePath};
use anyhow::{Context, Result};
use berth_formats::data::Data;
use std::{collections::BTreeMap, io, sync::Arc};

/// zstd level of [`Cost::compressed`]. It is fast, and the sizes are proportional to those in a release.
pub const LEVEL: i32 = 3;

/// The regular files of one origin in the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// `package docker.io`, `overlay base`, `berth`.
    pub origin: Arc<str>,
    /// Number of files.
    pub files: u64,
    /// Size of the files in bytes.
    pub bytes: u64,
    /// Size in bytes of the files compressed as one zstd stream with [`LEVEL`]. An estimate of the size in a download.
    pub compressed: u64,
}

/// The costs of all origins, the largest first.
///
/// # Errors
/// If a file cannot be read.
pub fn costs(tree: &Tree) -> Result<Vec<Cost>> {
    let mut origins = BTreeMap::<Arc<str>, Vec<_>>::new();
    for (path, node) in tree.iter() {
        if let Kind::File(data) = &node.kind {
            origins.entry(Arc::clone(&node.origin)).or_default().push((path, data));
        }
    }
    let cost = |(origin, files): (Arc<str>, Vec<(&TreePath, &Data)>)| -> Result<Cost> {
        let mut encoder = zstd::Encoder::new(Count(0), LEVEL).context("zstd")?;
        for (path, data) in &files {
            let copied = data.reader().and_then(|mut reader| io::copy(&mut reader, &mut encoder));
            copied.with_context(|| format!("cannot read /{} of {origin}", Show(path)))?;
        }
        let bytes = files.iter().map(|(_, data)| data.len()).sum();
        Ok(Cost { origin, files: files.len() as u64, bytes, compressed: encoder.finish().context("zstd")?.0 })
    };
    let mut costs = origins.into_iter().map(cost).collect::<Result<Vec<_>>>()?;
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.bytes));
    Ok(costs)
}

/// A writer that only counts bytes.
struct Count(u64);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
