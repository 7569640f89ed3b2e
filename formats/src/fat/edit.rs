//! Atomic changes of a volume: after a power cut each change is done or not done, whichever sectors were written between two
//! flushes.
//!
//! - Each change becomes visible by one sector of a directory: an entry and its long name are in one sector. Before that
//!   sector is written, everything that the entry refers to is on the medium. Clusters that are no longer needed are freed
//!   afterwards.
//! - The table's entries of clusters that belong to a directory entry never change, except for the last cluster of a
//!   directory that grows. So the two tables may differ between two flushes only where no file is.
//! - [`super::repair`] finds what a power cut left when the volume is opened for the next change.

use super::{
    Disk, VolumeError,
    directory::{self, Directory, Entry, MAX_SLOTS},
    name::{self, SLOT},
    repair::repair,
    volume::Volume,
};
use std::{io::Read, ops::Deref};

/// Bytes of a file that are written at once.
const PIECE: usize = 1 << 20;

/// A volume that is open for changes. After an error it must be opened again.
#[derive(Debug)]
pub struct Editor<D> {
    volume: Volume<D>,
    /// Path that another program has damaged, and what is wrong with it. Then it is not known which clusters are free.
    damage: Option<(String, &'static str)>,
}

impl<D> Deref for Editor<D> {
    type Target = Volume<D>;

    fn deref(&self) -> &Volume<D> {
        &self.volume
    }
}

impl<D: Disk> Editor<D> {
    /// Opens the volume at the beginning of the disk, and repairs what an interrupted update left. No other program may
    /// write to the volume at the same time. If something else is damaged, files can still be renamed: that needs no cluster.
    ///
    /// # Errors
    /// It is not a FAT32 volume, or cannot be read or written.
    pub fn open(disk: D) -> Result<Self, VolumeError> {
        let mut volume = Volume::open(disk)?;
        match repair(&mut volume) {
            Ok(()) => Ok(Self { volume, damage: None }),
            Err(VolumeError::Damaged { path, why }) => Ok(Self { volume, damage: Some((path, why)) }),
            Err(error) => Err(error),
        }
    }

    /// Whether clusters may be allocated and freed.
    ///
    /// # Errors
    /// The path that another program has damaged, and what is wrong.
    pub fn check_sound(&self) -> Result<(), VolumeError> {
        match self.damage.clone() {
            Some((path, why)) => Err(VolumeError::Damaged { path, why }),
            None => Ok(()),
        }
    }

    /// Adds a file of `len` bytes to an existing directory.
    ///
    /// # Errors
    /// When the name is taken or is not possible, the volume is full, the content cannot be read or ends early (there is no such
    /// file then, though the directory may have grown), something is damaged, or the disk cannot be written.
    pub fn add(&mut self, folder: &str, name: &str, len: u64, content: &mut dyn Read) -> Result<(), VolumeError> {
        name::check(name)?;
        self.check_sound()?;
        let mut directory = self.volume.directory(folder)?;
        if directory.find(name).is_some() {
            return Err(VolumeError::Exists { path: join(folder, name) });
        }
        let size = u32::try_from(len).map_err(|_| self.full(len))?;
        let short = new_short(&directory, folder, name)?;
        let count = directory::new_file(name, &short, 0, 0).len();
        let at = self.place(&mut directory, folder, count, 0)?;
        let wanted = usize::try_from(len.div_ceil(self.volume.geometry.cluster as u64)).map_err(|_| self.full(len))?;
        let clusters = self.volume.table.choose(wanted).ok_or_else(|| self.full(len))?;
        self.write_content(&join(folder, name), &clusters, len, content)?;
        self.volume.flush()?;
        self.volume.table.link(&clusters);
        self.store_table()?;
        let first = clusters.first().copied().unwrap_or(0);
        self.put(&mut directory, at, &directory::new_file(name, &short, first, size))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// There is no such file, the volume is damaged, or the disk cannot be written.
    pub fn remove(&mut self, folder: &str, name: &str) -> Result<(), VolumeError> {
        self.check_sound()?;
        let mut directory = self.volume.directory(folder)?;
        let entry = file(&directory, folder, name)?;
        self.delete(&mut directory, &entry)?;
        let clusters = match entry.first {
            0 => Vec::new(),
            first => self.volume.table.chain(first).unwrap_or_else(|broken| broken.clusters),
        };
        self.volume.table.release(&clusters);
        self.store_table()
    }

    /// Renames a file within its directory.
    ///
    /// # Errors
    /// When there is no such file, the new name is taken or is not possible, or the disk cannot be written.
    pub fn rename(&mut self, folder: &str, old: &str, new: &str) -> Result<(), VolumeError> {
        name::check(new)?;
        let mut directory = self.volume.directory(folder)?;
        let entry = file(&directory, folder, old)?;
        if directory.find(new).is_some_and(|other| other != entry) {
            return Err(VolumeError::Exists { path: join(folder, new) });
        }
        let short = new_short(&directory, folder, new)?;
        let mut slot = [0; SLOT];
        slot.copy_from_slice(directory.slot(entry.slots.end - 1));
        let slots = directory::renamed(new, &short, slot);
        let per_sector = self.per_sector();
        let sector = (entry.slots.end - 1) / per_sector;
        let within = sector * per_sector..(sector + 1) * per_sector;
        let in_place = directory.room(slots.len(), per_sector, within.clone(), &entry.slots);
        match in_place.filter(|_| within.contains(&entry.slots.start)) {
            Some(at) => {
                directory.delete(entry.slots);
                self.put(&mut directory, at, &slots)
            }
            // The file has two names for a moment. The new name comes after the old one, so that a repair knows which one to keep.
            None => {
                let at = self.place(&mut directory, folder, slots.len(), within.end)?;
                self.put(&mut directory, at, &slots)?;
                self.delete(&mut directory, &entry)
            }
        }
    }

    /// A place for `count` slots in one sector, at slot `from` or later. The directory grows if it has no such place.
    fn place(
        &mut self,
        directory: &mut Directory,
        folder: &str,
        count: usize,
        from: usize,
    ) -> Result<usize, VolumeError> {
        let per_sector = self.per_sector();
        let slots = directory.bytes.len() / SLOT;
        let at = match directory.room(count, per_sector, from..slots, &(0..0)) {
            Some(at) => at,
            None if slots >= MAX_SLOTS => {
                return Err(VolumeError::Damaged { path: folder.to_owned(), why: "it has 65536 entries" });
            }
            None => {
                self.grow(directory)?;
                slots
            }
        };
        let sector = at / per_sector;
        if at > directory.end {
            // The sector is after the end mark and may hold any bytes. It must begin with an end mark before the old mark is
            // overwritten.
            self.volume.write_sector(directory, sector)?;
            self.volume.flush()?;
            let (end, next) = (directory.end, sector * per_sector);
            directory.delete(end..next);
            directory.end = next;
            self.volume.write_sector(directory, end / per_sector)?;
            self.volume.flush()?;
        }
        Ok(at)
    }

    /// Adds a cluster to a directory.
    fn grow(&mut self, directory: &mut Directory) -> Result<(), VolumeError> {
        self.check_sound()?;
        let cluster = self.volume.geometry.cluster;
        let chosen = self.volume.table.choose(1).ok_or_else(|| self.full(cluster as u64))?;
        let at = self.volume.geometry.cluster_at(chosen[0]);
        self.volume.disk.write_at(&vec![0; cluster], at).map_err(VolumeError::io("write", at, cluster))?;
        self.volume.table.link(&chosen);
        self.store_table()?;
        directory.clusters.extend(chosen);
        directory.bytes.resize(directory.clusters.len() * cluster, 0);
        self.volume.table.link(&directory.clusters);
        self.store_table()
    }

    /// Writes slots in their place. This makes the change visible.
    fn put(&mut self, directory: &mut Directory, at: usize, slots: &[[u8; SLOT]]) -> Result<(), VolumeError> {
        let per_sector = self.per_sector();
        let end = at + slots.len();
        // The end mark moves to the next sector, which may hold any bytes.
        if end > directory.end && end.is_multiple_of(per_sector) && end * SLOT < directory.bytes.len() {
            self.volume.write_sector(directory, end / per_sector)?;
            self.volume.flush()?;
        }
        directory.put(at, slots);
        self.volume.write_sector(directory, at / per_sector)?;
        self.volume.flush()
    }

    /// Marks an entry's slots as deleted. The short entry comes first: without its long name it would be a file of another
    /// name.
    fn delete(&mut self, directory: &mut Directory, entry: &Entry) -> Result<(), VolumeError> {
        let per_sector = self.per_sector();
        let slots: Vec<usize> = entry.slots.clone().collect();
        for slots in slots.chunk_by(|one, other| one / per_sector == other / per_sector).rev() {
            directory.delete(slots.iter().copied());
            self.volume.write_sector(directory, slots[0] / per_sector)?;
            self.volume.flush()?;
        }
        Ok(())
    }

    fn write_content(&self, path: &str, clusters: &[u32], len: u64, content: &mut dyn Read) -> Result<(), VolumeError> {
        let cluster = self.volume.geometry.cluster;
        let most = (PIECE / cluster).max(1);
        let (mut left, mut buffer) = (len, vec![0; PIECE.max(cluster).min(clusters.len() * cluster)]);
        for run in clusters.chunk_by(|one, next| one + 1 == *next) {
            for piece in run.chunks(most) {
                let bytes = &mut buffer[..piece.len() * cluster];
                let filled = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let unread = |source| VolumeError::Content { path: path.to_owned(), source };
                content.read_exact(&mut bytes[..filled]).map_err(unread)?;
                bytes[filled..].fill(0);
                let at = self.volume.geometry.cluster_at(piece[0]);
                self.volume.disk.write_at(bytes, at).map_err(VolumeError::io("write", at, bytes.len()))?;
                left -= filled as u64;
            }
        }
        Ok(())
    }

    fn store_table(&self) -> Result<(), VolumeError> {
        self.volume.table.store(&self.volume.disk, &self.volume.geometry)?;
        self.volume.flush()
    }

    fn per_sector(&self) -> usize {
        self.volume.geometry.sector / SLOT
    }

    fn full(&self, len: u64) -> VolumeError {
        VolumeError::Full { wanted: self.volume.whole(len), free: self.volume.free() }
    }
}

impl<D: Disk> Volume<D> {
    /// Writes a sector of a directory.
    pub(super) fn write_sector(&self, directory: &Directory, number: usize) -> Result<(), VolumeError> {
        let (sector, cluster) = (self.geometry.sector, self.geometry.cluster);
        let from = number * sector;
        let at = self.geometry.cluster_at(directory.clusters[from / cluster]) + (from % cluster) as u64;
        let bytes = &directory.bytes[from..from + sector];
        self.disk.write_at(bytes, at).map_err(VolumeError::io("write", at, sector))
    }

    pub(super) fn flush(&self) -> Result<(), VolumeError> {
        self.disk.flush().map_err(VolumeError::io("flush", 0, 0))
    }
}

fn file(directory: &Directory, folder: &str, name: &str) -> Result<Entry, VolumeError> {
    let entry = directory.find(name).ok_or_else(|| VolumeError::NotFound { path: join(folder, name) })?;
    match entry.is_directory {
        true => Err(VolumeError::Kind { path: join(folder, name), wanted: "file" }),
        false => Ok(entry),
    }
}

fn new_short(directory: &Directory, folder: &str, name: &str) -> Result<[u8; 11], VolumeError> {
    let (entries, _) = directory.entries();
    let short = name::new_short(name, |short| entries.iter().any(|entry| entry.short == *short));
    short.ok_or_else(|| VolumeError::Damaged { path: folder.to_owned(), why: "it has 65536 entries" })
}

fn join(folder: &str, name: &str) -> String {
    format!("{folder}/{name}")
}
