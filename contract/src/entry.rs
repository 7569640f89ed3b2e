//! Names of boot entries, `<id>_<version>[+<left>[-<done>]].efi` in `/EFI/Linux/`, by the Boot Loader Specification ("boot counting")
//! and the UAPI version format.

use crate::version::{BadName, ImageId, OsVersion};
use std::{fmt, str::FromStr};

/// The tries of an entry that is not blessed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BootCounter {
    /// Number of boots that systemd-boot will still try.
    pub left: u32,
    /// Number of boots that ended without a blessing.
    pub done: u32,
}

/// The name of a unified kernel image on the ESP. In JSON it is a string.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootEntry {
    /// The image's id.
    pub id: ImageId,
    /// The image's version.
    pub version: OsVersion,
    /// The tries; `None` means that the entry is blessed.
    pub counter: Option<BootCounter>,
}

/// Number of boots that a new version is tried.
pub const TRIES: u32 = 3;

/// The counter of an entry that was set aside: systemd-boot prefers an entry that is blessed or has tries left. An entry that failed has
/// no tries left either, but its `done` is not 0.
pub const SET_ASIDE: BootCounter = BootCounter { left: 0, done: 0 };

/// The field of os-release that says: this version knows the standby entry. Older releases do not have it. As the standby entry, such a version
/// would run for ever, because it does not prefer the usual version again.
pub const KNOWS_STANDBY: (&str, &str) = ("BERTH_STANDBY", "1");

/// Why a file name in `/EFI/Linux` is not the name of a Berth boot entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEntry {
    /// The name has another form.
    #[error("{0:?} is not a boot entry: expected ID_VERSION.efi or ID_VERSION+LEFT-DONE.efi")]
    Shape(String),
    /// The id or the version contains characters that are not allowed, or is too long.
    #[error("boot entry {0:?}: {1}")]
    Name(String, BadName),
}

impl fmt::Display for BootEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.id, self.version)?;
        match self.counter {
            Some(BootCounter { left, done: 0 }) => write!(f, "+{left}")?,
            Some(BootCounter { left, done }) => write!(f, "+{left}-{done}")?,
            None => {}
        }
        f.write_str(".efi")
    }
}

impl TryFrom<String> for BootEntry {
    type Error = BadEntry;

    fn try_from(text: String) -> Result<Self, BadEntry> {
        text.parse()
    }
}

impl From<BootEntry> for String {
    fn from(entry: BootEntry) -> Self {
        entry.to_string()
    }
}

impl FromStr for BootEntry {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        let shape = || BadEntry::Shape(text.to_owned());
        let stem = text.strip_suffix(".efi").ok_or_else(shape)?;
        let (name, counter) = match stem.rsplit_once('+') {
            None => (stem, None),
            Some((name, tries)) => {
                let (left, done) = tries.split_once('-').unwrap_or((tries, "0"));
                let number = |digits: &str| {
                    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
                    plain.then(|| digits.parse().ok()).flatten().ok_or_else(shape)
                };
                (name, Some(BootCounter { left: number(left)?, done: number(done)? }))
            }
        };
        let (id, version) = name.split_once('_').ok_or_else(shape)?;
        let named = |error| BadEntry::Name(text.to_owned(), error);
        Ok(Self { id: id.parse().map_err(named)?, version: version.parse().map_err(named)?, counter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_print_as_systemd_boot_renames_them() {
        for name in ["berth-docker_2026.11.0.efi", "a_1+3.efi", "a_1+2-1.efi", "a_1-2~rc1+0-3.efi"] {
            assert_eq!(name.parse::<BootEntry>().unwrap().to_string(), name);
        }
        // systemd-boot also accepts and writes "+3-0". It means the same as "+3".
        assert_eq!("a_1+3-0.efi".parse::<BootEntry>().unwrap(), "a_1+3.efi".parse().unwrap());
        for bad in ["a_1", "a.efi", "a_1+.efi", "a_1+x.efi", "a_1+3-.efi", "a_1++3.efi", "A_1.efi", "a_1+-1.efi"] {
            assert!(bad.parse::<BootEntry>().is_err(), "{bad}");
        }
    }
}
