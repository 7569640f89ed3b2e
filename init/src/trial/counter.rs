//! Whether this boot is a trial: what systemd-boot left in an EFI variable when it took one try off the entry's counter.

use berth_contract::{
    entry::{BadEntry, BootCounter, BootEntry},
    fault::{At, PathError},
    version::{ImageId, OsVersion},
};
use std::{fs::File, io, io::Read, path::Path};

/// Longest variable that is read, in bytes: a path on the ESP.
const LONGEST: u64 = 4096;
/// efivarfs puts the variable's attributes in front, a 32-bit number.
const ATTRIBUTES: usize = 4;

/// Why the variable says nothing.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// It is there and cannot be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// It holds no text.
    #[error("{variable}: expected a text in UTF-16, found {length} bytes of something else")]
    NoText {
        /// Which.
        variable: String,
        /// Bytes that it has.
        length: usize,
    },
    /// The path is that of another entry.
    #[error("boot loader's counted entry: {0}")]
    NotOurs(#[from] BadEntry),
}

/// The counter of the entry that runs, after this boot was counted. None: the boot loader counts nothing here, because the entry has
/// been blessed, or because it was not booted by it.
///
/// # Errors
/// When there is such a variable and it cannot be understood.
pub fn read(variable: &Path) -> Result<Option<BootCounter>, CounterError> {
    let Some(path) = read_text(variable)? else { return Ok(None) };
    Ok(path.rsplit('\\').next().unwrap_or_default().parse::<BootEntry>()?.counter)
}

/// The counter of the entry that runs, from the names of `entries`, where no variable tells. An entry that the boot loader has
/// not counted is none on trial: nothing would fall by a reboot. Of several entries of one version nobody knows which has booted.
#[must_use]
pub fn by_name(entries: &[BootEntry], id: &ImageId, version: &OsVersion) -> Option<BootCounter> {
    let mut its = entries.iter().filter(|entry| entry.id == *id && entry.version == *version);
    let (Some(entry), None) = (its.next(), its.next()) else { return None };
    entry.counter.filter(|counter| counter.done > 0)
}

/// The text of a variable of the boot loader; none when there is no such variable.
pub(super) fn read_text(variable: &Path) -> Result<Option<String>, CounterError> {
    let mut bytes = Vec::new();
    match File::open(variable).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => parse(variable, &bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Ok(Err(error).at("read", variable)?),
    }
}

fn parse(variable: &Path, bytes: &[u8]) -> Result<String, CounterError> {
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
    fn variables_as_systemd_boot_writes_them() {
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
    fn what_is_no_entry_is_said_so() {
        let path = Path::new("/v");
        for bytes in [&b""[..], b"\x06\0\0", b"\x06\0\0\0", b"\x06\0\0\0\0\0", b"\x06\0\0\0a\0b", b"\x06\0\0\0\0\xd8"] {
            let error = parse(path, bytes).unwrap_err().to_string();
            assert!(error.starts_with("/v: expected a text in UTF-16"), "{bytes:?}: {error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let foreign = dir.path().join("foreign");
        std::fs::write(&foreign, variable("\\EFI\\Linux\\arch+2-1.conf")).unwrap();
        let error = read(&foreign).unwrap_err().to_string();
        assert!(error.contains("\"arch+2-1.conf\" is not a boot entry"), "{error}");
        assert!(read(Path::new("/proc/self/mem")).is_err());
    }

    #[test]
    fn without_a_variable_the_entrys_name_tells() {
        let of = |names: &[&str]| {
            let entries: Vec<BootEntry> = names.iter().map(|name| name.parse().unwrap()).collect();
            by_name(&entries, &"a".parse().unwrap(), &"2".parse().unwrap())
        };
        assert_eq!(of(&["a_1.efi", "a_2+2-1.efi", "b_2+1-2.efi"]), Some(BootCounter { left: 2, done: 1 }));
        assert_eq!(of(&["a_2+0-3.efi"]), Some(BootCounter { left: 0, done: 3 }));
        assert_eq!(of(&["a_1+2-1.efi", "a_2.efi"]), None, "blessed, or flashed");
        assert_eq!(of(&["a_1.efi", "a_2+3.efi"]), None, "the boot loader has not counted this boot");
        assert_eq!(of(&["a_2.efi", "a_2+2-1.efi"]), None, "either may have booted");
        assert_eq!(of(&[]), None);
    }
}
