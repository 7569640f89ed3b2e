//! Unfinished files and folders: removed by the code that makes them, and when the process is interrupted.

use berth_file::{FileError, Flush, Replacement};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Paths of the whole process: the handler of a signal has no other way to them.
static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file or folder that is removed at the end, if it still has this name then.
#[derive(Debug)]
pub struct Scratch(PathBuf);

fn paths() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scratch {
    /// Takes `path`, which is about to be made. Call this first: then an interruption removes the file at any time.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        paths().insert(path.clone());
        Self(path)
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut paths = paths();
        remove(&self.0);
        paths.remove(&self.0);
    }
}

/// Replaces the file at `path` with what `write` writes. The unfinished file is removed after a failure and when the process is
/// interrupted.
///
/// # Errors
/// Those of `write` and of [`Replacement`]: the old file is still there.
pub fn replace<E: From<FileError>>(
    path: &Path,
    mode: u32,
    flush: Flush,
    write: impl FnOnce(&mut Replacement) -> Result<(), E>,
) -> Result<(), E> {
    let temporary = berth_file::temporary(path);
    paths().insert(temporary.clone());
    let replaced = Replacement::new(path, mode).map_err(E::from).and_then(|mut new| {
        write(&mut new)?;
        Ok(new.commit(flush)?)
    });
    // Not removed here: by now the name may be that of another process's file.
    paths().remove(&temporary);
    replaced
}

/// Removes all unfinished files, for a process that ends now. As long as the result lives, no new ones are made.
#[must_use]
pub fn clear() -> impl Sized {
    let paths = paths();
    paths.iter().for_each(|path| remove(path));
    paths
}

/// Returns if the process is not being interrupted; waits for its end otherwise. The failures that an interruption causes are
/// not worth a message.
pub fn settle() {
    drop(paths());
}

/// A failure cannot be reported here; the next build removes what is left.
fn remove(path: &Path) {
    /// Other threads may still put files into a folder, but only so many.
    const TRIES: usize = 100;
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            _ = (0..TRIES).find(|_| fs::remove_dir_all(path).is_ok() || !path.exists());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_stays_and_the_rest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let [folder, file, kept] = ["folder", "file", "kept"].map(|name| Scratch::new(path(name)));
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(file.path(), "").unwrap();
        fs::write(kept.path(), "").unwrap();
        fs::rename(kept.path(), path("published")).unwrap();
        drop((folder, file, kept));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["published"]);
    }
}
