//! The initrd: the static init, and the kernel modules that the root disk needs. It is small because firmware reads it slowly.

use super::compressed::compress;
use crate::tree::Tree;
use berth_contract::{arch::Arch, paths::MODULES};
use berth_formats::{
    cpio,
    data::Data,
    kmod::{module_name, normalized},
    node::{Kind, Node},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// Kernel modules: drivers of disks that a host may boot from, the root file system, watchdogs and crash records. The
/// `hash_modules` of the architecture are added. A module is left out if the kernel does not have it, or has it built in. The
/// modules in [`NEEDED`] are required.
const STORAGE: &[&str] = &[
    // virtual machines
    "virtio_blk",
    "virtio_scsi",
    "virtio_pci",
    "virtio_mmio",
    "vmw_pvscsi",
    "hv_storvsc",
    "hv_vmbus",
    "xen_blkfront",
    // NVMe, SATA, SCSI, RAID controllers
    "nvme",
    "ahci",
    "ata_piix",
    "sd_mod",
    "mpt3sas",
    "megaraid_sas",
    "mptspi",
    "hpsa",
    "aacraid",
    "smartpqi",
    // USB and memory cards
    "xhci_pci",
    "ehci_pci",
    "usb_storage",
    "uas",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    // watchdogs, and storage for the last messages of a kernel that panics
    "i6300esb",
    "wdat_wdt",
    "xen_wdt",
    "softdog",
    "efi_pstore",
    "ramoops",
    // EFI variables: the disk and the boot entry that the boot loader chose, and the boot entry for the next boot
    "efivarfs",
    // root file system
    "dm_verity",
    "erofs",
    "overlay",
];

/// Without these modules the root file system cannot be mounted.
const NEEDED: &[&str] = &["dm_verity", "erofs"];

/// The initrd cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// The image's kernel cannot mount the root file system.
    #[error("kernel {kernel} has no module {module}: a host cannot mount the root file system without it")]
    MissingModule { kernel: String, module: &'static str },
    /// The tree lacks a module index or a module.
    #[error("{0} is not in the image, or is not a regular file")]
    MissingFile(String),
    /// A module's content cannot be read.
    #[error("cannot read {path}")]
    Read { path: String, source: io::Error },
    /// The archive cannot be made.
    #[error(transparent)]
    Cpio(#[from] cpio::CpioError),
    /// The archive cannot be compressed.
    #[error("cannot compress the initrd")]
    Compress(#[source] io::Error),
}

impl InitrdError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingModule { module, .. } => Some(format!(
                "set kernel.package to a kernel that has {module}, and check that debian.drop does not remove the module"
            )),
            _ => None,
        }
    }
}

/// The initrd: a newc archive, compressed with zstd. `kernel` is the kernel release and its architecture. `cache` keeps the
/// compressed initrd for the next build.
///
/// # Errors
/// If the image's kernel lacks a module that the root file system needs, or if a file cannot be read.
pub fn initrd(
    root: &Tree,
    kernel: (&str, Arch),
    init: &Data,
    epoch: u64,
    cache: &Path,
) -> Result<Vec<u8>, InitrdError> {
    let nodes = nodes(root, kernel, init)?;
    let mut archive = Vec::new();
    cpio::write(&mut archive, epoch, &nodes)?;
    compress(&archive, cache).map_err(InitrdError::Compress)
}

fn nodes(root: &Tree, (kernel, arch): (&str, Arch), init: &Data) -> Result<BTreeMap<String, Node>, InitrdError> {
    let base = format!("{}/{kernel}", MODULES.trim_start_matches('/'));
    let index = |name: &str| text(root, &format!("{base}/{name}"));
    let (dep, builtin) = (index("modules.dep")?, index("modules.builtin")?);
    let names: BTreeSet<_> = STORAGE.iter().chain(arch.hash_modules).copied().collect();
    let mut paths = BTreeSet::new();
    for (path, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
        if names.contains(module_name(path).as_str()) {
            paths.insert(path);
            paths.extend(needs.split_ascii_whitespace());
        }
    }
    let kept: BTreeSet<_> = paths.iter().map(|path| module_name(path)).collect();
    for module in NEEDED {
        if !kept.contains(*module) && !builtin.lines().any(|path| module_name(path) == *module) {
            return Err(InitrdError::MissingModule { kernel: kernel.to_owned(), module });
        }
    }

    let file = |mode, data| Node::root(mode, Kind::File(data));
    let mut nodes = BTreeMap::from([("init".to_owned(), file(0o755, init.clone()))]);
    for path in &paths {
        let path = format!("{base}/{path}");
        nodes.insert(path.clone(), file(0o644, content(root, &path)?));
    }
    let lines = |text: &str, keep: &dyn Fn(&str) -> bool| -> String {
        text.lines().filter(|line| keep(line)).flat_map(|line| [line, "\n"]).collect()
    };
    let by_path = |line: &str| line.split_once(':').is_some_and(|(path, _)| paths.contains(path));
    let last_word = |line: &str| line.rsplit(' ').next().is_some_and(|module| kept.contains(&normalized(module)));
    let second_word = |line: &str| line.split(' ').nth(1).is_some_and(|module| kept.contains(&normalized(module)));
    for (name, text) in [
        ("modules.dep", lines(&dep, &by_path)),
        ("modules.alias", lines(&index("modules.alias")?, &last_word)),
        ("modules.softdep", lines(&index("modules.softdep")?, &second_word)),
        ("modules.builtin", builtin),
    ] {
        nodes.insert(format!("{base}/{name}"), file(0o644, text.into()));
    }

    let folder = || Node::root(0o755, Kind::Directory);
    for name in ["dev", "proc", "sys", "run", "sysroot"] {
        nodes.insert(name.to_owned(), folder());
    }
    let parents: Vec<_> =
        nodes.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| path[..at].to_owned())).collect();
    for parent in parents {
        nodes.entry(parent).or_insert_with(folder);
    }
    // The kernel opens the console before init can mount devtmpfs.
    let console = Kind::CharDevice { major: 5, minor: 1 };
    nodes.insert("dev/console".to_owned(), Node::root(0o600, console));
    Ok(nodes)
}

fn content(root: &Tree, path: &str) -> Result<Data, InitrdError> {
    match root.get(path.as_bytes()).map(|node| &node.kind) {
        Some(Kind::File(data)) => Ok(data.clone()),
        _ => Err(InitrdError::MissingFile(format!("/{path}"))),
    }
}

fn text(root: &Tree, path: &str) -> Result<String, InitrdError> {
    let read = |source| InitrdError::Read { path: format!("/{path}"), source };
    let bytes = content(root, path)?.to_bytes().map_err(read)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
