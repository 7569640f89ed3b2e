//! The partitions of the disk that the host runs from, as far as entries need them.

use super::{EntriesError, SlotContent, io_failed};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{PartitionRole, Slot},
    image_spec::ImageSpec,
    paths::IMAGE_SPEC,
};
use berth_formats::{
    erofs::read::Image,
    verity::{self, Superblock},
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const BLOCK: usize = 4096;
/// Largest image.json that is read, in bytes.
const MAX_SPEC: u64 = 4 << 20;

/// The node of a partition, by its label; `root` is `/`.
pub(super) fn partition(root: &Path, report: &InitrdReport, role: PartitionRole) -> Result<PathBuf, EntriesError> {
    // sysfs writes `!` for the `/` of a few drivers' names.
    let name = report.disk.strip_prefix("/dev/").unwrap_or(&report.disk).replace('/', "!");
    let disk = root.join("sys/class/block").join(name);
    let wanted = format!("PARTNAME={}", role.label());
    for entry in fs::read_dir(&disk).map_err(io_failed("list", &disk))?.flatten() {
        // Whatever has no such file is no partition.
        let uevent = fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        if uevent.lines().any(|line| line == wanted) {
            return Ok(root.join("dev").join(entry.file_name().to_string_lossy().replace('!', "/")));
        }
    }
    let none = io::Error::new(io::ErrorKind::NotFound, format!("no partition of it is labelled {}", role.label()));
    Err(io_failed("find the partitions of", &disk)(none))
}

/// What a slot holds, by the top of its hash tree.
pub(super) fn content(root: &Path, report: &InitrdReport, slot: Slot) -> Result<SlotContent, EntriesError> {
    let path = partition(root, report, PartitionRole::of_slot(slot).1)?;
    let mut bytes = [0; 2 * BLOCK];
    let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, 0));
    read.map_err(io_failed("read", &path))?;
    let top = bytes[BLOCK..].first_chunk::<BLOCK>();
    // With one block of data only there is no tree; no image is that small.
    let superblock = Superblock::parse(&bytes).ok().filter(|superblock| superblock.data_blocks > 1);
    let root_hash = superblock.zip(top).map(|(superblock, top)| verity::root_hash_of(&superblock, top));
    Ok(SlotContent { slot, root_hash })
}

/// The image.json of what a slot holds; nothing where it has none that can be read.
pub(super) fn image_spec(root: &Path, report: &InitrdReport, slot: Slot) -> Option<ImageSpec> {
    let path = partition(root, report, PartitionRole::of_slot(slot).0).ok()?;
    let image = Image::open(File::open(path).ok()?, 0).ok()?;
    let mut node = image.root().ok()?;
    for name in IMAGE_SPEC.split('/').filter(|name| !name.is_empty()) {
        let entries = image.entries(&node).ok()?;
        node = image.node(entries.iter().find(|entry| entry.name == name.as_bytes())?.nid).ok()?;
    }
    let mut bytes = vec![0; usize::try_from(node.size().min(MAX_SPEC)).ok()?];
    let len = image.read_at(&node, 0, &mut bytes).ok()?;
    serde_json::from_slice(&bytes[..len]).ok()
}
