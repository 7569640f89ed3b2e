//! Sizes and digests of the outputs.

use super::staging::Staging;
use crate::plan::Outputs;
use anyhow::{Context, Result};
use berth_contract::digest::Sha256;
use berth_formats::verity;
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use serde::Serialize;
use sha2::Digest;
use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, panic::resume_unwind, path::Path, thread};

/// Size and digest of an output.
#[derive(Clone, Debug, Serialize)]
pub struct OutputEntry {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the content. The raw disk has it only with [`RawDigest::Sha256Too`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Only for the raw disk: the digest that `fsverity digest` prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsverity: Option<Sha256>,
}

/// The digests of the raw disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RawDigest {
    /// Only the fs-verity digest. It is fast: it uses all processors, and holes of the disk take no time.
    #[default]
    FsVerity,
    /// Also a plain SHA-256. It is slow: it must hash every byte of the disk in order, including holes.
    Sha256Too,
}

/// Flushes and measures all outputs except manifest and checksums. `copy` writes the disk in the other formats and returns the names
/// of those files.
///
/// # Errors
/// If an output cannot be read, flushed or written.
pub fn measure_all(
    outputs: &Outputs,
    staging: &Staging,
    raw: RawDigest,
    copy: impl FnOnce() -> Result<Vec<String>>,
) -> Result<BTreeMap<String, OutputEntry>> {
    let with_path = |name: &String, measure: &dyn Fn(&Path) -> io::Result<OutputEntry>| {
        let path = staging.path(name);
        let entry = measure(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.clone(), entry))
    };
    let one = |name: &String| with_path(name, &measure);
    let Outputs { raw: disk, root, verity, uki, .. } = outputs;
    thread::scope(|scope| {
        let plain = (raw == RawDigest::Sha256Too).then(|| scope.spawn(|| one(disk)));
        // In parallel, because neither writing one file nor one digest keeps all processors busy.
        let rest = scope.spawn(|| [root, verity, uki].into_iter().map(one).collect::<Result<BTreeMap<_, _>>>());
        let copies = copy()?;
        let entry = scope.spawn(|| with_path(disk, &measure_raw));
        let copies = copies.iter().map(one).collect::<Result<Vec<_>>>()?;
        let mut all = join(rest)?;
        let (name, mut entry) = join(entry)?;
        if let Some((_, plain)) = plain.map(join).transpose()? {
            entry.sha256 = plain.sha256;
        }
        all.insert(name, entry);
        all.extend(copies);
        Ok(all)
    })
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn measure_raw(path: &Path) -> io::Result<OutputEntry> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let digest = verity::file_digest(&file, size).map_err(io::Error::other)?;
    file.sync_all()?;
    Ok(OutputEntry { size, sha256: None, fsverity: Some(digest) })
}

/// Size and SHA-256 of the file at `path`. Does not read holes, because they are zeros and most of a sparse disk is holes.
fn measure(path: &Path) -> io::Result<OutputEntry> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut hash, mut buffer, mut at) = (sha2::Sha256::new(), vec![0; CHUNK], 0);
    let zeros = vec![0; CHUNK];
    while at < size {
        let data = match seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error.into()),
        };
        for len in chunks(at, data) {
            hash.update(&zeros[..len]);
        }
        at = data;
        let hole = if at < size { seek(&file, SeekFrom::Hole(at))?.min(size) } else { size };
        for len in chunks(at, hole) {
            file.read_exact_at(&mut buffer[..len], at)?;
            hash.update(&buffer[..len]);
            at += len as u64;
        }
    }
    file.sync_all()?;
    Ok(OutputEntry { size, sha256: Some(Sha256(hash.finalize().into())), fsverity: None })
}

const CHUNK: usize = 1 << 18;

/// Splits `from..to` into pieces of at most [`CHUNK`] bytes. Returns their lengths.
fn chunks(from: u64, to: u64) -> impl Iterator<Item = usize> {
    let whole = (to - from) / CHUNK as u64;
    let rest = usize::try_from((to - from) % CHUNK as u64).unwrap_or(0);
    (0..whole).map(|_| CHUNK).chain((rest > 0).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn holes_count_as_zeros() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (offset, text) in [(0, "start"), (3 << 20, "middle"), (7 << 20, "")] {
            file.as_file().write_all_at(text.as_bytes(), offset).unwrap();
        }
        for size in [0, 5, (3 << 20) + 2, (9 << 20) + 17] {
            file.as_file().set_len(size).unwrap();
            let judged = Command::new("sha256sum").arg(file.path()).output().unwrap().stdout;
            let found = measure(file.path()).unwrap();
            let digest = found.sha256.unwrap().to_string();
            assert_eq!((found.size, digest.as_bytes()), (size, &judged[..64]), "{size}");
        }
    }
}
