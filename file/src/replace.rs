//! Replacing a file: after a crash at any time, either the old or the new file is there, complete.

use crate::FileError;
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// What [`Replacement::commit`] flushes to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing. For file systems in memory, and for caches that are verified when they are read.
    Nothing,
    /// The content, before the file gets its name. After a power cut the file has the complete old or the complete new content.
    Content,
    /// The content and the name. A power cut after the call cannot bring back the old content.
    ContentAndName,
}

/// A new file that is written as a temporary file in the same folder, and then replaces the old file.
///
/// Writers of the same file wait for each other. If the value is dropped without [`Replacement::commit`], the temporary file is removed
/// and the old file is not changed.
#[derive(Debug)]
pub struct Replacement {
    target: PathBuf,
    temporary: PathBuf,
    /// The temporary file. It is locked while it is open.
    file: File,
    is_committed: bool,
}

/// Replaces the file at `path` with a file that has these bytes. `mode` is reduced by the process's umask.
///
/// # Errors
/// [`FileError::Io`]. The old file is still in place, unless the last step failed, the flush of the folder.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, flush: Flush) -> Result<(), FileError> {
    let mut new = Replacement::new(path, mode)?;
    new.file.write_all(bytes).map_err(FileError::io("write", path))?;
    new.commit(flush)
}

/// The path of the temporary file: `.NAME.partial` in the same folder. If a killed process leaves it behind, the next writer of the same
/// file removes it.
#[must_use]
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

impl Replacement {
    /// Creates the temporary file for `path`. Waits while another process or thread replaces the same file.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn new(path: &Path, mode: u32) -> Result<Self, FileError> {
        let temporary = temporary(path);
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary) {
                Ok(file) => {
                    lock(&file, LONGEST_WAIT).map_err(FileError::io("lock", &temporary))?;
                    // Between open and lock, another writer may have removed the file, because it looked like a leftover of a killed
                    // process. Then try again.
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

    /// Gives the file to a user and a group, before anybody can see it under its name.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn give(&self, uid: u32, gid: u32) -> Result<(), FileError> {
        std::os::unix::fs::fchown(&self.file, Some(uid), Some(gid))
            .map_err(FileError::io("change owner of", &self.temporary))
    }

    /// Renames the temporary file to the target.
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
        // The lock is still held, so the path still names our own file. A failure does no harm: the next writer removes the file.
        if !self.is_committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Whether `path` still names the open file `file`.
fn names(path: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Longest wait for another writer. Without a limit, every process that may read the file could stop its writers for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Locks a temporary file. Continues without the lock after `longest`, and on a file system without locks. Then a writer can remove the
/// file of another one, which gets an error when it commits.
fn lock(file: &File, longest: Duration) -> io::Result<()> {
    let end = Instant::now() + longest;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Ok(()) | Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Error(error)) if is_unsupported(&error) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(ENOLCK)
}

/// Waits until the writer of the temporary file at `path` ends. Removes the file if its writer was killed.
fn await_or_remove(path: &Path) -> io::Result<()> {
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        // No writer creates anything but a regular file here. Remove a link or a device; a folder is an error.
        Ok(_) => return fs::remove_file(path).or_else(gone),
        Err(error) => return gone(error),
    }
    let other = match File::open(path) {
        Ok(other) => other,
        Err(error) => return gone(error),
    };
    lock(&other, LONGEST_WAIT)?;
    // A writer that finished has renamed or removed the file. If the file is still there, its writer was killed.
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
    fn a_lock_that_is_held_for_ever_does_not_stop_a_writer_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let (own, other) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        other.lock().unwrap();
        let (begin, longest) = (Instant::now(), Duration::from_millis(50));
        lock(&own, longest).unwrap();
        assert!(begin.elapsed() >= longest);
        assert!(matches!(own.try_lock(), Err(TryLockError::WouldBlock)), "the other process still has the lock");
    }

    #[test]
    fn a_file_is_created_and_replaced_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed");
        // Leftovers of killed processes do not prevent a replacement: neither a read-only file nor, below, a dangling link.
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
    fn a_failure_leaves_the_old_file_and_no_temporary_file() {
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
