//! Publishes a build. All outputs are written to a folder beside the output folder, and are moved into place in one step.

use crate::scratch::Scratch;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
};

/// A temporary folder for the outputs. A commit makes it the output folder. Without a commit it is removed.
#[derive(Debug)]
pub struct Staging {
    target: PathBuf,
    /// The caller works in the output folder or below it: the folder itself must stay.
    in_place: bool,
    /// The temporary folder, removed at the end. After a commit it has the old build, after a failure the part of the new build
    /// that was written.
    work: Scratch,
    _lock_path: Scratch,
    /// Held until the end, so that two builds cannot write to the same folder.
    _lock: File,
}

/// The build cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("another build is writing to {}", .0.display())]
    Busy(PathBuf),
}

impl StagingError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // The hint depends on the system's reason.
            Self::Io { .. } => None,
            Self::NotAFolder(_) => Some("name a folder with -o".to_owned()),
            Self::Busy(_) => Some("wait until that build has ended, or name another folder with -o".to_owned()),
        }
    }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StagingError + 'a {
    move |source| StagingError::Io { action, path: path.to_owned(), source }
}

impl Staging {
    /// Makes the temporary folder beside `target`. `target` does not have to exist. Removes the temporary folder of an earlier build
    /// that was killed.
    ///
    /// # Errors
    /// If the temporary folder cannot be made, or another build is writing to `target`.
    pub fn new(target: &Path) -> Result<Self, StagingError> {
        // `symlink_metadata`, because a link to a missing path is an error, too.
        if target.symlink_metadata().is_ok() && !target.is_dir() {
            return Err(StagingError::NotAFolder(target.to_owned()));
        }
        // If `target` is a link, replace the folder that it leads to, not the link. `.` and `..` have no name of their own.
        let target = &match target.is_symlink() || target.file_name().is_none() {
            true => fs::canonicalize(target).map_err(io_error("follow", target))?,
            false => target.to_owned(),
        };
        let here = |target: PathBuf| fs::canonicalize(".").is_ok_and(|here| here.starts_with(target));
        let in_place = fs::canonicalize(target).is_ok_and(here);
        let (parent, name) = match (in_place, target.parent(), target.file_name()) {
            (true, ..) => (target.as_path(), OsStr::new("berth")),
            (false, Some(parent), Some(name)) if !parent.as_os_str().is_empty() => (parent, name),
            (false, _, Some(name)) => (Path::new("."), name),
            (false, _, None) => return Err(StagingError::NotAFolder(target.to_owned())),
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
        // Another build may end between our open and our lock, and remove the lock file. Then our lock protects nothing.
        let same = |a: fs::Metadata, b: fs::Metadata| a.ino() == b.ino();
        let still_there = || Ok::<_, io::Error>(same(lock.metadata()?, fs::metadata(&lock_path)?));
        if lock.try_lock().is_err() || !still_there().unwrap_or(false) {
            return Err(StagingError::Busy(target.to_owned()));
        }
        let lock_path = Scratch::new(lock_path);
        let work = Scratch::new(beside(".partial"));
        remove(work.path())?;
        fs::create_dir(work.path()).map_err(io_error("make folder", work.path()))?;
        Ok(Self { target: target.to_owned(), in_place, work, _lock_path: lock_path, _lock: lock })
    }

    /// The path to which the output `name` must be written.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// Creates an output file and opens it for reading and writing.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(&self, name: &str) -> Result<File, StagingError> {
        let path = self.path(name);
        File::options().read(true).write(true).create_new(true).open(&path).map_err(io_error("make", &path))
    }

    /// Publishes the build. `names` are all outputs. Other files in the output folder (other versions) stay there.
    ///
    /// The folder is exchanged as a whole. If the process is killed, the output folder has either the old or the new build. If the caller
    /// works in the output folder, its files are moved one by one, checksums last.
    ///
    /// # Errors
    /// If a file cannot be flushed or moved. The output folder is then unchanged.
    pub fn commit(self, names: &[String]) -> Result<PathBuf, StagingError> {
        for name in names {
            let path = self.path(name);
            let file = File::open(&path).map_err(io_error("open", &path))?;
            file.sync_all().map_err(io_error("flush", &path))?;
        }
        if self.in_place {
            self.move_all(names)?;
        } else if self.target.is_dir() {
            for entry in fs::read_dir(&self.target).map_err(io_error("list", &self.target))? {
                let entry = entry.map_err(io_error("list", &self.target))?;
                let kept = self.work.path().join(entry.file_name());
                if !names.iter().any(|name| entry.file_name() == name.as_str()) {
                    keep(&entry.path(), &kept)?;
                }
            }
            match renameat_with(CWD, self.work.path(), CWD, &self.target, RenameFlags::EXCHANGE) {
                Ok(()) => {}
                // The target is a mount point, or its file system cannot exchange folders: move the files one by one, checksums
                // last.
                Err(_) => self.move_all(names)?,
            }
        } else {
            fs::rename(self.work.path(), &self.target).map_err(io_error("move into place", &self.target))?;
        }
        // The temporary folder now has the old build. Removing large files takes time, so remove them in parallel.
        thread::scope(|scope| {
            for name in names {
                scope.spawn(|| fs::remove_file(self.path(name)));
            }
        });
        Ok(self.target.clone())
    }

    fn move_all(&self, names: &[String]) -> Result<(), StagingError> {
        for name in names {
            let (from, to) = (self.path(name), self.target.join(name));
            fs::rename(&from, &to).map_err(io_error("move into place", &to))?;
        }
        Ok(())
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
            assert!(!out.join(version).exists() || version == "1", "no output is published before the commit");
            staging.commit(&names(&[version])).unwrap();
        }
        assert_eq!(fs::read_to_string(out.join("1")).unwrap(), "new");
        assert_eq!(fs::read_to_string(out.join("2")).unwrap(), "two");
        assert_eq!(listing(dir.path()), ["out"], "no temporary file is left beside the output folder");
    }

    #[test]
    fn an_output_folder_that_is_a_link_stays_a_link() {
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

    /// The folder where the caller works must stay, so its temporary folder is inside.
    #[test]
    fn a_folder_without_a_name_of_its_own_is_an_output_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("out/inner")).unwrap();
        for (target, text) in [("out/inner/..", "one"), ("out/.", "two")] {
            let staging = Staging::new(&dir.path().join(target)).unwrap();
            fs::write(staging.path("a"), text).unwrap();
            staging.commit(&names(&["a"])).unwrap();
            assert_eq!(fs::read_to_string(dir.path().join("out/a")).unwrap(), text);
        }
        let here = Staging::new(Path::new(".")).unwrap();
        assert!(here.in_place && here.path("a").ends_with(".berth.partial/a"));
    }

    #[test]
    fn a_failed_build_leaves_only_the_earlier_build() {
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
        // A missing output is an error before any file is moved.
        let staging = Staging::new(&out).unwrap();
        assert!(staging.commit(&names(&["b"])).is_err());
        assert_eq!(listing(&out), ["a"]);
        // The next build removes the temporary folder of a killed build.
        fs::create_dir(dir.path().join(".out.partial")).unwrap();
        fs::write(dir.path().join(".out.partial/junk"), "x").unwrap();
        drop(Staging::new(&out).unwrap());
        assert_eq!(listing(dir.path()), ["out"]);
    }
}
