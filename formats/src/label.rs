//! Labels of the two file systems that sticks and discs have.

use std::{fs::File, io, os::unix::fs::FileExt};

/// A file system with its label, without trailing blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// FAT; 11 bytes at most, usually upper case.
    Fat(String),
    /// ISO 9660; 32 bytes at most.
    Iso(String),
}

/// Looks for a label; none for every other file system.
///
/// # Errors
/// When the start of the device cannot be read.
pub fn read(device: &File) -> io::Result<Option<Labelled>> {
    let mut sector = [0; 512];
    device.read_exact_at(&mut sector, 0)?;
    if let Some(fat) = Fat::parse(&sector) {
        let mut root = vec![0; fat.root_bytes];
        // The entry in the root directory is what programs change when they change a label; the boot sector may lag behind.
        let entry = device.read_exact_at(&mut root, fat.root_at).ok().and_then(|()| label_entry(&root));
        return Ok(Some(Labelled::Fat(entry.unwrap_or(fat.label))));
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

/// What a FAT boot sector tells, "FAT: General Overview of On-Disk Format" (Microsoft's fatgen103).
#[derive(Debug)]
struct Fat {
    label: String,
    /// Where the root directory begins, in bytes.
    root_at: u64,
    /// Of its first cluster, or of all of it.
    root_bytes: usize,
}

impl Fat {
    fn parse(sector: &[u8; 512]) -> Option<Self> {
        let half = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
        let word =
            |at: usize| u64::from(u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]));
        let is = |at: usize, kind: &[u8]| sector[at..at + kind.len()] == *kind;
        let (bytes_per_sector, sectors_per_cluster) = (half(11), u64::from(sector[13]));
        if !is(510, &[0x55, 0xaa]) || !bytes_per_sector.is_power_of_two() || sectors_per_cluster == 0 {
            return None;
        }
        let (reserved, fats, root_entries) = (half(14), u64::from(sector[16]), half(17));
        let (label_at, root_sector, root_bytes) = if is(82, b"FAT32   ") {
            let data = reserved + fats * word(36);
            let cluster = word(44).checked_sub(2)?;
            (71, data + cluster * sectors_per_cluster, sectors_per_cluster * bytes_per_sector)
        } else if is(54, b"FAT12   ") || is(54, b"FAT16   ") {
            (43, reserved + fats * half(22), root_entries * 32)
        } else {
            return None;
        };
        Some(Self {
            label: text(&sector[label_at..label_at + 11]),
            root_at: root_sector.checked_mul(bytes_per_sector)?,
            // At most 255 sectors of 32 KiB, or 65535 entries of 32 bytes.
            root_bytes: usize::try_from(root_bytes).ok()?,
        })
    }
}

/// The directory entry with the attribute ATTR_VOLUME_ID alone (a long name's entries have it among others).
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
        berth_judge::needs!("mkfs.fat", "mlabel");
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
        // A boot sector whose numbers lead nowhere.
        let mut wild = vec![0xff; 1024];
        wild[510..512].copy_from_slice(&[0x55, 0xaa]);
        wild[82..90].copy_from_slice(b"FAT32   ");
        wild[11..13].copy_from_slice(&512_u16.to_le_bytes());
        assert!(matches!(label(&wild).unwrap(), Some(Labelled::Fat(_))));
    }
}
