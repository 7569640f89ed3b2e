//! Whether this boot is a trial: what systemd-boot left in an EFI variable when it took one try off the entry's counter.

use crate::fault::{At, PathError};
use berth_contract::entry::{BadEntry, BootCounter, BootEntry};
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
    /// It holds no path.
    #[error("{variable}: expected a path in UTF-16, found {length} bytes of something else")]
    NoPath {
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
    let mut bytes = Vec::new();
    match File::open(variable).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => parse(variable, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Ok(Err(error).at("read", variable)?),
    }
}

fn parse(variable: &Path, bytes: &[u8]) -> Result<Option<BootCounter>, CounterError> {
    let no_path = || CounterError::NoPath { variable: variable.display().to_string(), length: bytes.len() };
    let (units, rest) = bytes.get(ATTRIBUTES..).ok_or_else(no_path)?.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0).collect();
    let path =
        String::from_utf16(&units).ok().filter(|path| rest.is_empty() && !path.is_empty()).ok_or_else(no_path)?;
    let name = path.rsplit('\\').next().unwrap_or_default();
    Ok(name.parse::<BootEntry>()?.counter)
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
            assert!(error.starts_with("/v: expected a path in UTF-16"), "{bytes:?}: {error}");
        }
        let error = parse(path, &variable("\\EFI\\Linux\\arch+2-1.conf")).unwrap_err().to_string();
        assert!(error.contains("\"arch+2-1.conf\" is not a boot entry"), "{error}");
        assert!(read(Path::new("/proc/self/mem")).is_err());
    }
}
