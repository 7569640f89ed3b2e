//! The content-addressed cache: files `blobs/sha256/HEX` below a folder that the user can choose.
//!
//! A blob is verified first and then renamed to its final name. So a name always matches its content, even if a process is
//! killed at any moment. Several processes may share a store.

use crate::{
    blob::{Blob, Want},
    error::{FetchError, io_error},
    part::Part,
};
use berth_contract::digest::Sha256;
use sha2::Digest as _;
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// An open store.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    blobs: PathBuf,
}

/// The result of [`Store::claim`].
pub(crate) enum Claim {
    Present(Blob),
    Absent(Part),
}

/// The default folder of the store: `berth` in the cache folder of the XDG Base Directory Specification. The arguments are
/// the values of `XDG_CACHE_HOME` and `HOME`. Returns `None` if neither is set to an absolute path.
#[must_use]
pub fn default_root(xdg_cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    // "All paths set in these environment variables must be absolute. [...] relative paths should be ignored."
    let absolute = |value: Option<&OsStr>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(xdg_cache_home).or_else(|| absolute(home).map(|home| home.join(".cache"))).map(|cache| cache.join("berth"))
}

impl Store {
    /// Opens the store in `root` and creates missing folders.
    ///
    /// # Errors
    /// [`FetchError::Io`] if a folder cannot be created.
    pub fn open(root: &Path) -> Result<Self, FetchError> {
        let blobs = root.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(io_error("create", &blobs))?;
        Ok(Self { root: root.to_owned(), blobs })
    }

    /// The store's folder. Other caches that are derived from blobs may be put beside `blobs`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn blob_path(&self, sha256: &Sha256) -> PathBuf {
        self.blobs.join(sha256.to_string())
    }

    /// Returns the blob if it is in the store. A blob of the wrong size is removed: a damaged file system must not damage an
    /// image. The digest is not checked here.
    ///
    /// # Errors
    /// [`FetchError::Io`] if the store cannot be read.
    pub fn get(&self, want: Want) -> Result<Option<Blob>, FetchError> {
        let path = self.blob_path(&want.sha256);
        match fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.len() == want.size => Ok(Some(Blob { want, path })),
            Ok(_) => {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Reads the whole blob and checks its digest.
    ///
    /// # Errors
    /// [`FetchError::Corrupt`] if the digest does not match the name.
    pub fn verify(&self, blob: &Blob) -> Result<(), FetchError> {
        let mut file = File::open(&blob.path).map_err(io_error("read", &blob.path))?;
        let mut hash = sha2::Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = file.read(&mut buffer).map_err(io_error("read", &blob.path))?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
        }
        let found = Sha256(hash.finalize().into());
        if found == blob.want.sha256 {
            return Ok(());
        }
        Err(FetchError::Corrupt { path: blob.path.clone(), wanted: blob.want.sha256, found })
    }

    /// Stores bytes that were not downloaded, for example bytes unpacked from another blob. `name` is used only in messages.
    ///
    /// # Errors
    /// [`FetchError::Mismatch`] if size or digest differ from `want`. Reading stops soon after the expected size.
    pub fn put(&self, want: Want, name: &str, mut bytes: impl Read) -> Result<Blob, FetchError> {
        let mut part = match self.claim(want)? {
            Claim::Present(blob) => return Ok(blob),
            Claim::Absent(part) => part,
        };
        part.restart()?;
        let mut buffer = vec![0; 1 << 16];
        while part.len() <= want.size {
            let read = bytes.read(&mut buffer).map_err(io_error("read", Path::new(name)))?;
            if read == 0 {
                break;
            }
            part.append(&buffer[..read])?;
        }
        let (found_size, found) = (part.len(), part.digest());
        if found_size == want.size && found == want.sha256 {
            return part.publish();
        }
        part.restart()?;
        Err(FetchError::Mismatch {
            name: name.to_owned(),
            wanted_size: want.size,
            wanted: want.sha256,
            found_size,
            found,
        })
    }

    /// Returns the blob, or its locked part file so that the caller can write it. Waits while another thread or process
    /// writes the blob.
    pub(crate) fn claim(&self, want: Want) -> Result<Claim, FetchError> {
        loop {
            if let Some(blob) = self.get(want)? {
                return Ok(Claim::Present(blob));
            }
            // `None` means: while this thread waited, the holder of the lock published or removed the file.
            if let Some(part) = Part::lock(self.blob_path(&want.sha256), want)? {
                return Ok(Claim::Absent(part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(bytes: &[u8]) -> Want {
        Want { sha256: Sha256(sha2::Sha256::digest(bytes).into()), size: bytes.len() as u64 }
    }

    #[test]
    fn the_default_folder_follows_the_xdg_rules() {
        let root = |xdg: &str, home: &str| default_root(Some(OsStr::new(xdg)), Some(OsStr::new(home)));
        assert_eq!(root("/c", "/h"), Some("/c/berth".into()));
        assert_eq!(root("relative", "/h"), Some("/h/.cache/berth".into()));
        assert_eq!(default_root(None, Some(OsStr::new("/h"))), Some("/h/.cache/berth".into()));
        assert_eq!(default_root(None, None), None);
    }

    #[test]
    fn only_content_with_the_right_digest_is_stored_and_returned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let wanted = want(b"hello");
        assert_eq!(store.get(wanted).unwrap(), None);
        for wrong in [&b"hellO"[..], b"hell", b"hello, world"] {
            assert!(matches!(store.put(wanted, "test", wrong), Err(FetchError::Mismatch { .. })));
        }
        let blob = store.put(wanted, "test", &b"hello"[..]).unwrap();
        assert_eq!(fs::read(&blob.path).unwrap(), b"hello");
        assert_eq!(store.get(wanted).unwrap(), Some(blob.clone()));
        // Only the blob is left in the folder.
        assert_eq!(fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count(), 1);
        store.verify(&blob).unwrap();

        fs::remove_file(&blob.path).unwrap();
        fs::write(&blob.path, b"hellO").unwrap();
        assert!(matches!(store.verify(&blob), Err(FetchError::Corrupt { .. })));
        fs::write(&blob.path, b"hel").unwrap();
        assert_eq!(store.get(wanted).unwrap(), None, "a blob of the wrong size is removed");
        assert!(!blob.path.exists());
    }

    #[test]
    fn threads_that_put_the_same_blob_store_it_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let bytes = vec![7; 300_000];
        let wanted = want(&bytes);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.verify(&store.put(wanted, "test", &bytes[..]).unwrap()).unwrap());
            }
        });
        assert_eq!(fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count(), 1);
    }
}
