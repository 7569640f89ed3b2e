//! Folders that are expensive to make, made once and used by several processes: saved machines, and what tests build.

use crate::error::VmError;
use berth_contract::digest::Sha256;
use sha2::Digest;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

/// A folder is made anew when it is older than this. A saved machine's clock goes on from the time at which the machine was saved.
pub const FRESH: Duration = Duration::from_secs(6 * 3600);
/// A folder that is older than this is in nobody's use, and is removed.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// Digits of a digest in a name.
const DIGITS: usize = 16;
/// The name of a folder that is not complete yet.
const INCOMPLETE: &str = "new";

/// A fresh folder `name` in `parent`. When there is none, `make` fills a new one, which gets its name when it is complete. Another process
/// that wants the same folder waits meanwhile. `name` has to hold a digest of everything that the content depends on ([`name_of`]). The
/// folder stays as it is for as long as anybody may use it: a folder that is not fresh any more gets a successor.
///
/// # Errors
/// Those of `make`, or a file that cannot be made or moved.
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

/// A name for [`once`]: `kind`, and a digest of `parts`.
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

/// Name, size and time of a file, in place of its content.
///
/// # Errors
/// When the file cannot be looked at.
pub fn stamp(path: &Path) -> Result<String, VmError> {
    let io = |source| VmError::Io { doing: "look at", path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    let changed = metadata.modified().map_err(io)?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", fs::canonicalize(path).map_err(io)?.display(), metadata.len(), changed.as_nanos()))
}

/// The highest number that a folder in `all` has as its name.
fn last(all: &Path) -> Option<u64> {
    let names = fs::read_dir(all).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max()
}

/// Time since `path` was last changed; nothing for one that is not there.
fn age(path: &Path) -> Option<Duration> {
    let changed = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    // A time in the future counts as now.
    Some(changed.elapsed().unwrap_or_default())
}

/// What cannot be looked at or removed stays: it costs room, no more.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        // A folder's time is that of the last entry that was made in it.
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
    fn several_that_want_the_same_folder_make_it_once() {
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
        assert!(parent.path().join("a/1").is_dir(), "somebody may still use it");
    }

    #[test]
    fn a_folder_that_could_not_be_completed_is_made_again_and_old_ones_go() {
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
    fn names_keep_parts_apart() {
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
