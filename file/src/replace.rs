//! Replacing a file: a crash at any time leaves the old file or the new one.

use crate::FileError;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What is on the disk when [`Replacement::commit`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing need be: for file systems in memory, and for caches that are checked when they are read.
    Nothing,
    /// The content is, before the file gets its name. After a power cut the name means the old content or the new one.
    Content,
    /// The content and the name are: a power cut after the call does not bring the old content back.
    ContentAndName,
}

/// A new file that is being written beside the one that it will replace.
///
/// Writers of the same file wait for each other. Dropping the value without [`Replacement::commit`] removes the new file and
/// leaves the old one as it is.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    temporary: PathBuf,
    /// Locked as long as it is open.
    file: File,
    is_committed: bool,
}

/// Puts a file with these bytes at `path`, in place of what is there. `mode` is reduced by the process's umask.
///
/// # Errors
/// [`FileError::Io`]: then the old file is in place (only the last step, the flush of the folder, can fail later).
pub fn replace(path: &Path, bytes: &[u8], mode: u32, flush: Flush) -> Result<(), FileError> {
    let mut new = Replacement::new(path, mode)?;
    new.file.write_all(bytes).map_err(FileError::io("write", path))?;
    new.commit(flush)
}

/// The path at which [`Replacement`] writes: `.NAME.partial` in the same folder. What a killed process left there is removed by
/// the next writer of the same file.
#[must_use]
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

impl Replacement {
    /// Begins to replace the file at `path`. Waits while another process or thread replaces the same file.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn new(path: &Path, mode: u32) -> Result<Self, FileError> {
        let temporary = temporary(path);
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
                Ok(file) => {
                    file.lock().map_err(FileError::io("lock", &temporary))?;
                    // Between open and lock, another writer may have taken the file for one of a killed process.
                    if names(&temporary, &file).map_err(FileError::io("read", &temporary))? {
                        return Ok(Self { target: path.to_owned(), temporary, file, is_committed: false });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    await_or_remove(&temporary).map_err(FileError::io("remove the unfinished file", &temporary))?;
                }
                Err(error) => return Err(FileError::io("write", path)(error)),
            }
        }
    }

    /// Gives the new file its name.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn commit(mut self, flush: Flush) -> Result<(), FileError> {
        if flush != Flush::Nothing {
            self.file.sync_all().map_err(FileError::io("write", &self.target))?;
        }
        fs::rename(&self.temporary, &self.target).map_err(FileError::io("replace", &self.target))?;
        self.is_committed = true;
        if flush == Flush::ContentAndName {
            // The parent of a plain file name is the empty path, which cannot be opened.
            let folder = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::io("flush", folder))?;
        }
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // The lock is still held, so this is our own file. A failure does no harm: the next writer removes what is left.
        if !self.is_committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Whether `path` is the name of `file`.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits for the writer of the temporary file at `path`, and removes the file if its writer was killed.
fn await_or_remove(path: &Path) -> io::Result<()> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        // Never made by a writer: remove a link and the like, refuse a folder.
        Ok(_) => return fs::remove_file(path).or_else(gone),
        Err(error) => return gone(error),
    }
    let other = match File::open(path) {
        Ok(other) => other,
        Err(error) => return gone(error),
    };
    other.lock()?;
    // A writer that ended has renamed or removed the file. A file that is still there belongs to nobody.
    if names(path, &other)? { fs::remove_file(path).or_else(gone) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_made_replaced_and_gets_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        // Of processes that were killed: not even a read-only one stands in the way, nor does a link to nowhere.
        fs::write(temporary(&path), "left over").unwrap();
        fs::set_permissions(temporary(&path), fs::Permissions::from_mode(0o400)).unwrap();
        for (text, mode, flush) in
            [("one", 0o400, Flush::Nothing), ("two", 0o600, Flush::Content), ("three", 0o444, Flush::ContentAndName)]
        {
            replace(&path, text.as_bytes(), mode, flush).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
            std::os::unix::fs::symlink("nowhere", temporary(&path)).unwrap();
        }
        replace(&path, b"four", 0o600, Flush::Content).unwrap();
        assert_eq!(names_in(dir.path()), ["seed"]);
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut given_up = Replacement::new(&path, 0o600).unwrap();
        given_up.write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names_in(dir.path())),
            ("old", vec!["file".to_owned()])
        );

        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("inside")).unwrap();
        let error = replace(&folder, b"", 0o600, Flush::Content).unwrap_err();
        assert!(matches!(&error, FileError::Io { doing: "replace", path, .. } if *path == folder), "{error:?}");
        assert_eq!(names_in(dir.path()), ["file", "folder"]);

        fs::create_dir(temporary(&path)).unwrap();
        let error = replace(&path, b"new", 0o600, Flush::Content).unwrap_err();
        assert!(matches!(&error, FileError::Io { path: at, .. } if *at == temporary(&path)), "{error:?}");
        let error = replace(Path::new("/no/such/folder/x"), b"", 0o600, Flush::Content).unwrap_err();
        assert_eq!(error.to_string(), "cannot write /no/such/folder/x");
    }

    #[test]
    fn writers_of_one_file_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::thread::scope(|scope| {
            for text in ["a".repeat(50_000), "b".to_owned(), "c".repeat(9)] {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..100 {
                        replace(path, text.as_bytes(), 0o600, Flush::Nothing).unwrap();
                        let read = fs::read_to_string(path).unwrap();
                        assert!([50_000, 1, 9].contains(&read.len()), "{} bytes: two writers were mixed", read.len());
                    }
                });
            }
        });
        assert_eq!(names_in(dir.path()), ["file"]);
    }
}
