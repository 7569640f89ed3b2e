//! The places where host.toml is searched, in order of precedence.

use super::volume::{self, FAT, ISO};
use crate::{
    block::{self, Disk},
    console,
    modules::Loader,
};
use berth_contract::{
    config_source::ConfigSource,
    disk::PartitionRole,
    fault::{At, PathError},
    host_config::MAX_SIZE,
    paths,
};
use berth_formats::label::Labelled;
use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files that QEMU passes to the machine (fw_cfg), Documentation/ABI/testing/sysfs-firmware-qemu_fw_cfg.
const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name";
/// Block devices that are never a configuration disk, by the start of their names.
const NOT_DISKS: [&str; 5] = ["dm-", "loop", "md", "ram", "zram"];
/// Maximum length of a FAT label.
const FAT_LABEL: usize = 11;

/// Reads one file of a file system: (device, file system type, path). `None` when the file does not exist.
type ReadFrom = Arc<dyn Fn(&Path, &str, &str) -> Result<Option<Vec<u8>>, PathError> + Send + Sync>;

/// A host.toml that was found.
#[derive(Debug)]
pub struct Candidate {
    /// The place: `fw_cfg`, `disk LABEL`, `esp`, `last good`.
    pub place: String,
    /// The content of the file, or why the file cannot be read.
    pub content: Result<Vec<u8>, PathError>,
}

/// The places of a host. Tests put all of them into a folder.
pub struct Locations {
    allowed: Vec<ConfigSource>,
    fw_cfg: PathBuf,
    sys: PathBuf,
    dev: PathBuf,
    boot_disk: String,
    read_from: ReadFrom,
}

impl Locations {
    /// The places of this host, of which only those in `allowed` are read. `boot_disk` is a node like `/dev/vda`.
    #[must_use]
    pub fn new(allowed: &[ConfigSource], boot_disk: &str, loader: &Arc<Loader>) -> Self {
        if allowed.contains(&ConfigSource::FwCfg) {
            volume::load_quietly(loader, "qemu_fw_cfg");
        }
        let loader = Arc::clone(loader);
        Self {
            allowed: allowed.to_vec(),
            fw_cfg: FW_CFG.into(),
            sys: "/sys".into(),
            dev: "/dev".into(),
            boot_disk: boot_disk.to_owned(),
            read_from: Arc::new(move |device, kind, path| volume::read_file((device, kind), path, MAX_SIZE, &loader)),
        }
    }

    /// Whether host.toml may come from this kind of place.
    #[must_use]
    pub fn allows(&self, source: ConfigSource) -> bool {
        self.allowed.contains(&source)
    }

    /// The first host.toml in places of this kind. `None` if there is none, or the kind is not allowed.
    #[must_use]
    pub fn find(&self, source: ConfigSource) -> Option<Candidate> {
        match source {
            _ if !self.allows(source) => None,
            // PID 1 reads no byte from the network: hostctl fetches it.
            ConfigSource::Cmdline => None,
            ConfigSource::FwCfg => self.fw_cfg_file(),
            ConfigSource::Disk => self.config_disk(),
            ConfigSource::Esp => self.boot_esp(),
        }
    }

    /// The disks that are present.
    pub(super) fn disks(&self) -> Vec<Disk> {
        let disks = block::disks(&self.sys).unwrap_or_default();
        disks.into_iter().filter(|disk| !NOT_DISKS.iter().any(|kind| disk.name.starts_with(kind))).collect()
    }

    fn fw_cfg_file(&self) -> Option<Candidate> {
        let path = self.fw_cfg.join(paths::FW_CFG_HOST_CONFIG).join("raw");
        let content = read_limited(&path);
        let missing = content.as_ref().is_err_and(|error| error.source.kind() == ErrorKind::NotFound);
        (!missing).then(|| Candidate { place: ConfigSource::FwCfg.to_string(), content })
    }

    fn config_disk(&self) -> Option<Candidate> {
        let disks = self.disks();
        let others = disks.iter().filter(|disk| !self.is_boot_disk(disk));
        let names =
            others.flat_map(|disk| std::iter::once(&disk.name).chain(disk.partitions.iter().map(|part| &part.name)));
        names.into_iter().find_map(|name| {
            let (device, read_from) = (self.dev.join(name), Arc::clone(&self.read_from));
            let found = volume::in_time(move || {
                let (label, kind) = wanted(&volume::label(&device)?)?;
                let content = read_from(&device, kind, paths::DISK_HOST_CONFIG);
                candidate(format!("{} {label}", ConfigSource::Disk), content)
            });
            found.unwrap_or_else(|error| {
                console::warning(format_args!("{name}: {error}: not searched for host.toml"));
                None
            })
        })
    }

    fn boot_esp(&self) -> Option<Candidate> {
        let disks = self.disks();
        let disk = disks.iter().find(|disk| self.is_boot_disk(disk))?;
        let device = self.dev.join(&disk.partition(PartitionRole::Esp.label())?.name);
        candidate(ConfigSource::Esp.to_string(), (self.read_from)(&device, FAT, paths::ESP_HOST_CONFIG))
    }

    fn is_boot_disk(&self, disk: &Disk) -> bool {
        block::node(&disk.name) == Path::new(&self.boot_disk)
    }
}

impl std::fmt::Debug for Locations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locations").field("boot_disk", &self.boot_disk).finish_non_exhaustive()
    }
}

/// The label in [`paths::CONFIG_LABELS`] that the file system has, and the file system type. A FAT label is cut to 11 characters, and
/// tools write it in upper case.
fn wanted(labelled: &Labelled) -> Option<(&'static str, &'static str)> {
    let (found, kind, limit) = match labelled {
        Labelled::Fat(found) => (found, FAT, FAT_LABEL),
        Labelled::Iso(found) => (found, ISO, usize::MAX),
    };
    let fits = |label: &&&str| label.get(..limit).unwrap_or(label).eq_ignore_ascii_case(found);
    paths::CONFIG_LABELS.iter().find(fits).map(|label| (*label, kind))
}

/// A file system without the file is skipped. A file that cannot be read is an error.
fn candidate(place: String, content: Result<Option<Vec<u8>>, PathError>) -> Option<Candidate> {
    content.transpose().map(|content| Candidate { place, content })
}

/// Reads a file of this host up to one byte more than the size limit of host.toml.
pub(super) fn read_limited(path: &Path) -> Result<Vec<u8>, PathError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut bytes)).at("read", path)?;
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::block::fixture::add_disk;
    use std::{fs, process::Command};

    /// A host with the boot disk vda (its ESP is vda1), whose file systems are folders: `files/DEVICE/...`.
    pub(in super::super) struct Host(tempfile::TempDir);

    impl Host {
        pub(in super::super) fn new() -> Self {
            let host = Self(tempfile::tempdir().unwrap());
            add_disk(&host.path("sys"), "vda", &[("esp", 2048), ("root-a", 2048)]);
            fs::create_dir_all(host.path("dev")).unwrap();
            host
        }

        pub(in super::super) fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        pub(in super::super) fn locations(&self) -> Locations {
            self.allowing(&ConfigSource::ALL)
        }

        fn allowing(&self, allowed: &[ConfigSource]) -> Locations {
            let files = self.path("files");
            Locations {
                allowed: allowed.to_vec(),
                fw_cfg: self.path("fw_cfg"),
                sys: self.path("sys"),
                dev: self.path("dev"),
                boot_disk: "/dev/vda".to_owned(),
                read_from: Arc::new(move |device, kind, path| {
                    let folder = files.join(device.file_name().unwrap()).join(kind);
                    if folder.is_dir() { volume::read_beneath(&folder, path, MAX_SIZE) } else { Ok(None) }
                }),
            }
        }

        pub(in super::super) fn put(&self, path: &str, text: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        pub(in super::super) fn fat(&self, device: &str, label: &str) {
            let image = self.path("dev").join(device);
            File::create(&image).unwrap().set_len(2 << 20).unwrap();
            let made = Command::new("mkfs.fat").args(["-n", label]).arg(&image).output().expect("run ci/setup");
            assert!(made.status.success());
            add_disk(&self.path("sys"), device, &[]);
        }

        pub(in super::super) fn remove(&self, device: &str) {
            fs::remove_dir_all(self.path("sys/block").join(device)).unwrap();
            fs::remove_dir_all(self.path("files").join(device)).unwrap();
        }

        fn first(&self, allowed: &[ConfigSource]) -> Option<(String, String)> {
            let locations = self.allowing(allowed);
            let found = ConfigSource::ALL.into_iter().find_map(|source| locations.find(source))?;
            Some((found.place, String::from_utf8(found.content.unwrap()).unwrap()))
        }
    }

    #[test]
    fn host_toml_of_the_first_allowed_place_is_taken() {
        berth_judge::needs!("mkfs.fat");
        let host = Host::new();
        let all = &ConfigSource::ALL;
        let some = |place: &str, text: &str| Some((place.to_owned(), text.to_owned()));
        assert_eq!(host.first(all), None);
        host.put("files/vda1/vfat/berth/host.toml", "from esp");
        assert_eq!(host.first(all), some("esp", "from esp"));
        host.fat("sda", "OTHER");
        host.put("files/sda/vfat/host.toml", "from a disk with another label");
        host.fat("sdb", "CIDATA");
        assert_eq!(host.first(all), some("esp", "from esp"), "a cloud-init disk may have no host.toml");
        host.put("files/sdb/vfat/host.toml", "from cidata");
        assert_eq!(host.first(all), some("disk cidata", "from cidata"));
        host.put("fw_cfg/opt/berth/host.toml/raw", "from fw_cfg");
        assert_eq!(host.first(all), some("fw_cfg", "from fw_cfg"));
        use ConfigSource::{Disk, Esp};
        assert_eq!(host.first(&[Esp, Disk]), some("disk cidata", "from cidata"));
        assert_eq!(host.first(&[Esp]), some("esp", "from esp"));
        assert_eq!(host.first(&[]), None);
    }

    #[test]
    fn a_host_toml_that_cannot_be_read_or_is_a_link_is_an_error_not_skipped() {
        berth_judge::needs!("mkfs.fat");
        let host = Host::new();
        host.fat("vdb", "BERTH-CONFI");
        let file = host.path("files/vdb/vfat/host.toml");
        fs::create_dir_all(&file).unwrap();
        let fault = || {
            let found = host.locations().find(ConfigSource::Disk).unwrap();
            assert_eq!(found.place, "disk BERTH-CONFIG");
            found.content.unwrap_err().to_string()
        };
        assert!(fault().contains("found a folder"), "{}", fault());
        fs::remove_dir(&file).unwrap();
        std::os::unix::fs::symlink("/proc/kmsg", &file).unwrap();
        assert!(fault().contains("symbolic link"), "{}", fault());
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
