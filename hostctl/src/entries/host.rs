//! The host's own slots and entries: where everything is on a running system.

use super::{Entries, EntriesError, Other, Quarantine, Running, SlotContent, Target, report};
use crate::{
    file::{self, FileError},
    slots::{Access, Device, SlotDevices, partition},
};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{PartitionRole, Slot},
    engine::StoreFormat,
    entry::BootEntry,
    image_spec::ImageSpec,
    paths::{IMAGE_SPEC, INITRD_REPORT, QUARANTINE},
    update::{EntryState, SlotsReport},
    version::OsVersion,
};
use berth_formats::erofs::read::Image;
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Largest image.json of another version that is read, in bytes.
const MAX_SPEC: u64 = 4 << 20;

/// A host, by its own files.
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    report: InitrdReport,
    spec: ImageSpec,
    running: Running,
    slots: Vec<SlotContent>,
}

impl Host {
    /// Finds everything; `root` is `/`.
    ///
    /// # Errors
    /// When one of its files or partitions is missing or cannot be read.
    pub fn find(root: &Path) -> Result<Self, EntriesError> {
        let report: InitrdReport = file::json(&below(root, INITRD_REPORT))?;
        let spec: ImageSpec = file::json(&below(root, IMAGE_SPEC))?;
        let running = Running { id: spec.id.clone(), version: spec.version.clone(), root_hash: report.root_hash };
        let mut host = Self { root: root.to_owned(), report, spec, running, slots: Vec::new() };
        for slot in [Slot::A, Slot::B] {
            // A slot that cannot be read holds nothing that boots, and must not keep the other one from its blessing.
            let content = host.devices(slot)?.content().ok().flatten();
            host.slots.push(SlotContent { slot, root_hash: content.map(|content| content.root_hash) });
        }
        Ok(host)
    }

    /// What runs.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// What both slots hold.
    #[must_use]
    pub fn slots(&self) -> &[SlotContent] {
        &self.slots
    }

    /// The ESP's device.
    ///
    /// # Errors
    /// When there is none.
    pub fn esp(&self) -> Result<PathBuf, EntriesError> {
        self.partition(PartitionRole::Esp)
    }

    /// The entries, opened to be changed.
    ///
    /// # Errors
    /// See [`Entries::open`].
    pub fn entries(&self) -> Result<Entries, EntriesError> {
        Entries::open(&self.esp()?)
    }

    /// The versions that have failed.
    ///
    /// # Errors
    /// See [`Quarantine::load`].
    pub fn quarantine(&self) -> Result<Quarantine, EntriesError> {
        Quarantine::load(&below(&self.root, QUARANTINE))
    }

    /// Slots, entries and quarantine.
    ///
    /// # Errors
    /// When ESP or quarantine cannot be read.
    pub fn report(&self) -> Result<SlotsReport, EntriesError> {
        let all = Entries::look(&self.esp()?)?;
        Ok(report(&all, &self.slots, &self.running, self.quarantine()?.list()))
    }

    /// Whether the running version is blessed, also while somebody changes the ESP.
    ///
    /// # Errors
    /// When the ESP cannot be read.
    pub fn is_blessed(&self) -> Result<bool, EntriesError> {
        let all = Entries::look(&self.esp()?)?;
        Ok(all.iter().any(|found| found.is(&self.running) && found.state() == EntryState::Blessed))
    }

    /// Makes the other version the one that boots next. `prepare` is told which before anything is changed, and can still refuse.
    ///
    /// # Errors
    /// See [`Entries::rollback`]; and what `prepare` says.
    pub fn rollback(
        &self,
        target: Target<'_>,
        prepare: impl FnOnce(&OsVersion) -> Result<(), FileError>,
    ) -> Result<BootEntry, EntriesError> {
        let other = self.slots.iter().find(|slot| slot.slot != self.report.slot);
        let store = |spec: &ImageSpec| spec.engine.as_ref().map(|engine| StoreFormat::of(engine.kind, &engine.version));
        let spec = match other {
            Some(other) => image_spec(&self.devices(other.slot)?.data.path),
            None => None,
        };
        let stores = (store(&self.spec), spec.as_ref().and_then(store));
        let other = Other { root_hash: other.and_then(|other| other.root_hash), stores };
        let (mut entries, quarantine) = (self.entries()?, self.quarantine()?);
        if target != Target::Named(&self.running.version) {
            prepare(&entries.may_roll_back(&self.running, target, &other, &quarantine)?)?;
        }
        entries.rollback(&self.running, target, &other, &quarantine)
    }

    fn partition(&self, role: PartitionRole) -> Result<PathBuf, EntriesError> {
        Ok(partition(&self.report, &self.root.join("sys"), &self.root.join("dev"), role)?)
    }

    fn devices(&self, slot: Slot) -> Result<SlotDevices, EntriesError> {
        let (data, verity) = PartitionRole::of_slot(slot);
        let open = |role| Ok::<_, EntriesError>(Device::open(self.partition(role)?, Access::Read)?);
        Ok(SlotDevices { slot, data: open(data)?, verity: open(verity)? })
    }
}

/// The image.json of the root file system on a device; nothing where it has none that can be read.
fn image_spec(device: &Path) -> Option<ImageSpec> {
    let image = Image::open(File::open(device).ok()?, 0).ok()?;
    let mut node = image.root().ok()?;
    for name in IMAGE_SPEC.split('/').filter(|name| !name.is_empty()) {
        let entries = image.entries(&node).ok()?;
        node = image.node(entries.iter().find(|entry| entry.name == name.as_bytes())?.nid).ok()?;
    }
    let mut bytes = vec![0; usize::try_from(node.size().min(MAX_SPEC)).ok()?];
    let len = image.read_at(&node, 0, &mut bytes).ok()?;
    serde_json::from_slice(&bytes[..len]).ok()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}
