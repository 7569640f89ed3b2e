//! Folders that are expensive to make. They are made once and shared by several processes: saved machines, builds, and releases.

use crate::error::VmError;
use berth_contract::digest::Sha256;
use sha2::Digest;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

/// A folder that is older than this is not used for new tests. The clock of a saved machine continues from the time of saving, so a saved
/// machine must not be too old.
pub const FRESH: Duration = Duration::from_secs(6 * 3600);
/// A folder that is older than this is no longer in use, and is removed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// Number of digits of a digest in a name.
const DIGITS: usize = 16;
/// The name of a folder that is not complete yet.
const INCOMPLETE: &str = "new";

/// Returns the path of a fresh folder `name` in `parent`. If there is no fresh folder, `make` fills a new one, and the new folder gets its
/// final name when it is complete. Meanwhile other processes that want the same folder wait. `name` must contain a digest of everything
/// that the content depends on ([`name_of`]). A complete folder never changes, because other processes may use it: an old folder is not
/// refilled, but gets a successor with the next number.
///
/// # Errors
/// The errors of `make`. Also if a file cannot be made or moved.
pub fn once<E: From<VmError>>(
    parent: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| E::from(VmError::Io { doing, path, source })
    };
    let all = parent.join(name);
    fs::create_dir_all(&all).map_err(io("make folder", &all))?;
    let lock = parent.join(format!("{name}.lock"));
    let file = File::create(&lock).map_err(io("make", &lock))?;
    file.lock().map_err(io("lock", &lock))?;
    let last = last(&all);
    let of = |number: u64| all.join(number.to_string());
    if let Some(number) = last.filter(|&number| age(&of(number)).is_some_and(|age| age < FRESH)) {
        return Ok(of(number));
    }
    remove_abandoned(parent);
    let (new, folder) = (all.join(INCOMPLETE), of(last.map_or(1, |number| number + 1)));
    if new.exists() {
        fs::remove_dir_all(&new).map_err(io("remove", &new))?;
    }
    fs::create_dir_all(&new).map_err(io("make folder", &new))?;
    make(&new)?;
    fs::rename(&new, &folder).map_err(io("rename", &new))?;
    Ok(folder)
}

/// A name for [`once`]: `kind` and a digest of `parts`.
#[must_use]
pub fn name_of<T: AsRef<[u8]>>(kind: &str, parts: &[T]) -> String {
    let mut digest = sha2::Sha256::new();
    for part in parts.iter().map(AsRef::as_ref) {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    let digest = Sha256(digest.finalize().into()).to_string();
    format!("{kind}-{}", &digest[..DIGITS])
}

/// Path, size and modification time of a file. They are used in a digest instead of the content, which would take long to read.
///
/// # Errors
/// If the file does not exist or cannot be examined.
pub fn stamp(path: &Path) -> Result<String, VmError> {
    let io = |source| VmError::Io { doing: "examine", path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    let changed = metadata.modified().map_err(io)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", fs::canonicalize(path).map_err(io)?.display(), metadata.len(), changed.as_nanos()))
}

/// The highest number among the names in the folder `all`.
fn last(all: &Path) -> Option<u64> {
    let names = fs::read_dir(all).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max()
}

/// Time since `path` was last changed. `None` if it does not exist.
fn age(path: &Path) -> Option<Duration> {
    let changed = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    // A time in the future counts as now.
    Some(changed.elapsed().unwrap_or_default())
}

/// Removes old folders in `parent`. Errors are ignored: a folder that stays only takes space.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        // The time of a folder is the time at which an entry was last made in it.
        if path.is_dir() && age(&path).is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::FileTimes,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    fn set_age(path: &Path, age: Duration) {
        let file = File::open(path).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_times(FileTimes::new().set_modified(now - age)).unwrap();
    }

    #[test]
    fn a_folder_that_several_threads_want_is_made_once() {
        let parent = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        let make = |folder: &Path| {
            made.fetch_add(1, Ordering::SeqCst);
            fs::write(folder.join("content"), "complete").unwrap();
            Ok::<_, VmError>(())
        };
        let want = || {
            let folder = once(parent.path(), "a", make).unwrap();
            assert_eq!(fs::read_to_string(folder.join("content")).unwrap(), "complete");
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(want))));
        assert_eq!(made.load(Ordering::SeqCst), 1);
        set_age(&parent.path().join("a/1"), FRESH + Duration::from_secs(1));
        want();
        assert_eq!(made.load(Ordering::SeqCst), 2, "an old folder gets a successor");
        assert!(parent.path().join("a/1").is_dir(), "another process may still use the old folder");
    }

    #[test]
    fn an_incomplete_folder_is_made_again_and_abandoned_folders_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let old = parent.path().join("old");
        fs::create_dir(&old).unwrap();
        set_age(&old, ABANDONED + Duration::from_secs(1));
        let fail = |_: &Path| Err(VmError::Monitor("no".to_owned()));
        once(parent.path(), "a", fail).unwrap_err();
        assert!(!old.exists() && !parent.path().join("a/1").exists());
        let made = once(parent.path(), "a", |_| Ok::<_, VmError>(())).unwrap();
        assert!(made.is_dir() && made.ends_with("a/1"));
    }

    #[test]
    fn names_differ_when_parts_are_split_differently() {
        let name = name_of("kind", &["a", "bc"]);
        assert!(name.starts_with("kind-") && name.len() == 5 + DIGITS, "{name}");
        assert_ne!(name, name_of("kind", &["ab", "c"]));
        let file = tempfile::NamedTempFile::new().unwrap();
        let before = stamp(file.path()).unwrap();
        fs::write(file.path(), "longer").unwrap();
        assert_ne!(stamp(file.path()).unwrap(), before);
        stamp(Path::new("/nonexistent")).unwrap_err();
    }
}
