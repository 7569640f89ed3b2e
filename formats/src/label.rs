//! Labels of the file systems of removable media: FAT (see [`crate::fat`]) and ISO 9660
//! (<https://ecma-international.org/publications-and-standards/standards/ecma-119/>).

use crate::fat::boot_sector::{BOOT, BootSector};
use std::{fs::File, io, os::unix::fs::FileExt};

/// A file system with its label, without trailing blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// FAT; 11 bytes at most, usually upper case.
    Fat(String),
    /// ISO 9660; 32 bytes at most.
    Iso(String),
}

/// Reads the label of a FAT or ISO 9660 file system. `None` for any other content.
///
/// # Errors
/// The start of the device cannot be read.
pub fn read(device: &File) -> io::Result<Option<Labelled>> {
    let mut sector = [0; BOOT];
    device.read_exact_at(&mut sector, 0)?;
    if let Some(place) = BootSector(&sector).label_place() {
        // At most 255 sectors of 32 KiB, or 65535 entries of 32 bytes.
        let mut root = vec![0; usize::try_from(place.root_len).unwrap_or_default()];
        // Programs that change a label change the entry in the root directory; the boot sector may have the old label.
        let entry = device.read_exact_at(&mut root, place.root_at).ok().and_then(|()| label_entry(&root));
        return Ok(Some(Labelled::Fat(entry.unwrap_or_else(|| text(place.label)))));
    }
    let mut descriptor = [0; 2048];
    match device.read_exact_at(&mut descriptor, ISO_DESCRIPTOR) {
        Ok(()) => Ok(parse_iso(&descriptor).map(Labelled::Iso)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// ECMA-119: the primary volume descriptor is the first after 16 sectors of 2048 bytes.
const ISO_DESCRIPTOR: u64 = 16 * 2048;

/// ECMA-119, 8.4: type 1, `CD001`, and the volume identifier in bytes 41 to 72.
fn parse_iso(descriptor: &[u8; 2048]) -> Option<String> {
    (descriptor[..6] == *b"\x01CD001").then(|| text(&descriptor[40..72]))
}

/// The text of the directory entry whose only attribute is ATTR_VOLUME_ID. (The entries of a long name have other
/// attributes, too.)
fn label_entry(root: &[u8]) -> Option<String> {
    let entries = root.chunks_exact(32).take_while(|entry| entry[0] != 0);
    let label = entries.filter(|entry| entry[0] != 0xe5).find(|entry| entry[11] & 0x3f == 0x08)?;
    Some(text(&label[..11]))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{path::Path, process::Command};

    fn run(program: &str, arguments: &[&str], image: &Path) {
        let output = Command::new(program).args(arguments).arg(image).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run ci/setup"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// mkfs.fat writes the labels, and mtools' mlabel changes one.
    #[test]
    fn labels_of_real_fat_file_systems() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("fat.img");
        for (bits, megabytes) in [("12", 2), ("16", 20), ("32", 40)] {
            File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
            let label = || read(&File::open(&image).unwrap()).unwrap();
            run("mkfs.fat", &["-F", bits, "-n", "BERTH-CONFI"], &image);
            assert_eq!(label(), Some(Labelled::Fat("BERTH-CONFI".into())), "FAT{bits}");
            let status = Command::new("mlabel").arg("-i").arg(&image).arg("::CIDATA").status().expect("run ci/setup");
            assert!(status.success());
            assert_eq!(label(), Some(Labelled::Fat("CIDATA".into())), "FAT{bits}");
        }
    }

    #[test]
    fn an_iso_label_and_no_label() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("iso");
        let mut image = vec![0; 20 * 2048];
        let label = |image: &[u8]| {
            std::fs::write(&path, image).unwrap();
            read(&File::open(&path).unwrap())
        };
        assert_eq!(label(&image).unwrap(), None);
        image[32768..32774].copy_from_slice(b"\x01CD001");
        image[32808..32840].copy_from_slice(b"cidata                          ");
        assert_eq!(label(&image).unwrap(), Some(Labelled::Iso("cidata".into())));
        assert_eq!(label(&image[..4096]).unwrap(), None);
        assert!(label(&[]).is_err());
        // A boot sector with impossible numbers.
        let mut wild = vec![0xff; 1024];
        wild[510..512].copy_from_slice(&[0x55, 0xaa]);
        wild[82..90].copy_from_slice(b"FAT32   ");
        wild[11..13].copy_from_slice(&512_u16.to_le_bytes());
        assert!(matches!(label(&wild).unwrap(), Some(Labelled::Fat(_))));
    }
}
