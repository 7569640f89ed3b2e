//! The content of the kernel images on the ESP: read, compared, and replaced by the same image without damage.

use super::{Entries, EntriesError, EspFile, FileKind, failed, staged_name};
use berth_contract::{
    digest::Sha256 as Digest256, entry::BootEntry, paths::ESP_LINUX, release::MAX_UKI, update::EntryState,
    version::ImageId,
};
use berth_formats::fat::{Disk, Volume};
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use std::{fs::File, path::Path};

/// Bytes that are read at once.
const PIECE: u64 = 1 << 20;

/// Ending of the damaged file of a blessed entry while [`Entries::replace`] puts the new file in its place. Its state is set aside, by
/// another spelling of the counter: so it can be told from an entry that a user has set aside.
const MOVED: &str = "+0-0.efi";

impl EspFile {
    /// Whether an interrupted [`Entries::replace`] has set this entry aside: it was blessed.
    #[must_use]
    pub fn was_moved(&self) -> bool {
        self.state() == EntryState::SetAside && self.file.ends_with(MOVED)
    }

    /// SHA-256 of the file, read from the disk and not from the page cache. `pause` is called after each piece.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest(&self, esp: &Path, pause: &mut dyn FnMut()) -> Result<Digest256, EntriesError> {
        digest(&volume(esp)?, esp, &self.file, pause)
    }

    /// All bytes of the file. Parts that cannot be read are zeros. Empty if the file is larger than [`MAX_UKI`], or nothing of it can be
    /// found.
    ///
    /// # Errors
    /// When the ESP cannot be opened.
    pub fn bytes(&self, esp: &Path) -> Result<Vec<u8>, EntriesError> {
        let volume = volume(esp)?;
        let Ok(content) = volume.file(&format!("{ESP_LINUX}/{}", self.file)) else { return Ok(Vec::new()) };
        let len = usize::try_from(content.len()).ok().filter(|_| content.len() <= MAX_UKI).unwrap_or(0);
        let mut bytes = vec![0; len];
        let mut at = 0;
        // Pieces of 4 KiB, so that a dead sector costs little.
        for piece in bytes.chunks_mut(4096) {
            if content.read_at(piece, at).is_err() {
                piece.fill(0);
            }
            at += piece.len() as u64;
        }
        Ok(bytes)
    }
}

fn volume(esp: &Path) -> Result<Volume<File>, EntriesError> {
    let device = File::open(esp);
    let device = device.map_err(|source| EntriesError::Io { verb: "open", path: esp.to_owned(), source })?;
    Volume::open(device).map_err(|source| failed(esp, source))
}

/// SHA-256 of a file, read from the disk and not from the page cache.
pub(super) fn digest<D: Disk>(
    volume: &Volume<D>,
    esp: &Path,
    file: &str,
    pause: &mut dyn FnMut(),
) -> Result<Digest256, EntriesError> {
    // The page cache may not show what the disk has kept.
    if let Ok(device) = File::open(esp) {
        let _ = fadvise(&device, 0, None, Advice::DontNeed);
    }
    let failed = |source| failed(esp, source);
    let content = volume.file(&format!("{ESP_LINUX}/{file}")).map_err(failed)?;
    let (mut hash, mut at) = (Sha256::new(), 0);
    while at < content.len() {
        let len = usize::try_from(PIECE.min(content.len() - at)).unwrap_or(0);
        let mut bytes = vec![0; len];
        content.read_at(&mut bytes, at).map_err(failed)?;
        hash.update(&bytes);
        at += bytes.len() as u64;
        pause();
    }
    Ok(Digest256(hash.finalize().into()))
}

impl Entries {
    /// Puts `uki` in the place of a damaged entry of the same version. The new file is written beside the old one and read back first. A
    /// power cut leaves the damaged entry (blessed, or [moved](EspFile::was_moved) with a staged image), the new one, or both; if the damaged
    /// entry was not blessed before, it may also leave only a staged image.
    ///
    /// # Errors
    /// When the new file does not fit, does not read back, or the ESP cannot be written.
    pub fn replace(&mut self, damaged: &EspFile, uki: &[u8]) -> Result<(), EntriesError> {
        let Some(entry) = damaged.entry() else { return Ok(()) };
        let staged = staged_name(&entry.id, &entry.version);
        if damaged.state() == EntryState::Blessed {
            self.stage(&entry.id, &entry.version, uki)?;
            // The name must be free for the new file. An entry that is set aside can still be booted if there is no other.
            let moved = format!("{}_{}{MOVED}", entry.id, entry.version);
            if self.list()?.iter().any(|found| found.file == moved) {
                self.remove(&moved)?;
            }
            self.rename(&damaged.file, &moved)?;
            self.rename(&staged, &damaged.file)?;
            return self.remove(&moved);
        }
        // The boot loader does not prefer this entry, so the host does not need it. A full ESP may need its room.
        let has_room = self.volume.free() >= self.volume.whole(uki.len() as u64) + self.volume.whole(1);
        if !has_room {
            self.remove(&damaged.file)?;
        }
        self.stage(&entry.id, &entry.version, uki)?;
        if has_room {
            self.remove(&damaged.file)?;
        }
        self.rename(&staged, &damaged.file)
    }

    /// Removes a set-aside entry beside a blessed one of the same version: an interrupted [`Self::replace`] has left the damaged file.
    /// Entries of other images than `id` are not touched.
    ///
    /// # Errors
    /// When the ESP cannot be read or written.
    pub fn remove_replaced(&mut self, id: &ImageId) -> Result<(), EntriesError> {
        let all = self.list()?;
        let is_replaced = |file: &EspFile| match &file.kind {
            FileKind::Entry(entry) if entry.id == *id && file.state() == EntryState::SetAside => {
                let blessed = BootEntry { counter: None, ..entry.clone() }.to_string();
                all.iter().any(|other| other.file == blessed && other.uki.is_some())
            }
            _ => false,
        };
        all.iter().filter(|file| is_replaced(file)).try_for_each(|file| self.remove(&file.file))
    }
}
