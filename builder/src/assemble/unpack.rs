//! The cache of unpacked packages: each .deb is unpacked once, into `unpacked/SHA256.data` and `unpacked/SHA256.index`.
//!
//! The data file is the tar archive of the package. The index is moved into place last, after the data file is flushed to the disk. So if an index exists, the package is
//! complete. If several builds need the same package at the same time, one of them unpacks it and the others wait for its file
//! lock. The lock ends with its process.

use super::{
    error::AssembleError,
    index::{Entry, FORMAT, PackageIndex},
    scripts,
};
use crate::{
    lock::{Lock, LockedPackage},
    scratch::Scratch,
};
use berth_contract::{container::ByteSize, digest::Sha256};
use berth_fetch::blob::Blob;
use berth_formats::deb::{Deb, entries};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A locked package in the store of fetched files.
#[derive(Clone, Debug)]
pub struct PackageInput {
    pub name: String,
    pub version: String,
    /// Path of the .deb. Its digest has been checked.
    pub deb: PathBuf,
    /// Digest of the .deb. Names the package's files in the cache.
    pub sha256: Sha256,
    /// Length of the .deb in bytes.
    pub size: u64,
    /// Size of the installed files in bytes, if the archive gives it. Limits how many bytes the package may unpack to.
    pub installed_size: Option<u64>,
}

impl PackageInput {
    /// The packages of a lock file with their fetched files. `debs` must be in the order of the lock file.
    #[must_use]
    pub fn all(lock: &Lock, debs: &[Blob]) -> Vec<Self> {
        let input = |(package, deb): (&LockedPackage, &Blob)| Self {
            name: package.name.clone(),
            version: package.version.clone(),
            deb: deb.path.clone(),
            sha256: package.sha256,
            size: package.size,
            installed_size: package.installed_size,
        };
        lock.packages.iter().zip(debs).map(input).collect()
    }
}

/// A package in the cache.
#[derive(Clone, Debug)]
pub(super) struct Unpacked {
    pub(super) index: PackageIndex,
    /// The data file. The offsets of the index refer to it.
    pub(super) data: Arc<Path>,
}

const MIB: u64 = 1 << 20;
/// At most this many packages are unpacked at once. xz needs about 30 MiB of memory per stream, so more threads would cost more
/// memory than the time that they save is worth.
const THREADS: usize = 4;

impl PackageInput {
    /// Largest tar in bytes that the package may unpack to, if the recipe does not say. Debian's installed size counts at least
    /// 1 KiB for each file, which covers the tar headers.
    fn limit(&self, lifted: Option<ByteSize>) -> u64 {
        match lifted.map(|size| size.0).or(self.installed_size) {
            Some(bytes) if lifted.is_some() => bytes,
            Some(bytes) => bytes.saturating_mul(2).saturating_add(16 * MIB),
            None => self.size.saturating_mul(64).saturating_add(64 * MIB),
        }
    }
}

pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> AssembleError + 'a {
    move |source| AssembleError::Cache { action, path: path.to_owned(), source }
}

/// Unpacks the packages that are not in the cache yet, several at once. Returns all packages in the order of `packages`. `lifted`
/// is the recipe's limit for what one package may unpack to.
///
/// # Errors
/// If packages cannot be unpacked, the error of the first one in the order of `packages`.
pub(super) fn unpack(
    cache: &Path,
    packages: &[PackageInput],
    lifted: Option<ByteSize>,
) -> Result<Vec<Unpacked>, AssembleError> {
    let folder = cache.join("unpacked");
    fs::create_dir_all(&folder).map_err(io_error("make folder", &folder))?;
    // Start with the largest packages, so that no thread starts a large one when the others have finished.
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(packages[at].size));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((at, one(&folder, &packages[at], lifted)));
        }
        done
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut done: Vec<_> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

fn one(folder: &Path, package: &PackageInput, lifted: Option<ByteSize>) -> Result<Unpacked, AssembleError> {
    let path = |ending: &str| folder.join(format!("{}.{ending}", package.sha256));
    // The temporary file of the index is also the lock file. It disappears in the moment in which the package is complete.
    let (data, index, part, claim) = (path("data"), path("index"), path("part"), path("index.part"));
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        // Do not truncate: another process may be writing to the file.
        options.read(true).write(true).create(true).truncate(false).open(path).map_err(io_error("make", path))
    };
    loop {
        if let Some(found) = published(&data, &index) {
            return Ok(found);
        }
        let mut lock = open(&claim)?;
        lock.lock().map_err(io_error("lock", &claim))?;
        // The previous holder of the lock may have renamed this file to the index, or removed it.
        let same = |there: fs::Metadata| {
            lock.metadata().is_ok_and(|ours| ours.ino() == there.ino() && ours.dev() == there.dev())
        };
        if !fs::metadata(&claim).is_ok_and(same) {
            continue;
        }
        // Both files are removed when this call fails or when another build has unpacked the package.
        let (claim, part) = (Scratch::new(claim), Scratch::new(part));
        if let Some(found) = published(&data, &index) {
            return Ok(found);
        }
        let mut file = open(part.path())?;
        let found = write(&mut file, (package, package.limit(lifted)), part.path())?;
        file.sync_data().map_err(io_error("flush", part.path()))?;
        fs::rename(part.path(), &data).map_err(io_error("move into place", &data))?;
        let text = serde_json::to_vec(&found).map_err(|error| io_error("write", claim.path())(error.into()))?;
        let write = lock.set_len(0).and_then(|()| lock.write_all(&text)).and_then(|()| lock.sync_data());
        write.map_err(io_error("write", claim.path()))?;
        fs::rename(claim.path(), &index).map_err(io_error("move into place", &index))?;
        return Ok(Unpacked { index: found, data: Arc::from(data.as_path()) });
    }
}

/// The package, if the cache has it completely.
fn published(data: &Path, index: &Path) -> Option<Unpacked> {
    let text = fs::read(index).ok()?;
    let index: PackageIndex = serde_json::from_slice(&text).ok()?;
    let whole = index.format == FORMAT && fs::metadata(data).is_ok_and(|meta| meta.len() == index.data_len);
    whole.then(|| Unpacked { index, data: Arc::from(data) })
}

fn write(file: &mut File, (package, limit): (&PackageInput, u64), part: &Path) -> Result<PackageIndex, AssembleError> {
    let broken = |source| AssembleError::Deb { package: package.name.clone(), source };
    file.set_len(0).map_err(io_error("empty", part))?;
    let deb = File::open(&package.deb).map_err(io_error("open", &package.deb))?;
    let mut deb = Deb::open(BufReader::with_capacity(1 << 16, deb)).map_err(broken)?;
    let mut member = |name: &str| {
        let bytes = deb.control.members.remove(name).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (preinst, postinst, triggers) = (member("preinst"), member("postinst"), member("triggers"));
    let answers = scripts::answers(&member("templates"), &member("config"));
    let paragraph = std::mem::take(&mut deb.control.paragraph);
    let mut tee = Tee { from: deb.into_data(limit), to: &mut *file, len: 0, failed: None };
    let entries = entries(&mut tee);
    if let Some(error) = tee.failed {
        return Err(io_error("write", part)(error));
    }
    let data_len = tee.len;
    let entries: Vec<Entry> = entries.map_err(broken)?.into_iter().map(Entry::from).collect();
    Ok(PackageIndex { format: FORMAT, data_len, paragraph, preinst, postinst, triggers, answers, entries })
}

/// A reader that also writes all bytes to a file.
struct Tee<'a, R> {
    from: R,
    to: &'a mut File,
    len: u64,
    /// The error of a failed write. Kept apart, because it is not a fault of the package.
    failed: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buf)?;
        if let Err(error) = self.to.write_all(&buf[..count]) {
            let again = io::Error::new(error.kind(), error.to_string());
            self.failed = Some(error);
            return Err(again);
        }
        self.len += count as u64;
        Ok(count)
    }
}
