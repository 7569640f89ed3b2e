//! What is half made: files and folders that vanish with whoever makes them, and when the process is interrupted.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Of the whole process: a signal knows nobody's values.
static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A file or folder that is removed at the end, if it still has this name then.
#[derive(Debug)]
pub struct Scratch(PathBuf);

fn paths() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scratch {
    /// `path` will be this process's own. Say so before it is made: then it does not outlive an interruption.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        paths().insert(path.clone());
        Self(path)
    }

    /// Where it is.
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

/// Removes everything that is half made, for a process that ends now. As long as the result lives, nobody makes anything new.
#[must_use]
pub fn clear() -> impl Sized {
    let paths = paths();
    paths.iter().for_each(|path| remove(path));
    paths
}

/// Returns when no interruption is at work, so never when one is: the failures that it causes are no news.
pub fn settle() {
    drop(paths());
}

/// Nobody can be told about a failure here; the next build removes what is left.
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
