//! Reads an existing FAT32 volume, made by any program. Nothing in it is trusted.

use super::{
    Disk,
    boot_sector::BOOT,
    directory::{Directory, Entry, MAX_SLOTS},
    error::VolumeError,
    geometry::Geometry,
    name::SLOT,
    table::Table,
};
use std::io;

/// A file or directory in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Long name, else short name.
    pub name: String,
    /// Bytes of a file; 0 of a directory.
    pub size: u64,
    /// What it is.
    pub is_directory: bool,
}

/// A volume that is open for reading. Nothing is written.
#[derive(Debug)]
pub struct Volume<D> {
    pub(super) disk: D,
    pub(super) geometry: Geometry,
    pub(super) table: Table,
}

/// A file's bytes.
#[derive(Debug)]
pub struct Content<'a, D> {
    volume: &'a Volume<D>,
    clusters: Vec<u32>,
    len: u64,
}

impl<D: Disk> Volume<D> {
    /// Opens the FAT32 volume at the beginning of the disk. Reads its table into memory: at most 16 MiB.
    ///
    /// # Errors
    /// The disk cannot be read, or holds no FAT32 volume.
    pub fn open(disk: D) -> Result<Self, VolumeError> {
        let mut boot = [0; BOOT];
        disk.read_at(&mut boot, 0).map_err(VolumeError::io("read", 0, BOOT))?;
        let geometry = Geometry::parse(&boot)?;
        let table = Table::load(&disk, &geometry)?;
        Ok(Self { disk, geometry, table })
    }

    /// The files and directories in a directory, in the order on the disk. `/` separates names; the empty path is the root.
    ///
    /// # Errors
    /// There is no such directory, or it cannot be read.
    pub fn list(&self, path: &str) -> Result<Vec<Item>, VolumeError> {
        let (entries, _) = self.directory(path)?.entries();
        let item = |entry: Entry| {
            let size = if entry.is_directory { 0 } else { entry.size.into() };
            Item { name: entry.name, size, is_directory: entry.is_directory }
        };
        Ok(entries.into_iter().map(item).collect())
    }

    /// The content of a file. Bytes are read only on request.
    ///
    /// # Errors
    /// There is no such file, or its chain of clusters is too short.
    pub fn file(&self, path: &str) -> Result<Content<'_, D>, VolumeError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let entry = self.directory(folder)?.find(name);
        let entry = entry.ok_or_else(|| VolumeError::NotFound { path: path.to_owned() })?;
        if entry.is_directory {
            return Err(VolumeError::Kind { path: path.to_owned(), wanted: "file" });
        }
        let damaged = |why| VolumeError::Damaged { path: path.to_owned(), why };
        let clusters = match entry.first {
            0 => Vec::new(),
            first => self.table.chain(first).map_err(|broken| damaged(broken.why))?,
        };
        if (clusters.len() as u64) * (self.geometry.cluster as u64) < entry.size.into() {
            return Err(damaged("it has fewer clusters than bytes"));
        }
        Ok(Content { volume: self, clusters, len: entry.size.into() })
    }

    /// All of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// There is no such file, it is larger than `limit`, or it cannot be read.
    pub fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, VolumeError> {
        let content = self.file(path)?;
        let len = usize::try_from(content.len).ok().filter(|&len| len <= limit);
        let why = "it is larger than what is read at once";
        let mut bytes = vec![0; len.ok_or_else(|| VolumeError::Damaged { path: path.to_owned(), why })?];
        content.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Bytes that are free, in whole clusters.
    #[must_use]
    pub fn free(&self) -> u64 {
        u64::from(self.table.free()) * self.geometry.cluster as u64
    }

    /// Bytes that a file of `len` bytes takes: whole clusters.
    #[must_use]
    pub fn whole(&self, len: u64) -> u64 {
        len.next_multiple_of(self.geometry.cluster as u64)
    }

    pub(super) fn directory(&self, path: &str) -> Result<Directory, VolumeError> {
        let mut at = self.load(self.geometry.root, "/")?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let entry = at.find(name).ok_or_else(|| VolumeError::NotFound { path: path.to_owned() })?;
            if !entry.is_directory {
                return Err(VolumeError::Kind { path: path.to_owned(), wanted: "directory" });
            }
            at = self.load(entry.first, path)?;
        }
        Ok(at)
    }

    /// The directory that begins with cluster `first`; `path` is for messages.
    pub(super) fn load(&self, first: u32, path: &str) -> Result<Directory, VolumeError> {
        let damaged = |why| VolumeError::Damaged { path: path.to_owned(), why };
        let clusters = self.table.chain(first).map_err(|broken| damaged(broken.why))?;
        let cluster = self.geometry.cluster;
        if clusters.len() * cluster > MAX_SLOTS * SLOT {
            return Err(damaged("it has more than 65536 entries"));
        }
        let mut bytes = vec![0; clusters.len() * cluster];
        for (&number, bytes) in clusters.iter().zip(bytes.chunks_mut(cluster)) {
            self.read_cluster(number, 0, bytes)?;
        }
        Ok(Directory::new(clusters, bytes))
    }

    fn read_cluster(&self, number: u32, offset: usize, bytes: &mut [u8]) -> Result<(), VolumeError> {
        let (at, len) = (self.geometry.cluster_at(number) + offset as u64, bytes.len());
        self.disk.read_at(bytes, at).map_err(VolumeError::io("read", at, len))
    }
}

impl<D: Disk> Content<'_, D> {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads all of `bytes` at `offset` of the file.
    ///
    /// # Errors
    /// They end after the file's end, or cannot be read.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), VolumeError> {
        let cluster = self.volume.geometry.cluster;
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= self.len);
        let (Some(_), Ok(mut at)) = (end, usize::try_from(offset)) else {
            return Err(VolumeError::io("read", offset, bytes.len())(io::ErrorKind::UnexpectedEof.into()));
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (here, left) = rest.split_at_mut(rest.len().min(cluster - at % cluster));
            self.volume.read_cluster(self.clusters[at / cluster], at % cluster, here)?;
            at += here.len();
            rest = left;
        }
        Ok(())
    }
}
