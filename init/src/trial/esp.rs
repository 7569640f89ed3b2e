//! Lists the boot entries on the ESP. The FAT file system is read directly from the device, without a mount, because the initrd has no
//! FAT driver.

use crate::block::Disk;
use berth_contract::{
    disk::PartitionRole,
    entry::BootEntry,
    fault::{At, PathError},
    paths::ESP_LINUX,
};
use berth_formats::fat::{Volume, VolumeError};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::process::Command;

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
