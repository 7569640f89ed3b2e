//! What each package, overlay and program costs.

use crate::tree::{Kind, Tree};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    io,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

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
    let mut origins: Vec<_> = origins.into_iter().collect();
    let bytes = |files: &[(_, &berth_formats::data::Data)]| files.iter().map(|(_, data)| data.len()).sum::<u64>();
    // The largest first, so that none of them starts last; equal ones by name.
    origins.sort_by_key(|(_, files)| std::cmp::Reverse(bytes(files)));
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, Cost)>> {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((origin, files)) = origins.get(at) else { return Ok(done) };
            let mut encoder = zstd::Encoder::new(Count(0), LEVEL).context("zstd")?;
            for (path, data) in files {
                let copied = data.reader().and_then(|mut reader| io::copy(&mut reader, &mut encoder));
                copied.with_context(|| format!("cannot read /{} of {origin}", String::from_utf8_lossy(path)))?;
            }
            let compressed = encoder.finish().context("zstd")?.0;
            let (origin, files, bytes) = (Arc::clone(origin), files.len() as u64, bytes(files));
            done.push((at, Cost { origin, files, bytes, compressed }));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut costs = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut costs = work()?;
        for other in others {
            costs.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok::<_, anyhow::Error>(costs)
    })?;
    costs.sort_by_key(|(at, _)| *at);
    Ok(costs.into_iter().map(|(_, cost)| cost).collect())
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
