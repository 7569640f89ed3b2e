//! The files in `/EFI/Linux`: our boot entries, staged unified kernel images, and files of other programs.

use super::{error::EntriesError, running::Running};
use berth_contract::{
    cmdline,
    digest::RootHash,
    entry::{BootCounter, BootEntry, SET_ASIDE, TRIES},
    paths::{ESP_LINUX, STAGED_ENDING},
    release::ReleaseRecord,
    update::EntryState,
    version::{ImageId, OsVersion},
};
use berth_formats::{
    fat::{Content, Disk, Volume, VolumeError},
    pe::{self, Section},
};
use std::path::Path;

/// Bytes read for the headers of a unified kernel image. systemd's stub has less than 1 KiB of headers.
const HEAD: u64 = 4096;
/// Longest `.cmdline` or `.osrel` that is read, in bytes.
const MAX_TEXT: u64 = 64 << 10;

/// A file in `/EFI/Linux`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspFile {
    /// File name.
    pub file: String,
    /// Size in bytes.
    pub size: u64,
    /// The kind of the file, by its name.
    pub kind: FileKind,
    /// The facts in its sections; `None` if the file is not a readable unified kernel image.
    pub uki: Option<Uki>,
}

/// The kind of a file, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A boot entry of Berth.
    Entry(BootEntry),
    /// A staged kernel image: the commit of an upgrade makes it an entry.
    Staged(ImageId, OsVersion),
    /// A file of another program.
    Foreign,
}

/// The facts in the sections of a unified kernel image that hostctl needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uki {
    /// Root hash of the root file system that it boots.
    pub root_hash: Option<RootHash>,
    /// The first sort key of systemd-boot: `IMAGE_ID`, else `ID`.
    pub sort_key: Option<String>,
    /// The second sort key: `IMAGE_VERSION`, else the first of `VERSION`, `VERSION_ID` and `BUILD_ID`.
    pub version: Option<String>,
}

impl EspFile {
    /// All files in `/EFI/Linux`, sorted by name.
    ///
    /// # Errors
    /// When the ESP at `path` cannot be read. Of a file that is damaged or unreadable only the name is known: one bad sector in it must not
    /// prevent a blessing, nor the upgrade that removes the file.
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
            all.push(Self { kind: FileKind::of(&item.name), file: item.name, size: item.size, uki });
        }
        all.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(all)
    }

    /// The boot entry, if the file is one of Berth.
    #[must_use]
    pub fn entry(&self) -> Option<&BootEntry> {
        match &self.kind {
            FileKind::Entry(entry) => Some(entry),
            FileKind::Staged(..) | FileKind::Foreign => None,
        }
    }

    /// Id and version of an entry or staged image.
    #[must_use]
    pub fn version(&self) -> Option<(&ImageId, &OsVersion)> {
        match &self.kind {
            FileKind::Entry(entry) => Some((&entry.id, &entry.version)),
            FileKind::Staged(id, version) => Some((id, version)),
            FileKind::Foreign => None,
        }
    }

    /// Root hash of the root file system that it boots.
    #[must_use]
    pub fn root_hash(&self) -> Option<RootHash> {
        self.uki.as_ref()?.root_hash
    }

    /// Whether this entry booted the running system.
    #[must_use]
    pub fn is(&self, running: &Running) -> bool {
        let named = self.entry().is_some_and(|entry| entry.id == running.id && entry.version == running.version);
        named && self.root_hash() == Some(running.root_hash)
    }

    /// State of the entry that booted the running system. Its current try has not failed.
    #[must_use]
    pub fn running_state(&self) -> EntryState {
        match (self.state(), self.entry().and_then(|entry| entry.counter)) {
            (EntryState::Failed, Some(counter)) => EntryState::Trial(counter),
            (state, _) => state,
        }
    }

    /// Whether it has been booted more often than it had tries: the boot loader has no other entry to take.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        let counter = self.entry().and_then(|entry| entry.counter);
        counter.is_some_and(|BootCounter { left, done }| left == 0 && done > TRIES)
    }

    /// The state, by its name.
    #[must_use]
    pub fn state(&self) -> EntryState {
        match &self.kind {
            FileKind::Foreign => EntryState::None,
            FileKind::Staged(..) => EntryState::Staged,
            FileKind::Entry(entry) => match entry.counter {
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

impl FileKind {
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
    /// Reads the headers and two sections; `None` if the file is not a unified kernel image.
    fn read<D: Disk>(content: &Content<'_, D>) -> Result<Option<Self>, VolumeError> {
        let mut head = vec![0; usize::try_from(content.len().min(HEAD)).unwrap_or(0)];
        content.read_at(&mut head, 0)?;
        let Ok(sections) = pe::sections_of_head(&head, content.len()) else { return Ok(None) };
        Self::of_sections(&sections, |section, bytes| content.read_at(bytes, section.raw.start as u64))
    }

    /// The facts of a whole image in memory; `None` if it is not a unified kernel image.
    #[must_use]
    pub fn of_image(image: &[u8]) -> Option<Self> {
        let sections = pe::sections(image).ok()?;
        let read = |section: &Section, bytes: &mut [u8]| {
            bytes.copy_from_slice(section.content(image).get(..bytes.len())?);
            Some(())
        };
        Self::of_sections(&sections, |section, bytes| read(section, bytes).ok_or(())).ok()?
    }

    /// `read` reads the first bytes of a section.
    fn of_sections<E>(
        sections: &[Section],
        mut read: impl FnMut(&Section, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let mut text = |name: &str| {
            let Some(section) = sections.iter().find(|section| section.name == name) else { return Ok(None) };
            let len = (section.raw.len() as u64).min(section.virtual_size.into()).min(MAX_TEXT);
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
            read(section, &mut bytes)?;
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

    /// Checks that the image boots the root file system of the release, and has its id and version.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, record: &ReleaseRecord) -> Result<(), EntriesError> {
        let found = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        for (field, wanted, found) in [
            (
                "root hash on its command line",
                record.root.root_hash.to_string(),
                self.root_hash.map(|hash| hash.to_string()),
            ),
            ("IMAGE_ID", record.id.to_string(), self.sort_key.clone()),
            ("IMAGE_VERSION", record.version.to_string(), self.version.clone()),
        ]
        .map(|(field, wanted, text)| (field, wanted, found(text)))
        {
            if wanted != found {
                return Err(EntriesError::OtherImage { version: record.version.clone(), field, wanted, found });
            }
        }
        Ok(())
    }
}

/// Reads a value as systemd-boot reads os-release(5): one pair of quotes is removed, nothing is unescaped.
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
    fn the_name_gives_the_state_of_a_file() {
        let of = |file: &str| EspFile { file: file.into(), size: 0, kind: FileKind::of(file), uki: None }.state();
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
        assert_eq!(FileKind::of(&staged_name(&id, &version)), FileKind::Staged(id, version));
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
