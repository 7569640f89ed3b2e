//! The places where host.toml is searched, in order of precedence.

use crate::{
    block::{self, Disk},
    console,
    modules::Loader,
};
use berth_contract::{
    disk::PartitionRole,
    fault::{At, PathError},
    host_config::MAX_SIZE,
    paths,
};
use berth_formats::label::{self, Labelled};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Files that QEMU passes to the machine (fw_cfg), Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg.
const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name";
/// Where a file system is mounted while its host.toml is read.
const MOUNT_POINT: &str = "/run/berth/config";
/// Block devices that are never a configuration disk, by the start of their names.
const NOT_DISKS: [&str; 5] = ["dm-", "loop", "md", "ram", "zram"];
/// Maximum length of a FAT label.
const FAT_LABEL: usize = 11;
/// Modules for mounting FAT: the driver, and the code pages that kernels may ask for.
const FAT_MODULES: [&str; 5] = ["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"];

/// Reads one file of a file system: (device, file system type, path). `None` when the file does not exist.
type ReadFrom<'a> = Box<dyn Fn(&Path, &str, &str) -> Result<Option<Vec<u8>>, PathError> + 'a>;

/// A host.toml that was found.
#[derive(Debug)]
pub struct Candidate {
    /// The place: `fw_cfg`, `disk LABEL`, `esp`, `last good`.
    pub place: String,
    /// The content of the file, or why the file cannot be read.
    pub content: Result<Vec<u8>, PathError>,
}

/// The places of a host. Tests put all of them into a folder.
pub struct Locations<'a> {
    fw_cfg: PathBuf,
    sys: PathBuf,
    dev: PathBuf,
    boot_disk: String,
    read_from: ReadFrom<'a>,
}

impl<'a> Locations<'a> {
    /// The places of this host. `boot_disk` is a node like `/dev/vda`.
    #[must_use]
    pub fn new(boot_disk: &str, loader: &'a Loader) -> Self {
        load_quietly(loader, "qemu_fw_cfg");
        Self {
            fw_cfg: FW_CFG.into(),
            sys: "/sys".into(),
            dev: "/dev".into(),
            boot_disk: boot_disk.to_owned(),
            read_from: Box::new(move |device, kind, path| mounted(device, kind, path, loader)),
        }
    }

    /// The first host.toml that exists.
    #[must_use]
    pub fn first(&self) -> Option<Candidate> {
        self.fw_cfg_file().or_else(|| self.config_disk()).or_else(|| self.boot_esp())
    }

    fn fw_cfg_file(&self) -> Option<Candidate> {
        let path = self.fw_cfg.join(paths::FW_CFG_HOST_CONFIG).join("raw");
        let content = read_limited(&path);
        let missing = content.as_ref().is_err_and(|error| error.source.kind() == ErrorKind::NotFound);
        (!missing).then(|| Candidate { place: "fw_cfg".to_owned(), content })
    }

    fn config_disk(&self) -> Option<Candidate> {
        let disks = self.disks();
        let others = disks.iter().filter(|disk| !self.is_boot_disk(disk));
        let names =
            others.flat_map(|disk| std::iter::once(&disk.name).chain(disk.partitions.iter().map(|part| &part.name)));
        names.into_iter().find_map(|name| {
            let device = self.dev.join(name);
            // Skip devices that cannot be read: an empty drive, or a device that has just been removed.
            let labelled = label::read(&File::open(&device).ok()?).ok()??;
            let (label, kind) = wanted(&labelled)?;
            candidate(format!("disk {label}"), (self.read_from)(&device, kind, paths::DISK_HOST_CONFIG))
        })
    }

    fn boot_esp(&self) -> Option<Candidate> {
        let disks = self.disks();
        let disk = disks.iter().find(|disk| self.is_boot_disk(disk))?;
        let device = self.dev.join(&disk.partition(PartitionRole::Esp.label())?.name);
        candidate("esp".to_owned(), (self.read_from)(&device, "vfat", paths::ESP_HOST_CONFIG))
    }

    fn disks(&self) -> Vec<Disk> {
        let disks = block::disks(&self.sys).unwrap_or_default();
        disks.into_iter().filter(|disk| !NOT_DISKS.iter().any(|kind| disk.name.starts_with(kind))).collect()
    }

    fn is_boot_disk(&self, disk: &Disk) -> bool {
        block::node(&disk.name) == Path::new(&self.boot_disk)
    }
}

impl std::fmt::Debug for Locations<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locations").field("boot_disk", &self.boot_disk).finish_non_exhaustive()
    }
}

/// The label in [`paths::CONFIG_LABELS`] that the file system has, and the file system type. A FAT label is cut to 11 characters, and
/// tools write it in upper case.
fn wanted(labelled: &Labelled) -> Option<(&'static str, &'static str)> {
    let (found, kind, limit) = match labelled {
        Labelled::Fat(found) => (found, "vfat", FAT_LABEL),
        Labelled::Iso(found) => (found, "iso9660", usize::MAX),
    };
    let fits = |label: &&&str| label.get(..limit).unwrap_or(label).eq_ignore_ascii_case(found);
    paths::CONFIG_LABELS.iter().find(fits).map(|label| (*label, kind))
}

/// A file system without the file is skipped. A file that cannot be read is an error.
fn candidate(place: String, content: Result<Option<Vec<u8>>, PathError>) -> Option<Candidate> {
    content.transpose().map(|content| Candidate { place, content })
}

/// Reads a file up to one byte more than the size limit of host.toml.
pub(super) fn read_limited(path: &Path) -> Result<Vec<u8>, PathError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes)).at("read", path)?;
    Ok(bytes)
}

fn mounted(device: &Path, kind: &str, path: &str, loader: &Loader) -> Result<Option<Vec<u8>>, PathError> {
    let modules = if kind == "vfat" { &FAT_MODULES[..] } else { &["isofs"] };
    modules.iter().for_each(|module| load_quietly(loader, module));
    fs::create_dir_all(MOUNT_POINT).at("create", MOUNT_POINT)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(device, MOUNT_POINT, kind, flags, None).at("mount", device)?;
    let content = read_limited(&Path::new(MOUNT_POINT).join(path));
    // DETACH: the mount point becomes free even if the file system is busy.
    unmount(MOUNT_POINT, UnmountFlags::DETACH).at("unmount", device)?;
    match content {
        Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
        content => content.map(Some),
    }
}

/// Loads a module. An error is only logged: the driver may be built in. If it is missing, the mount fails.
fn load_quietly(loader: &Loader, module: &str) {
    if let Err(error) = loader.load(module) {
        console::debug(format_args!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::fixture::add_disk;
    use std::process::Command;

    /// A host with the boot disk vda (its ESP is vda1), whose file systems are folders: `files/DEVICE/...`.
    fn host(dir: &Path) -> Locations<'_> {
        add_disk(&dir.join("sys"), "vda", &[("esp", 2048), ("root-a", 2048)]);
        fs::create_dir_all(dir.join("dev")).unwrap();
        Locations {
            fw_cfg: dir.join("fw_cfg"),
            sys: dir.join("sys"),
            dev: dir.join("dev"),
            boot_disk: "/dev/vda".to_owned(),
            read_from: Box::new(move |device, kind, path| {
                let folder = dir.join("files").join(device.file_name().unwrap()).join(kind);
                match read_limited(&folder.join(path)) {
                    Err(error) if error.source.kind() == ErrorKind::NotFound => Ok(None),
                    content => content.map(Some),
                }
            }),
        }
    }

    fn put(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn fat(dir: &Path, device: &str, label: &str) {
        add_disk(&dir.join("sys"), device, &[]);
        let image = dir.join("dev").join(device);
        fs::create_dir_all(dir.join("dev")).unwrap();
        File::create(&image).unwrap().set_len(2 << 20).unwrap();
        let status = Command::new("mkfs.fat").args(["-n", label]).arg(&image).output().expect("run ci/setup").status;
        assert!(status.success());
    }

    fn first(dir: &Path) -> Option<(String, String)> {
        let found = host(dir).first()?;
        Some((found.place, String::from_utf8(found.content.unwrap()).unwrap()))
    }

    #[test]
    fn host_toml_of_the_first_place_is_taken() {
        berth_judge::needs!("mkfs.fat");
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let some = |place: &str, text: &str| Some((place.to_owned(), text.to_owned()));
        assert_eq!(first(dir), None);
        put(dir, "files/vda1/vfat/berth/host.toml", "from esp");
        assert_eq!(first(dir), some("esp", "from esp"));
        fat(dir, "sda", "OTHER");
        put(dir, "files/sda/vfat/host.toml", "from a disk with another label");
        fat(dir, "sdb", "CIDATA");
        assert_eq!(first(dir), some("esp", "from esp"), "a cloud-init disk may have no host.toml");
        put(dir, "files/sdb/vfat/host.toml", "from cidata");
        assert_eq!(first(dir), some("disk cidata", "from cidata"));
        put(dir, "fw_cfg/opt/berth/host.toml/raw", "from fw_cfg");
        assert_eq!(first(dir), some("fw_cfg", "from fw_cfg"));
    }

    #[test]
    fn a_host_toml_that_cannot_be_read_is_an_error_not_skipped() {
        berth_judge::needs!("mkfs.fat");
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fat(dir, "vdb", "BERTH-CONFI");
        fs::create_dir_all(dir.join("files/vdb/vfat/host.toml")).unwrap();
        let found = host(dir).first().unwrap();
        assert_eq!(found.place, "disk BERTH-CONFIG");
        assert!(found.content.is_err());
    }

    #[test]
    fn labels_match_in_the_form_that_the_file_system_can_store() {
        for (labelled, expected) in [
            (Labelled::Fat("BERTH-CONFI".into()), Some(("BERTH-CONFIG", "vfat"))),
            (Labelled::Fat("CIDATA".into()), Some(("cidata", "vfat"))),
            (Labelled::Iso("cidata".into()), Some(("cidata", "iso9660"))),
            (Labelled::Iso("BERTH-CONFIG".into()), Some(("BERTH-CONFIG", "iso9660"))),
            (Labelled::Iso("BERTH-CONFI".into()), None),
            (Labelled::Fat("NO NAME".into()), None),
            (Labelled::Fat(String::new()), None),
        ] {
            assert_eq!(wanted(&labelled), expected, "{labelled:?}");
        }
    }
}
