//! One EFI variable: a file in efivarfs. Its content is four bytes of attributes, then the value.

use berth_contract::fault::{At, PathError};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

/// `EFI_VARIABLE_NON_VOLATILE`, `_BOOTSERVICE_ACCESS` and `_RUNTIME_ACCESS`, UEFI 2.10, 8.2.
const ATTRIBUTES: u32 = 7;
/// Size of the attributes.
const HEAD: usize = 4;
/// Longest variable that is read, in bytes.
const LONGEST: u64 = 4096;

/// The value of a variable; `None` if the variable does not exist.
///
/// # Errors
/// When the variable exists and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, PathError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes.split_off(HEAD.min(bytes.len())))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// Sets a variable that survives a reset. If it has this value already, nothing is written: the firmware's flash memory wears out.
///
/// # Errors
/// When efivarfs is read-only, or the firmware refuses.
pub fn write(path: &Path, value: &[u8]) -> Result<(), PathError> {
    match read(path)? {
        Some(present) if present == value => return Ok(()),
        Some(_) => make_mutable(path),
        None => {}
    }
    let content: Vec<u8> = ATTRIBUTES.to_le_bytes().into_iter().chain(value.iter().copied()).collect();
    // Use a single write(2): efivarfs takes each write as the whole variable.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).at("create", path)?;
    file.write_all(&content).at("write", path)
}

/// Removes a variable, if it exists.
///
/// # Errors
/// When efivarfs is read-only, or the firmware refuses.
pub fn remove(path: &Path) -> Result<(), PathError> {
    make_mutable(path);
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.at("remove", path),
    }
}

/// efivarfs protects most variables from `rm -rf`: they are immutable until the flag is removed. An error is ignored, because the change
/// of the variable itself fails then.
fn make_mutable(path: &Path) {
    let _ = File::open(path).map(|file| {
        let flags = ioctl_getflags(&file).unwrap_or(IFlags::IMMUTABLE);
        ioctl_setflags(&file, flags.difference(IFlags::IMMUTABLE))
    });
}

/// Text as the Boot Loader Interface stores it: UTF-16 with a final NUL.
#[must_use]
pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_written_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Test-1");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, &utf16("a")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\x07\0\0\0a\0\0\0");
        write(&path, &utf16("b")).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"b\0\0\0");
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
        fs::write(&path, [6, 0]).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"", "a variable without attributes");
        assert!(read(dir.path()).is_err());
    }
}
