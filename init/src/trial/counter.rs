//! The boot counter of the entry that was booted. A version on trial has one. systemd-boot subtracts one try at each boot and stores
//! the new name of the entry, with the counter, in an EFI variable.

use berth_contract::{
    entry::{BadEntry, BootCounter, BootEntry},
    fault::{At, PathError},
    version::{ImageId, OsVersion},
};
use std::{fs::File, io, io::Read, path::Path};

/// Maximum number of bytes that are read of a variable. The variables hold paths and names on the ESP.
const LONGEST: u64 = 4096;
/// Size of the variable's attributes, which efivarfs puts in front of the content: a 32-bit number.
const ATTRIBUTES: usize = 4;

/// Why the counter is not known.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The variable exists and cannot be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// The variable does not hold text.
    #[error("{variable}: expected UTF-16 text, found {length} bytes that are not")]
    NoText {
        /// Its path in efivarfs.
        variable: String,
        /// Size of the variable in bytes.
        length: usize,
    },
    /// The file name in the variable is not that of a Berth boot entry.
    #[error("EFI variable LoaderBootCountPath: {0}")]
    NotOurs(#[from] BadEntry),
}

/// Reads the counter of the booted entry from the variable. This boot is already subtracted. `None` when the boot loader counted
/// nothing: the entry is blessed, or systemd-boot did not boot it.
///
/// # Errors
/// When the variable exists and cannot be read or parsed.
pub fn read(variable: &Path) -> Result<Option<BootCounter>, CounterError> {
    let Some(path) = read_text(variable)? else { return Ok(None) };
    Ok(path.rsplit('\\').next().unwrap_or_default().parse::<BootEntry>()?.counter)
}

/// The counter of the booted entry, from the file names of `entries`. This is for hosts without readable EFI variables. `None` when the
/// boot loader has not counted this entry: then a reboot would not use a try either. `None` also when several entries have this
/// version, because it is unknown which of them was booted.
#[must_use]
pub fn by_name(entries: &[BootEntry], id: &ImageId, version: &OsVersion) -> Option<BootCounter> {
    let mut its = entries.iter().filter(|entry| entry.id == *id && entry.version == *version);
    let (Some(entry), None) = (its.next(), its.next()) else { return None };
    entry.counter.filter(|counter| counter.done > 0)
}

/// The text of a variable of the boot loader. `None` when the variable does not exist.
pub(super) fn read_text(variable: &Path) -> Result<Option<String>, CounterError> {
    let mut bytes = Vec::new();
    match File::open(variable).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => text_of(variable, &bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Ok(Err(error).at("read", variable)?),
    }
}

/// The text in the bytes of an EFI variable of the boot loader. `variable` is for the error.
///
/// # Errors
/// When the bytes are not attributes and a UTF-16 text that ends with a zero.
pub fn text_of(variable: &Path, bytes: &[u8]) -> Result<String, CounterError> {
    let no_text = || CounterError::NoText { variable: variable.display().to_string(), length: bytes.len() };
    let (units, rest) = bytes.get(ATTRIBUTES..).ok_or_else(no_text)?.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0).collect();
    String::from_utf16(&units).ok().filter(|text| rest.is_empty() && !text.is_empty()).ok_or_else(no_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(path: &str) -> Vec<u8> {
        let units = path.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        [6, 0, 0, 0].into_iter().chain(units).collect()
    }

    #[test]
    fn the_counter_is_read_from_variables_as_systemd_boot_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LoaderBootCountPath");
        assert_eq!(read(&path).unwrap(), None, "nothing was counted");
        for (text, counter) in [
            ("\\EFI\\Linux\\berth-docker_2026.11.0+2-1.efi", Some(BootCounter { left: 2, done: 1 })),
            ("\\EFI\\Linux\\berth-docker_2026.11.0+0-3.efi", Some(BootCounter { left: 0, done: 3 })),
            ("\\EFI\\Linux\\berth-docker_2026.11.0.efi", None),
        ] {
            std::fs::write(&path, variable(text)).unwrap();
            assert_eq!(read(&path).unwrap(), counter, "{text}");
        }
    }

    #[test]
    fn a_variable_without_a_valid_entry_is_an_error() {
        let path = Path::new("/v");
        for bytes in [&b""[..], b"\x06\0\0", b"\x06\0\0\0", b"\x06\0\0\0\0\0", b"\x06\0\0\0a\0b", b"\x06\0\0\0\0\xd8"] {
            let error = text_of(path, bytes).unwrap_err().to_string();
            assert!(error.starts_with("/v: expected UTF-16 text"), "{bytes:?}: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let foreign = dir.path().join("foreign");
        std::fs::write(&foreign, variable("\\EFI\\Linux\\arch+2-1.conf")).unwrap();
        let error = read(&foreign).unwrap_err().to_string();
        assert!(error.contains("\"arch+2-1.conf\" is not a boot entry"), "{error}");
        assert!(read(Path::new("/proc/self/mem")).is_err());
    }

    #[test]
    fn the_counter_can_be_read_from_the_name_of_the_entry() {
        let of = |names: &[&str]| {
            let entries: Vec<BootEntry> = names.iter().map(|name| name.parse().unwrap()).collect();
            by_name(&entries, &"a".parse().unwrap(), &"2".parse().unwrap())
        };
        assert_eq!(of(&["a_1.efi", "a_2+2-1.efi", "b_2+1-2.efi"]), Some(BootCounter { left: 2, done: 1 }));
        assert_eq!(of(&["a_2+0-3.efi"]), Some(BootCounter { left: 0, done: 3 }));
        assert_eq!(of(&["a_1+2-1.efi", "a_2.efi"]), None, "blessed, or installed without a counter");
        assert_eq!(of(&["a_1.efi", "a_2+3.efi"]), None, "the boot loader has not counted this boot");
        assert_eq!(of(&["a_2.efi", "a_2+2-1.efi"]), None, "it is unknown which of the two was booted");
        assert_eq!(of(&[]), None);
    }
}
