//! Boot entries on the ESP: what there is, what boots next, and every change of it.
//!
//! An entry is a unified kernel image in `/EFI/Linux`, its name is its state ([`berth_contract::entry`]). So each change of
//! state is one rename, which [`berth_formats::fat`] makes whole: a power cut leaves the old name or the new one. The ESP
//! is never mounted; whoever changes it has opened its device for itself ([`Entries::open`]).

mod error;
mod found;
mod host;
mod order;
mod quarantine;
mod report;
mod rollback;
mod running;
mod settle;

pub use error::EntriesError;
pub use found::{Found, Kind, Uki, staged_name};
pub use host::Host;
pub use order::next;
pub use quarantine::Quarantine;
pub use report::{SlotContent, report, show};
pub use rollback::{Other, Target};
pub use running::Running;
pub use settle::{Cause, Settled};

use berth_contract::{
    digest::Sha256 as Digest256,
    entry::{BootCounter, BootEntry, SET_ASIDE, TRIES},
    paths::ESP_LINUX,
    release::MAX_UKI,
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

/// How much is read back at once.
const PIECE: u64 = 1 << 20;

/// The ESP of the host, opened to be changed, by nobody else meanwhile.
#[derive(Debug)]
pub struct Entries {
    path: PathBuf,
    volume: Editor<File>,
}

/// What [`Entries::bless`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blessing {
    /// The version was on trial, and is no more.
    Given,
    /// It was blessed before.
    Before,
    /// It has been put behind another since it was booted, and stays there.
    SetAside,
}

impl Entries {
    /// Opens the ESP's device, and puts right what an update left behind that was cut short.
    ///
    /// # Errors
    /// When it cannot be opened, is in use, or holds no FAT32 volume that can be changed.
    pub fn open(path: &Path) -> Result<Self, EntriesError> {
        // On a block device without O_CREAT, O_EXCL is the kernel's claim: mounted, or claimed by another, it is busy.
        let exclusive = OFlags::EXCL.bits().cast_signed();
        let device = File::options().read(true).write(true).custom_flags(exclusive).open(path);
        let device = device.map_err(|source| EntriesError::Io { verb: "open", path: path.to_owned(), source })?;
        let volume = Editor::open(device).map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), volume })
    }

    /// All files in `/EFI/Linux` of an ESP that is only looked at, also while it is changed by another.
    ///
    /// # Errors
    /// When it cannot be read, or holds no FAT32 volume.
    pub fn look(path: &Path) -> Result<Vec<Found>, EntriesError> {
        let device = File::open(path);
        let device = device.map_err(|source| EntriesError::Io { verb: "open", path: path.to_owned(), source })?;
        let volume = Volume::open(device).map_err(|source| failed(path, source))?;
        Found::all(&volume, path)
    }

    /// All files in `/EFI/Linux`, ordered by name.
    ///
    /// # Errors
    /// When the ESP cannot be read. So for all that follows, and when it cannot be written.
    pub fn list(&self) -> Result<Vec<Found>, EntriesError> {
        Found::all(&self.volume, &self.path)
    }

    /// The entry that has booted what runs.
    ///
    /// # Errors
    /// When there is none.
    pub fn running(&self, running: &Running) -> Result<Found, EntriesError> {
        let ours: Vec<_> = self.list()?.into_iter().filter(|found| found.is(running)).collect();
        // Of two, the boot loader has taken the first of its order.
        let none = || EntriesError::NoRunning { id: running.id.clone(), version: running.version.clone() };
        next(&ours).cloned().ok_or_else(none)
    }

    /// The entry that has booted what runs, if that is blessed: before, nothing that could be needed to go back may change. One that is
    /// the boot loader's last resort will do as well, when there is nothing better to lose: else an ill host could never be mended.
    ///
    /// # Errors
    /// When there is none, or it is not blessed.
    pub fn blessed(&self, running: &Running) -> Result<Found, EntriesError> {
        let found = self.running(running)?;
        let is_better = |other: &Found| matches!(other.state(), EntryState::Blessed | EntryState::Trial(_));
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

    /// Bytes of the unified kernel image that runs, for what another has in common with it; none where it is larger than
    /// [`MAX_UKI`].
    ///
    /// # Errors
    /// See [`Self::running`].
    pub fn running_uki(&self, running: &Running) -> Result<Vec<u8>, EntriesError> {
        let found = self.running(running)?;
        // It would take the memory that the update needs, and no release has one like it.
        if found.size > MAX_UKI {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(MAX_UKI).unwrap_or(usize::MAX);
        self.volume.read(&format!("{ESP_LINUX}/{}", found.file), limit).map_err(|source| failed(&self.path, source))
    }

    /// Whether a unified kernel image of `size` bytes will fit once [`Self::clear_idle`] has made room.
    ///
    /// # Errors
    /// When it will not, with both numbers, or the ESP is damaged.
    pub fn check_room(&self, running: &Running, size: u64) -> Result<(), EntriesError> {
        self.volume.check_sound().map_err(|source| failed(&self.path, source))?;
        let going = self.list()?.into_iter().filter(|found| is_idle(found, running));
        let free = self.volume.free() + going.map(|found| self.volume.whole(found.size)).sum::<u64>();
        // A directory that is full grows by a cluster.
        let wanted = self.volume.whole(size) + self.volume.whole(1);
        if wanted > free { Err(EntriesError::Full { wanted, free }) } else { Ok(()) }
    }

    /// Removes every entry and staged image of ours but the one that has booted what runs: they boot what is in the idle slot,
    /// which is to be overwritten. `keep` is a staged image that stays. Returns the names of what has gone.
    ///
    /// # Errors
    /// When the running version is not blessed: then nothing is touched.
    pub fn clear_idle(
        &mut self,
        running: &Running,
        keep: Option<(&ImageId, &OsVersion)>,
    ) -> Result<Vec<String>, EntriesError> {
        self.blessed(running)?;
        let mut gone = Vec::new();
        for found in self.list()?.into_iter().filter(|found| is_idle(found, running)) {
            if !(matches!(found.kind, Kind::Staged(..)) && found.version() == keep) {
                self.remove(&found.file)?;
                gone.push(found.file);
            }
        }
        Ok(gone)
    }

    /// Puts a unified kernel image beside the entries and reads it back. It boots nothing until [`Self::commit`].
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

    /// SHA-256 of the staged image of a version, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn staged_digest(&self, id: &ImageId, version: &OsVersion) -> Result<Option<Digest256>, EntriesError> {
        let file = staged_name(id, version);
        let is_there = self.list()?.iter().any(|found| found.file == file);
        if is_there { self.digest(&file).map(Some) } else { Ok(None) }
    }

    /// The commit of an upgrade: the staged image becomes an entry with [`TRIES`] tries. It is the one that boots next: where its
    /// version is lower than the running one, that is set aside.
    ///
    /// # Errors
    /// When nothing of this version is staged, it is the running version, or that is not blessed.
    pub fn commit(&mut self, id: &ImageId, version: &OsVersion, running: &Running) -> Result<BootEntry, EntriesError> {
        let current = self.blessed(running)?;
        if *version == running.version {
            return Err(EntriesError::SameVersion { version: version.clone() });
        }
        let entry = BootEntry { id: id.clone(), version: version.clone(), counter: Some(NEW) };
        self.rename(&staged_name(id, version), &entry.to_string())?;
        // Not before: a cut between the two leaves the running version first.
        if *version < running.version && current.state() == EntryState::Blessed {
            self.count(&current, Some(SET_ASIDE))?;
        }
        Ok(entry)
    }

    /// Removes the counter of the version that runs: it has been found healthy.
    ///
    /// # Errors
    /// When there is no entry of it.
    pub fn bless(&mut self, running: &Running) -> Result<Blessing, EntriesError> {
        let found = self.running(running)?;
        match found.state() {
            EntryState::Blessed => Ok(Blessing::Before),
            // Booted, it would have used a try: somebody has called for a rollback since.
            EntryState::SetAside => Ok(Blessing::SetAside),
            _ => self.count(&found, None).map(|()| Blessing::Given),
        }
    }

    /// Gives an entry another counter.
    fn count(&mut self, found: &Found, counter: Option<BootCounter>) -> Result<(), EntriesError> {
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

    /// SHA-256 of a file as the disk has it.
    fn digest(&self, file: &str) -> Result<Digest256, EntriesError> {
        // What the kernel remembers of the device is not what the disk has kept.
        if let Ok(device) = File::open(&self.path) {
            let _ = rustix::fs::fadvise(&device, 0, None, rustix::fs::Advice::DontNeed);
        }
        let volume = |source| failed(&self.path, source);
        let content = self.volume.file(&format!("{ESP_LINUX}/{file}")).map_err(volume)?;
        let (mut hash, mut at) = (Sha256::new(), 0);
        while at < content.len() {
            let len = usize::try_from(PIECE.min(content.len() - at)).unwrap_or(0);
            let mut bytes = vec![0; len];
            content.read_at(&mut bytes, at).map_err(volume)?;
            hash.update(&bytes);
            at += bytes.len() as u64;
        }
        Ok(Digest256(hash.finalize().into()))
    }
}

/// The counter of a new entry.
const NEW: BootCounter = BootCounter { left: TRIES, done: 0 };

/// Whether a file is of this host's image, and boots or is to boot something else than what runs. Others name theirs in the same way
/// (`rescue_13.efi`); an update never changes the image's id.
fn is_idle(found: &Found, running: &Running) -> bool {
    found.version().is_some_and(|(id, _)| *id == running.id) && !found.is(running)
}

fn failed(path: &Path, source: VolumeError) -> EntriesError {
    EntriesError::Volume { path: path.to_owned(), source }
}
