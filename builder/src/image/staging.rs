//! Publishing a build: everything is written beside the output folder and appears there in one move.

use crate::scratch::Scratch;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

/// A folder that becomes the output folder, or vanishes.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    /// After a commit this is the old build; after a failure, what was written of the new one.
    work: Scratch,
    _lock_path: Scratch,
    /// Held until the end: two builds never share a folder.
    _lock: File,
}

/// What can go wrong while publishing.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// A file or folder cannot be made, moved or read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The output path is taken by something else.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Another build writes to the same folder.
    #[error("another build is writing to {}", .0.display())]
    Busy(PathBuf),
}

impl StagingError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // The system's reason decides.
            Self::Io { .. } => None,
            Self::NotAFolder(_) => Some("name a folder with -o".to_owned()),
            Self::Busy(_) => Some("wait until it has ended, or name another folder with -o".to_owned()),
        }
    }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StagingError + 'a {
    move |source| StagingError::Io { action, path: path.to_owned(), source }
}

impl Staging {
    /// Prepares to publish into `target`, which need not exist. What an earlier, killed build left beside it is removed.
    ///
    /// # Errors
    /// When the folder beside `target` cannot be made, or another build is at work there.
    pub fn new(target: &Path) -> Result<Self, StagingError> {
        // A link to nowhere is in the way, too.
        if target.symlink_metadata().is_ok() && !target.is_dir() {
            return Err(StagingError::NotAFolder(target.to_owned()));
        }
        // A link stands for the folder that it leads to: that one is exchanged, wherever it is.
        let target = &match target.is_symlink() {
            true => fs::canonicalize(target).map_err(io_error("follow", target))?,
            false => target.to_owned(),
        };
        let name = target.file_name().ok_or_else(|| StagingError::NotAFolder(target.to_owned()))?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(io_error("make folder", parent))?;
        let beside = |suffix: &str| {
            let mut file = std::ffi::OsString::from(".");
            file.push(name);
            file.push(suffix);
            parent.join(file)
        };
        let lock_path = beside(".lock");
        let lock = File::create(&lock_path).map_err(io_error("make", &lock_path))?;
        // The file may have been removed by a build that ended between our open and our lock.
        let same = |a: fs::Metadata, b: fs::Metadata| a.ino() == b.ino();
        let still_there = || Ok::<_, io::Error>(same(lock.metadata()?, fs::metadata(&lock_path)?));
        if lock.try_lock().is_err() || !still_there().unwrap_or(false) {
            return Err(StagingError::Busy(target.to_owned()));
        }
        let lock_path = Scratch::new(lock_path);
        let work = Scratch::new(beside(".partial"));
        remove(work.path())?;
        fs::create_dir(work.path()).map_err(io_error("make folder", work.path()))?;
        Ok(Self { target: target.to_owned(), work, _lock_path: lock_path, _lock: lock })
    }

    /// Where an output of this name is to be written.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// Makes an output file, readable and writable.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(&self, name: &str) -> Result<File, StagingError> {
        let path = self.path(name);
        File::options().read(true).write(true).create_new(true).open(&path).map_err(io_error("make", &path))
    }

    /// Publishes: `names` are all outputs. Other files of the output folder (other versions) stay in it.
    ///
    /// The folder is exchanged as a whole, so it holds the old build or the new one, whenever the process is killed.
    ///
    /// # Errors
    /// When something cannot be flushed or moved; the output folder is then as it was.
    pub fn commit(self, names: &[String]) -> Result<PathBuf, StagingError> {
        for name in names {
            let path = self.path(name);
            let file = File::open(&path).map_err(io_error("open", &path))?;
            file.sync_all().map_err(io_error("flush", &path))?;
        }
        if self.target.is_dir() {
            for entry in fs::read_dir(&self.target).map_err(io_error("list", &self.target))? {
                let entry = entry.map_err(io_error("list", &self.target))?;
                let kept = self.work.path().join(entry.file_name());
                if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                    keep(&entry.path(), &kept)?;
                }
            }
            match renameat_with(CWD, self.work.path(), CWD, &self.target, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                // A mount point, or a file system without exchange: file by file, checksums last.
                Err(_) => {
                    for name in names {
                        let (from, to) = (self.path(name), self.target.join(name));
                        fs::rename(&from, &to).map_err(io_error("move into place", &to))?;
                    }
                }
            }
        } else {
            fs::rename(self.work.path(), &self.target).map_err(io_error("move into place", &self.target))?;
        }
        // What is left there is the old build. Giving back the memory of large files takes time, one after the other.
        thread::scope(|scope| {
            for name in names {
                scope.spawn(|| fs::remove_file(self.path(name)));
            }
        });
        Ok(self.target.clone())
    }
}

fn keep(from: &Path, to: &Path) -> Result<(), StagingError> {
    if from.is_dir() {
        fs::create_dir(to).map_err(io_error("make folder", to))?;
        for entry in fs::read_dir(from).map_err(io_error("list", from))? {
            let entry = entry.map_err(io_error("list", from))?;
            keep(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    fs::hard_link(from, to).map_err(io_error("keep", from))
}

fn remove(path: &Path) -> Result<(), StagingError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&name| name.to_owned()).collect()
    }

    fn listing(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_commit_replaces_its_own_files_and_keeps_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        for (version, text) in [("1", "old"), ("2", "two"), ("1", "new")] {
            let staging = Staging::new(&out).unwrap();
            fs::write(staging.path(version), text).unwrap();
            assert!(!out.join(version).exists() || version == "1", "nothing shows before the commit");
            staging.commit(&names(&[version])).unwrap();
        }
        assert_eq!(fs::read_to_string(out.join("1")).unwrap(), "new");
        assert_eq!(fs::read_to_string(out.join("2")).unwrap(), "two");
        assert_eq!(listing(dir.path()), ["out"], "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("disk/real"), dir.path().join("link"));
        fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink("disk/real", &link).unwrap();
        for text in ["old", "new"] {
            let staging = Staging::new(&link).unwrap();
            fs::write(staging.path("a"), text).unwrap();
            staging.commit(&names(&["a"])).unwrap();
            assert_eq!(fs::read_to_string(real.join("a")).unwrap(), text);
        }
        assert!(link.is_symlink());
        assert_eq!(listing(dir.path()), ["disk", "link"]);
    }

    #[test]
    fn a_failed_build_leaves_the_earlier_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("a"), "old").unwrap();
        let staging = Staging::new(&out).unwrap();
        fs::write(staging.path("a"), "half").unwrap();
        assert!(matches!(Staging::new(&out), Err(StagingError::Busy(_))));
        drop(staging);
        assert_eq!(fs::read_to_string(out.join("a")).unwrap(), "old");
        assert_eq!(listing(dir.path()), ["out"]);
        // A missing output is an error before anything moves.
        let staging = Staging::new(&out).unwrap();
        assert!(staging.commit(&names(&["b"])).is_err());
        assert_eq!(listing(&out), ["a"]);
        // What a killed build left is removed by the next one.
        fs::create_dir(dir.path().join(".out.partial")).unwrap();
        fs::write(dir.path().join(".out.partial/junk"), "x").unwrap();
        drop(Staging::new(&out).unwrap());
        assert_eq!(listing(dir.path()), ["out"]);
    }
}
