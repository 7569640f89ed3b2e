//! Lists the boot entries on the ESP. The FAT file system is read directly from the device, without a mount, because the initrd has no
//! FAT driver.

use crate::block::Disk;
use berth_contract::{
    disk::PartitionRole,
    entry::{BootEntry, KNOWS_STANDBY},
    fault::{At, PathError},
    paths::ESP_LINUX,
};
use berth_formats::{
    fat::{Volume, VolumeError},
    pe,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Bytes that are read for the headers of a kernel image. systemd's stub has less than 1 KiB of headers.
const HEAD: usize = 4096;
/// Longest os-release that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// Why the entries cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// The device of the ESP cannot be opened.
    #[error(transparent)]
    Open(#[from] PathError),
    /// The disk has no ESP.
    #[error("partition esp: not found on {disk}")]
    NoPartition {
        /// The disk.
        disk: String,
    },
    /// The file system of the ESP cannot be read.
    #[error("{}: {source}", device.display())]
    Read {
        /// The node of the ESP.
        device: PathBuf,
        /// The cause.
        source: VolumeError,
    },
}

/// Path of the node of a disk's ESP.
///
/// # Errors
/// When the disk has no ESP.
pub fn device(dev: &Path, disk: &Disk) -> Result<PathBuf, EspError> {
    let partition = disk.partition(PartitionRole::Esp.label());
    let partition = partition.ok_or_else(|| EspError::NoPartition { disk: disk.name.clone() })?;
    Ok(dev.join(&partition.name))
}

/// The boot entries of Berth. Other files are skipped.
///
/// # Errors
/// When the device cannot be read, or is not a FAT32 file system with the folder of the entries.
pub fn entries(device: &Path) -> Result<Vec<BootEntry>, EspError> {
    let read = |source| EspError::Read { device: device.to_owned(), source };
    let volume = Volume::open(File::open(device).at("open", device)?).map_err(read)?;
    let items = volume.list(ESP_LINUX).map_err(read)?;
    Ok(items.iter().filter(|item| !item.is_directory).filter_map(|item| item.name.parse().ok()).collect())
}

/// Whether the version of this entry knows the standby entry: the os-release in its kernel image says so. False if that cannot be read.
#[must_use]
pub fn knows_standby(device: &Path, entry: &BootEntry) -> bool {
    let (key, value) = KNOWS_STANDBY;
    os_release(device, entry)
        .is_some_and(|text| text.lines().any(|line| line.strip_prefix(key) == Some(&format!("={value}"))))
}

fn os_release(device: &Path, entry: &BootEntry) -> Option<String> {
    let volume = Volume::open(File::open(device).ok()?).ok()?;
    let content = volume.file(&format!("{ESP_LINUX}/{entry}")).ok()?;
    let read = |start: u64, len: usize| {
        let mut bytes = vec![0; len];
        content.read_at(&mut bytes, start).ok().map(|()| bytes)
    };
    let head = read(0, HEAD.min(usize::try_from(content.len()).ok()?))?;
    let section = pe::sections_of_head(&head, content.len()).ok()?.into_iter().find(|found| found.name == ".osrel")?;
    let len = section.raw.len().min(section.virtual_size.try_into().ok()?).min(LONGEST);
    String::from_utf8(read(section.raw.start as u64, len)?).ok()
}

#[cfg(test)]
#[path = "../../../hostctl/tests/tiny_efi/mod.rs"]
mod tiny_efi;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use berth_formats::{data::Data, fat, range::Range};
    use std::{collections::BTreeMap, process::Command};

    /// Makes an ESP with files of these names, by dosfstools and mtools.
    pub(crate) fn esp(path: &Path, names: &[&str]) {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().expect("run ci/setup");
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let image = path.to_str().unwrap();
        File::create(path).unwrap().set_len(34 << 20).unwrap();
        run("mkfs.fat", &["-F", "32", "-s", "1", image]);
        run("mmd", &["-i", image, "::EFI", "::EFI/Linux", "::EFI/Linux/a_9.efi"]);
        for name in names {
            run("mcopy", &["-i", image, "/dev/null", &format!("::EFI/Linux/{name}")]);
        }
    }

    #[test]
    fn a_version_that_knows_the_standby_entry_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("esp");
        let with = |line: &str| tiny_efi::uki("", "quiet", &format!("ID=berth\n{line}\nVERSION=3\n"));
        let files = [
            ("a_1.efi", tiny_efi::version("a", "1", "00")),
            ("a_2.efi", with("BERTH_STANDBY=0")),
            ("a_3.efi", with("BERTH_STANDBY=1")),
            ("a_4.efi", b"damaged".to_vec()),
        ];
        let files: BTreeMap<_, _> =
            files.into_iter().map(|(name, uki)| (format!("{ESP_LINUX}/{name}"), Data::from(uki))).collect();
        let file = File::options().read(true).write(true).create_new(true).open(&device).unwrap();
        file.set_len(34 << 20).unwrap();
        fat::write(&Range::new(&file, 0, 34 << 20), "ESP", 1, 0, &files).unwrap();
        let able = |name: &str| knows_standby(&device, &name.parse().unwrap());
        assert_eq!(
            ["a_1.efi", "a_2.efi", "a_3.efi", "a_4.efi", "a_5.efi"].map(able),
            [false, false, true, false, false]
        );
    }

    #[test]
    fn entries_are_listed_from_an_esp_of_dosfstools_and_mtools() {
        berth_judge::needs!("mkfs.fat", "mmd", "mcopy");
        let dir = tempfile::tempdir().unwrap();
        let device = dir.path().join("esp");
        esp(&device, &["berth-docker_2026.11.0+2-1.efi", "a_1.efi", "memtest.efi", "a_2.staged"]);
        let mut found: Vec<_> = entries(&device).unwrap().iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(found, ["a_1.efi", "berth-docker_2026.11.0+2-1.efi"]);
        assert!(entries(&dir.path().join("none")).is_err());
    }
}
