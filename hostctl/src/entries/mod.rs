//! Boot entries on the ESP: which ones exist, which one boots next, and every change to them.
//!
//! An entry is a unified kernel image in `/EFI/Linux`. Its file name is its state ([`berth_contract::entry`]), so each change of state is
//! one rename, which [`berth_formats::fat`] makes atomic: after a power cut the file has the old name or the new one. The ESP is never
//! mounted. Code that changes it opens its block device exclusively ([`Entries::open`]).

mod error;
mod esp_file;
mod exhausted;
mod image;
mod installed;
mod order;
mod quarantine;
mod report;
mod rollback;
mod running;

pub use error::EntriesError;
pub use esp_file::{EspFile, FileKind, Uki, staged_name};
pub use exhausted::{FailedVersions, FailureCause};
pub use installed::Installed;
pub use order::next;
pub use quarantine::Quarantine;
pub use report::{SlotContent, damage, report, show};
pub use rollback::{Destination, OtherSlot};
pub use running::Running;

use berth_contract::{
    digest::Sha256 as Digest256,
    entry::{BootCounter, BootEntry, SET_ASIDE, TRIES},
    paths::ESP_LINUX,
    release::{MAX_UKI, ReleaseRecord},
    update::EntryState,
    version::{ImageId, OsVersion},
};
use berth_formats::fat::{Editor, Volume, VolumeError};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The ESP of the host, opened for changes by this process only.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    volume: Editor<File>,
}

/// The result of [`Entries::bless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blessing {
    /// The version was on trial. It is blessed now.
    Given,
    /// The version was blessed already.
    Before,
    /// A rollback has set the version aside since it was booted. It stays set aside.
    SetAside,
}

impl Entries {
    /// Opens the block device of the ESP, and repairs what an interrupted change left behind.
    ///
    /// # Errors
    /// When the device cannot be opened, is in use, or holds no FAT32 volume that can be changed.
    pub fn open(path: &Path) -> Result<Self, EntriesError> {
        // O_EXCL without O_CREAT claims a block device: opening fails when it is mounted or claimed by another process.
        let exclusive = OFlags::EXCL.bits().cast_signed();
        let device = File::options().read(true).write(true).custom_flags(exclusive).open(path);
        let device = device.map_err(|source| EntriesError::Io { verb: "open", path: path.to_owned(), source })?;
        let volume = Editor::open(device).map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), volume })
    }

    /// All files in `/EFI/Linux`. Works without the exclusive claim, also while another process changes the ESP.
    ///
    /// # Errors
    /// When the device cannot be read, or holds no FAT32 volume.
    pub fn look(path: &Path) -> Result<Vec<EspFile>, EntriesError> {
        let device = File::open(path);
        let device = device.map_err(|source| EntriesError::Io { verb: "open", path: path.to_owned(), source })?;
        let volume = Volume::open(device).map_err(|source| failed(path, source))?;
        EspFile::all(&volume, path)
    }

    /// All files in `/EFI/Linux`, sorted by name.
    ///
    /// # Errors
    /// When the ESP cannot be read. The methods below fail for this reason too, and when the ESP cannot be written.
    pub fn list(&self) -> Result<Vec<EspFile>, EntriesError> {
        EspFile::all(&self.volume, &self.path)
    }

    /// The entry that booted the running system.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn running(&self, running: &Running) -> Result<EspFile, EntriesError> {
        let ours: Vec<_> = self.list()?.into_iter().filter(|found| found.is(running)).collect();
        // If there are two, the boot loader took the first in its order.
        let none = || EntriesError::NoRunning { id: running.id.clone(), version: running.version.clone() };
        next(&ours).cloned().ok_or_else(none)
    }

    /// The entry that booted the running system, if it is blessed: until then, the host may have to go back, so nothing needed for that may
    /// change. An entry that the boot loader took as its last resort is accepted too, if no better entry would be lost. Otherwise a broken
    /// host could never be repaired.
    ///
    /// # Errors
    /// When there is no such entry, or it is not blessed.
    pub fn blessed(&self, running: &Running) -> Result<EspFile, EntriesError> {
        let found = self.running(running)?;
        let is_better = |other: &EspFile| matches!(other.state(), EntryState::Blessed | EntryState::Trial(_));
        let last_resort = || {
            let others = self.list()?.into_iter().filter(|other| is_idle(other, running));
            Ok::<_, EntriesError>(found.is_last_resort() && !others.into_iter().any(|other| is_better(&other)))
        };
        match found.running_state() {
            EntryState::Blessed => Ok(found),
            _ if last_resort()? => Ok(found),
            state => Err(EntriesError::Unblessed { version: running.version.clone(), state }),
        }
    }

    /// The running unified kernel image, from which parts of a new one can be taken. Empty if it is larger than [`MAX_UKI`].
    ///
    /// # Errors
    /// See [`Self::running`].
    pub fn running_uki(&self, running: &Running) -> Result<Vec<u8>, EntriesError> {
        let found = self.running(running)?;
        // It would need the memory of the upgrade, and no release has such a large image to share parts with.
        if found.size > MAX_UKI {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(MAX_UKI).unwrap_or(usize::MAX);
        self.volume.read(&format!("{ESP_LINUX}/{}", found.file), limit).map_err(|source| failed(&self.path, source))
    }

    /// Checks that a unified kernel image of `size` bytes fits after [`Self::clear_idle`] has made room.
    ///
    /// # Errors
    /// When it does not fit, or the ESP is damaged.
    pub fn check_room(&self, running: &Running, size: u64) -> Result<(), EntriesError> {
        self.volume.check_sound().map_err(|source| failed(&self.path, source))?;
        let going = self.list()?.into_iter().filter(|found| is_idle(found, running));
        let free = self.volume.free() + going.map(|found| self.volume.whole(found.size)).sum::<u64>();
        // A full directory needs one more cluster.
        let wanted = self.volume.whole(size) + self.volume.whole(1);
        if wanted > free { Err(EntriesError::Full { wanted, free }) } else { Ok(()) }
    }

    /// Removes all entries and staged images of this host's image id, except the entry that booted the running system: they boot the idle
    /// slot, which is about to be overwritten. `keep` names a staged image that stays. Returns the names of the removed files.
    ///
    /// # Errors
    /// When the running version is not blessed. Then nothing is changed.
    pub fn clear_idle(
        &mut self,
        running: &Running,
        keep: Option<(&ImageId, &OsVersion)>,
    ) -> Result<Vec<String>, EntriesError> {
        self.blessed(running)?;
        let mut gone = Vec::new();
        for found in self.list()?.into_iter().filter(|found| is_idle(found, running)) {
            if !(matches!(found.kind, FileKind::Staged(..)) && found.version() == keep) {
                self.remove(&found.file)?;
                gone.push(found.file);
            }
        }
        Ok(gone)
    }

    /// Writes a unified kernel image beside the entries and reads it back. It boots nothing until [`Self::commit`].
    ///
    /// # Errors
    /// When it does not fit, or does not read back.
    pub fn stage(&mut self, id: &ImageId, version: &OsVersion, uki: &[u8]) -> Result<(), EntriesError> {
        let file = staged_name(id, version);
        if self.list()?.iter().any(|found| found.file == file) {
            self.remove(&file)?;
        }
        let added = self.volume.add(ESP_LINUX, &file, uki.len() as u64, &mut &uki[..]);
        added.map_err(|source| match source {
            VolumeError::Full { wanted, free } => EntriesError::Full { wanted, free },
            source => failed(&self.path, source),
        })?;
        if self.digest(&file)?.0 == <[u8; 32]>::from(Sha256::digest(uki)) {
            Ok(())
        } else {
            Err(EntriesError::ReadBack { file })
        }
    }

    /// SHA-256 of the staged image of a version; `None` if it is not staged.
    ///
    /// # Errors
    /// When the staged image cannot be read.
    pub fn staged_digest(&self, id: &ImageId, version: &OsVersion) -> Result<Option<Digest256>, EntriesError> {
        let file = staged_name(id, version);
        let is_there = self.list()?.iter().any(|found| found.file == file);
        if is_there { self.digest(&file).map(Some) } else { Ok(None) }
    }

    /// Checks that the staged image of a release boots the root file system of the release.
    ///
    /// # Errors
    /// When it boots another, or is not staged.
    pub fn check_staged(&self, record: &ReleaseRecord) -> Result<(), EntriesError> {
        let file = staged_name(&record.id, &record.version);
        let staged = self.list()?.into_iter().find(|found| found.file == file).and_then(|found| found.uki);
        staged.unwrap_or_default().check(record)
    }

    /// The commit of an upgrade: the staged image becomes an entry with [`TRIES`] tries, which boots next. If its version is lower than the
    /// running one, the running version is set aside so that the new entry comes first.
    ///
    /// # Errors
    /// When this version is not staged, is the running version, or the running version is not blessed.
    pub fn commit(&mut self, id: &ImageId, version: &OsVersion, running: &Running) -> Result<BootEntry, EntriesError> {
        let current = self.blessed(running)?;
        if *version == running.version {
            return Err(EntriesError::SameVersion { version: version.clone() });
        }
        let entry = BootEntry { id: id.clone(), version: version.clone(), counter: Some(NEW) };
        self.rename(&staged_name(id, version), &entry.to_string())?;
        // In this order a power cut between the two changes leaves the running version first.
        if *version < running.version && current.state() == EntryState::Blessed {
            self.count(&current, Some(SET_ASIDE))?;
        }
        Ok(entry)
    }

    /// Removes the counter of the running version, which was found healthy.
    ///
    /// # Errors
    /// When there is no entry of the running version.
    pub fn bless(&mut self, running: &Running) -> Result<Blessing, EntriesError> {
        let found = self.running(running)?;
        match found.state() {
            EntryState::Blessed => Ok(Blessing::Before),
            // A set-aside entry that was booted has used a try. So a rollback has set it aside after this boot.
            EntryState::SetAside => Ok(Blessing::SetAside),
            _ => self.count(&found, None).map(|()| Blessing::Given),
        }
    }

    /// Sets aside an entry whose slot is damaged: the boot loader prefers the running version. [`Self::reinstate`] takes this back.
    ///
    /// # Errors
    /// When the running version is not blessed: then the entry may be needed.
    pub fn set_aside(&mut self, damaged: &EspFile, running: &Running) -> Result<(), EntriesError> {
        self.blessed(running)?;
        self.count(damaged, Some(SET_ASIDE))
    }

    /// Makes an entry that was set aside a blessed entry again, because its slot is whole.
    ///
    /// # Errors
    /// When the ESP cannot be written.
    pub fn reinstate(&mut self, repaired: &EspFile) -> Result<(), EntriesError> {
        self.count(repaired, None)
    }

    /// Changes the counter of an entry.
    fn count(&mut self, found: &EspFile, counter: Option<BootCounter>) -> Result<(), EntriesError> {
        let Some(entry) = found.entry() else { return Ok(()) };
        let name = BootEntry { counter, ..entry.clone() }.to_string();
        if name == found.file { Ok(()) } else { self.rename(&found.file, &name) }
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<(), EntriesError> {
        self.volume.rename(ESP_LINUX, old, new).map_err(|source| failed(&self.path, source))
    }

    fn remove(&mut self, file: &str) -> Result<(), EntriesError> {
        self.volume.remove(ESP_LINUX, file).map_err(|source| failed(&self.path, source))
    }

    /// SHA-256 of a file, read from the disk and not from the page cache.
    fn digest(&self, file: &str) -> Result<Digest256, EntriesError> {
        image::digest(&self.volume, &self.path, file, &mut || {})
    }
}

/// The counter of a new entry.
const NEW: BootCounter = BootCounter { left: TRIES, done: 0 };

/// Whether a file belongs to this host's image and boots, or will boot, something other than the running system. Other programs may use the
/// same form of names (`rescue_13.efi`), and an upgrade never changes the image id.
fn is_idle(found: &EspFile, running: &Running) -> bool {
    found.version().is_some_and(|(id, _)| *id == running.id) && !found.is(running)
}

fn failed(path: &Path, source: VolumeError) -> EntriesError {
    EntriesError::Volume { path: path.to_owned(), source }
}
