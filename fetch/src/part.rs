//! The file of an incomplete blob, `HEX.part`. It is locked while a process writes to it, and kept after an interruption.

use crate::{
    blob::{Blob, Want},
    error::{FetchError, io_error},
};
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

pub(crate) struct Part {
    file: File,
    path: PathBuf,
    target: PathBuf,
    want: Want,
    hash: sha2::Sha256,
    len: u64,
}

impl Part {
    /// Opens and locks the part file of `target`. Waits until no other thread or process holds the lock. Then hashes the
    /// bytes of earlier attempts. Returns `None` if the file was published or removed while waiting: then look for the blob
    /// again.
    pub(crate) fn lock(target: PathBuf, want: Want) -> Result<Option<Self>, FetchError> {
        let path = target.with_added_extension("part");
        let mut options = OpenOptions::new();
        // Do not truncate: another process may be writing to the file.
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("create", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        let ours = file.metadata().map_err(io_error("read", &path))?;
        match fs::metadata(&path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        }
        let mut part = Self { file, path, target, want, hash: sha2::Sha256::new(), len: 0 };
        if ours.len() > want.size {
            part.restart()?;
        }
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = part.file.read(&mut buffer).map_err(io_error("read", &part.path))?;
            if read == 0 {
                return Ok(Some(part));
            }
            part.hash.update(&buffer[..read]);
            part.len += read as u64;
        }
    }

    /// Number of bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Digest of the bytes so far.
    pub(crate) fn digest(&self) -> Sha256 {
        Sha256(self.hash.clone().finalize().into())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(io_error("write", &self.path))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Discards all bytes.
    pub(crate) fn restart(&mut self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(io_error("truncate", &self.path))?;
        self.file.rewind().map_err(io_error("rewind", &self.path))?;
        self.hash = sha2::Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Renames the file to the blob's name. Call this only if size and digest are right.
    pub(crate) fn publish(self) -> Result<Blob, FetchError> {
        debug_assert!(self.len == self.want.size && self.digest() == self.want.sha256);
        // Order: flush the content, rename, flush the folder. A crash then leaves the whole blob or no blob.
        self.file.sync_all().map_err(io_error("write", &self.path))?;
        fs::rename(&self.path, &self.target).map_err(io_error("rename", &self.path))?;
        // Only after the rename: if the rename fails, later attempts must be able to write to the part file.
        self.file
            .set_permissions(Permissions::from_mode(0o444))
            .map_err(io_error("change the mode of", &self.target))?;
        if let Some(folder) = self.target.parent() {
            File::open(folder).and_then(|dir| dir.sync_all()).map_err(io_error("write", folder))?;
        }
        Ok(Blob { want: self.want, path: self.target.clone() })
    }
}

impl Drop for Part {
    /// Removes an empty part file. The lock is still held, so no other process can have written to the file.
    fn drop(&mut self) {
        if self.len == 0 {
            // An error here is harmless: the next attempt uses the empty file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_file_stays_writable_until_it_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("blob");
        let want = Want { size: 4, sha256: Sha256(sha2::Sha256::digest(b"blob").into()) };
        let part = || {
            let mut part = Part::lock(target.clone(), want).unwrap().unwrap();
            part.restart().unwrap();
            part.append(b"blob").unwrap();
            part
        };
        // The rename fails because a folder has the name.
        fs::create_dir(&target).unwrap();
        assert!(matches!(part().publish(), Err(FetchError::Io { action: "rename", .. })));
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_ne!(mode(&target.with_added_extension("part")) & 0o200, 0);
        fs::remove_dir(&target).unwrap();
        part().publish().unwrap();
        assert_eq!(mode(&target), 0o444);
    }
}
