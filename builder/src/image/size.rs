//! What each package, overlay and program costs.

use crate::tree::{Kind, Show, Tree, TreePath};
use anyhow::{Context, Result};
use berth_formats::data::Data;
use std::{collections::BTreeMap, io, sync::Arc};

/// zstd level of [`Cost::compressed`]: fast, and in proportion to what a release has.
pub const LEVEL: i32 = 3;

/// What one origin puts into the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// `package docker.io`, `overlay base`, `berth`.
    pub origin: Arc<str>,
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The same bytes as one zstd stream of [`LEVEL`]: what it adds to a download.
    pub compressed: u64,
}

/// The costs of all origins, the dearest first.
///
/// # Errors
/// When a file cannot be read.
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

/// Counts what is written.
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
