//! What is in `/EFI/Linux`: our boot entries, staged unified kernel images, and what others have put there.

use super::{EntriesError, running::Running};
use berth_contract::{
    cmdline,
    digest::RootHash,
    entry::{BootCounter, BootEntry, SET_ASIDE, TRIES},
    paths::{ESP_LINUX, STAGED_ENDING},
    update::EntryState,
    version::{ImageId, OsVersion},
};
use berth_formats::{
    fat::{Content, Disk, Volume, VolumeError},
    pe,
};
use std::path::Path;

/// Bytes of a unified kernel image with its headers; systemd's stub has less than 1 KiB.
const HEAD: u64 = 4096;
/// Longest `.cmdline` or `.osrel` that is read, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// A file in `/EFI/Linux`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// What the name says.
    pub kind: Kind,
    /// What its sections say; nothing where it is no unified kernel image.
    pub uki: Option<Uki>,
}

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A boot entry of ours.
    Entry(BootEntry),
    /// To become one.
    Staged(ImageId, OsVersion),
    /// Somebody else's.
    Foreign,
}

/// What the sections of a unified kernel image say, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uki {
    /// The root file system that it boots.
    pub root_hash: Option<RootHash>,
    /// What systemd-boot sorts by first: `IMAGE_ID`, else `ID`.
    pub sort_key: Option<String>,
    /// What it sorts by next: `IMAGE_VERSION`, else the first of `VERSION`, `VERSION_ID` and `BUILD_ID`.
    pub version: Option<String>,
}

impl Found {
    /// All of `/EFI/Linux`, ordered by name.
    ///
    /// # Errors
    /// When the ESP, at `path`, cannot be read. A file that is damaged or cannot be read is known by its name only: one bad sector in
    /// it must keep no version from its blessing, and no host from the upgrade that removes it.
    pub fn all<D: Disk>(volume: &Volume<D>, path: &Path) -> Result<Vec<Self>, EntriesError> {
        let failed = |source| EntriesError::Volume { path: path.to_owned(), source };
        let mut all = Vec::new();
        for item in volume.list(ESP_LINUX).map_err(failed)? {
            if item.is_directory {
                continue;
            }
            let content = volume.file(&format!("{ESP_LINUX}/{}", item.name));
            let uki = match content.and_then(|content| Uki::read(&content)) {
                Ok(uki) => uki,
                Err(VolumeError::Damaged { .. } | VolumeError::Io { .. }) => None,
                Err(error) => return Err(failed(error)),
            };
            all.push(Self { kind: Kind::of(&item.name), file: item.name, size: item.size, uki });
        }
        all.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(all)
    }

    /// The entry, if it is one of ours.
    #[must_use]
    pub fn entry(&self) -> Option<&BootEntry> {
        match &self.kind {
            Kind::Entry(entry) => Some(entry),
            Kind::Staged(..) | Kind::Foreign => None,
        }
    }

    /// Image and version of an entry or staged image.
    #[must_use]
    pub fn version(&self) -> Option<(&ImageId, &OsVersion)> {
        match &self.kind {
            Kind::Entry(entry) => Some((&entry.id, &entry.version)),
            Kind::Staged(id, version) => Some((id, version)),
            Kind::Foreign => None,
        }
    }

    /// The root file system that it boots.
    #[must_use]
    pub fn root_hash(&self) -> Option<RootHash> {
        self.uki.as_ref()?.root_hash
    }

    /// Whether it has booted what runs.
    #[must_use]
    pub fn is(&self, running: &Running) -> bool {
        let named = self.entry().is_some_and(|entry| entry.id == running.id && entry.version == running.version);
        named && self.root_hash() == Some(running.root_hash)
    }

    /// What it is, having booted what runs: the last try is none that has failed yet.
    #[must_use]
    pub fn running_state(&self) -> EntryState {
        match (self.state(), self.entry().and_then(|entry| entry.counter)) {
            (EntryState::Failed, Some(counter)) => EntryState::Trial(counter),
            (state, _) => state,
        }
    }

    /// Whether it has been booted more often than it has tries: the boot loader has nothing else that it could take.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        let counter = self.entry().and_then(|entry| entry.counter);
        counter.is_some_and(|BootCounter { left, done }| left == 0 && done > TRIES)
    }

    /// What the name says about it.
    #[must_use]
    pub fn state(&self) -> EntryState {
        match &self.kind {
            Kind::Foreign => EntryState::None,
            Kind::Staged(..) => EntryState::Staged,
            Kind::Entry(entry) => match entry.counter {
                None => EntryState::Blessed,
                Some(SET_ASIDE) => EntryState::SetAside,
                Some(BootCounter { left: 0, .. }) => EntryState::Failed,
                Some(counter) => EntryState::Trial(counter),
            },
        }
    }
}

/// The name of a staged unified kernel image.
#[must_use]
pub fn staged_name(id: &ImageId, version: &OsVersion) -> String {
    format!("{id}_{version}{STAGED_ENDING}")
}

impl Kind {
    fn of(file: &str) -> Self {
        if let Ok(entry) = file.parse() {
            return Self::Entry(entry);
        }
        let staged = file.strip_suffix(STAGED_ENDING).and_then(|name| name.split_once('_'));
        match staged.map(|(id, version)| (id.parse(), version.parse())) {
            Some((Ok(id), Ok(version))) => Self::Staged(id, version),
            _ => Self::Foreign,
        }
    }
}

impl Uki {
    /// Reads the headers and two sections. Nothing where it is no unified kernel image.
    fn read<D: Disk>(content: &Content<'_, D>) -> Result<Option<Self>, VolumeError> {
        let mut head = vec![0; usize::try_from(content.len().min(HEAD)).unwrap_or(0)];
        content.read_at(&mut head, 0)?;
        let Ok(sections) = pe::sections_of_head(&head, content.len()) else { return Ok(None) };
        let text = |name: &str| {
            let Some(section) = sections.iter().find(|section| section.name == name) else { return Ok(None) };
            let (start, len) = (section.raw.start as u64, section.raw.len() as u64);
            let mut bytes = vec![0; usize::try_from(len.min(section.virtual_size.into()).min(MAX_TEXT)).unwrap_or(0)];
            content.read_at(&mut bytes, start)?;
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            Ok(Some(String::from_utf8_lossy(&bytes[..end]).into_owned()))
        };
        let Some(os_release) = text(".osrel")? else { return Ok(None) };
        let words = cmdline::parse(&text(".cmdline")?.unwrap_or_default());
        let field = |names: &[&str]| names.iter().find_map(|name| os_release_value(&os_release, name));
        Ok(Some(Self {
            root_hash: words.root_hash().ok().flatten(),
            sort_key: field(&["IMAGE_ID", "ID"]),
            version: field(&["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"]),
        }))
    }
}

/// As systemd-boot reads os-release(5): one pair of quotes goes, nothing is unescaped.
fn os_release_value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix('='))?;
    let value = line.trim_end();
    let quoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Some(quoted.unwrap_or(value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        let of = |file: &str| Found { file: file.into(), size: 0, kind: Kind::of(file), uki: None }.state();
        let trial = |left, done| EntryState::Trial(BootCounter { left, done });
        for (file, state) in [
            ("a_1.efi", EntryState::Blessed),
            ("a_1+3.efi", trial(3, 0)),
            ("a_1+2-1.efi", trial(2, 1)),
            ("a_1+0.efi", EntryState::SetAside),
            ("a_1+0-0.efi", EntryState::SetAside),
            ("a_1+0-3.efi", EntryState::Failed),
            ("a_1.staged", EntryState::Staged),
            ("a_1.EFI", EntryState::None),
            ("memtest.efi", EntryState::None),
            ("a_1_2.staged", EntryState::None),
        ] {
            assert_eq!(of(file), state, "{file}");
        }
        let (id, version) = ("a".parse().unwrap(), "1~rc1".parse().unwrap());
        assert_eq!(Kind::of(&staged_name(&id, &version)), Kind::Staged(id, version));
    }

    #[test]
    fn os_release_is_read_as_systemd_boot_does() {
        let text = "NAME=Berth\nID=berth\n# IMAGE_ID=x\n IMAGE_VERSION=\"2026.11.0\"\nIMAGE_ID='berth-docker'\n";
        assert_eq!(os_release_value(text, "IMAGE_VERSION").as_deref(), Some("2026.11.0"));
        assert_eq!(os_release_value(text, "IMAGE_ID").as_deref(), Some("berth-docker"));
        assert_eq!(os_release_value(text, "ID").as_deref(), Some("berth"));
        assert_eq!(os_release_value(text, "VERSION"), None);
    }
}
