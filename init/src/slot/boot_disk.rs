//! Finds the disk that the boot loader was loaded from, by the EFI variable `LoaderDevicePartUUID` of the Boot Loader Interface.

use crate::block::Disk;
use berth_formats::gpt::{self, Guid};
use std::{fs, fs::File, path::Path};

/// Name of the file in efivarfs.
const VARIABLE: &str = "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// UUID of the partition that systemd-boot or its stub was loaded from.
#[must_use]
pub fn loader_partition(efivars: &Path) -> Option<Guid> {
    parse(&fs::read(efivars.join(VARIABLE)).ok()?)
}

/// Parses the variable: four bytes of attributes, then the UUID as text in UTF-16 with a final NUL.
fn parse(content: &[u8]) -> Option<Guid> {
    let units = content.get(4..)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map_while(Result::ok).filter(|c| *c != '\0' && *c != '-').collect();
    let mut guid = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in guid.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(guid)
}

/// Whether the partition table of a disk has a partition with this UUID. False for a disk that cannot be read.
#[must_use]
pub fn holds(dev: &Path, disk: &Disk, partition: Guid) -> bool {
    let table = File::open(dev.join(&disk.name)).ok().and_then(|mut file| gpt::read(&mut file).ok());
    table.is_some_and(|table| table.partitions.iter().any(|found| found.guid == partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_parsed_as_firmware_stores_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut content = vec![6, 0, 0, 0];
        content.extend("C12A7328-f81f-11d2-ba4b-00a0c93ec93b\0".encode_utf16().flat_map(u16::to_le_bytes));
        fs::write(dir.path().join(VARIABLE), &content).unwrap();
        let guid = loader_partition(dir.path()).unwrap();
        assert_eq!(guid[..6], [0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f]);
        assert_eq!(parse(&content[..content.len() - 4]), None);
        assert_eq!(parse(&[0; 3]), None);
        assert_eq!(loader_partition(Path::new("/nowhere")), None);
    }
}
