//! The cache of unpacked kernel modules: `unpacked/SHA256.modules` beside the data file of a package, and its index.
//!
//! Each module is unpacked when the first image needs it, and appended. An index names only bytes that are in the file, and bytes never
//! change, so a build can read while another one appends. Builds that append wait for each other's file lock; the lock ends with its
//! process, and the next build cuts off what no index names.

use super::{error::AssembleError, unpack::io_error};
use berth_file::Flush;
use berth_formats::{
    data::Data,
    kmod::{self, KmodError},
    packing::Packing,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Version of the index format.
const FORMAT: u32 = 1;
/// At most this many modules are unpacked at once.
const THREADS: usize = 4;

/// A compressed module in the data file of a package.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) packing: Packing,
    /// Origin and path in the image, for messages.
    pub(super) origin: String,
    pub(super) path: String,
}

/// The unpacked modules of a package: offset of the compressed module in the data file → offset and length in the modules file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Index {
    format: u32,
    /// Length of the modules file in bytes when the index was written. It may be longer now.
    len: u64,
    modules: BTreeMap<u64, (u64, u64)>,
}

/// The unpacked content of `wanted`, in its order. `data` is the data file of the package, `limit` the largest module in bytes.
pub(super) fn unpack(data: &Arc<Path>, wanted: &[Wanted], limit: u64) -> Result<Vec<Data>, AssembleError> {
    let (modules, index_file) = (data.with_extension("modules"), data.with_extension("modules-index"));
    let there = |index: &Index| wanted.iter().all(|module| index.modules.contains_key(&module.offset));
    let index = match published(&modules, &index_file).filter(there) {
        Some(index) => index,
        None => append(data, wanted, limit, (&modules, &index_file))?,
    };
    let file: Arc<Path> = modules.into();
    let found = wanted.iter().filter_map(|module| index.modules.get(&module.offset));
    Ok(found.map(|(offset, len)| Data::File { path: Arc::clone(&file), offset: *offset, len: *len }).collect())
}

/// The index, if the modules file has all bytes that it names.
fn published(modules: &Path, index: &Path) -> Option<Index> {
    let index: Index = serde_json::from_slice(&fs::read(index).ok()?).ok()?;
    let whole = index.format == FORMAT && fs::metadata(modules).is_ok_and(|meta| meta.len() >= index.len);
    whole.then_some(index)
}

/// Unpacks what the index lacks, and publishes the new index.
fn append(
    data: &Path,
    wanted: &[Wanted],
    limit: u64,
    (modules, index_file): (&PathBuf, &PathBuf),
) -> Result<Index, AssembleError> {
    let mut options = OpenOptions::new();
    // Do not truncate: other builds may read the file.
    let file = options.read(true).write(true).create(true).truncate(false).open(modules);
    let file = file.map_err(io_error("make", modules))?;
    file.lock().map_err(io_error("lock", modules))?;
    let index = published(modules, index_file).unwrap_or(Index { format: FORMAT, ..Index::default() });
    file.set_len(index.len).map_err(io_error("cut", modules))?;
    let missing: Vec<&Wanted> = wanted.iter().filter(|module| !index.modules.contains_key(&module.offset)).collect();
    let packed = File::open(data).map_err(io_error("open", data))?;
    let index = unpack_all((&packed, data), &missing, limit, (&file, modules, index))?;
    file.sync_data().map_err(io_error("flush", modules))?;
    let text = serde_json::to_vec(&index).map_err(|error| io_error("write", index_file)(error.into()))?;
    berth_file::replace(index_file, &text, 0o666, Flush::Content).map_err(|error| {
        let (action, path, source) = error.into_parts();
        AssembleError::Cache { action, path, source }
    })?;
    Ok(index)
}

/// Unpacks several modules at once. If modules cannot be unpacked, the error is that of the first one in the order of `missing`.
fn unpack_all(
    (packed, data): (&File, &Path),
    missing: &[&Wanted],
    limit: u64,
    (file, modules, index): (&File, &Path, Index),
) -> Result<Index, AssembleError> {
    let (next, stop, end) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(index));
    let one = |module: &Wanted| {
        let broken = AssembleError::module(&module.origin, &module.path);
        let Ok(size) = usize::try_from(module.len) else { return Err(broken(KmodError::TooLarge { limit })) };
        let mut bytes = vec![0; size];
        packed.read_exact_at(&mut bytes, module.offset).map_err(io_error("read", data))?;
        let content = kmod::unpack(&bytes, module.packing, limit).map_err(broken)?;
        let mut index = end.lock().unwrap_or_else(PoisonError::into_inner);
        let at = index.len;
        file.write_all_at(&content, at).map_err(io_error("write", modules))?;
        index.modules.insert(module.offset, (at, content.len() as u64));
        index.len += content.len() as u64;
        Ok(())
    };
    let work = || {
        while let Some((at, module)) = (!stop.load(Ordering::Relaxed))
            .then(|| next.fetch_add(1, Ordering::Relaxed))
            .and_then(|at| Some((at, missing.get(at)?)))
        {
            if let Err(error) = one(module) {
                stop.store(true, Ordering::Relaxed);
                return Some((at, error));
            }
        }
        None
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS).min(missing.len());
    let failed: Option<(usize, AssembleError)> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.chain([mine]).flatten().min_by_key(|(at, _)| *at)
    });
    match failed {
        Some((_, error)) => Err(error),
        None => Ok(end.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}
