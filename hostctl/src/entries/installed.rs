//! The versions installed on the running host: its slots, boot entries and quarantine.

use super::{Destination, Entries, EntriesError, OtherSlot, Quarantine, Running, SlotContent, report};
use crate::{
    file::{self, FileError},
    slots::{Access, SlotDevices, copies, partition},
};
use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    chain::Chain,
    disk::{PartitionRole, Slot},
    engine::{EngineKind, EngineName, StoreFormat},
    entry::BootEntry,
    image_spec::ImageSpec,
    paths::{IMAGE_SPEC, INITRD_REPORT, QUARANTINE, SLOT_CHECKS},
    update::{EntryState, SlotCheck, SlotsReport},
    version::OsVersion,
};
use berth_formats::erofs::read::Image;
use serde::Deserialize;
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Largest image.json of the other version that is read, in bytes.
const MAX_SPEC: u64 = 4 << 20;

/// The versions on a host, found by the files of that host.
#[derive(Debug)]
pub struct Installed {
    root: PathBuf,
    report: InitrdReport,
    spec: ImageSpec,
    running: Running,
    slots: Vec<SlotContent>,
}

impl Installed {
    /// Reads the files below `root`, which is `/` except in tests.
    ///
    /// # Errors
    /// When a file or partition is missing or cannot be read.
    pub fn find(root: &Path) -> Result<Self, EntriesError> {
        let report: InitrdReport = file::json(&below(root, INITRD_REPORT))?;
        let spec: ImageSpec = file::json(&below(root, IMAGE_SPEC))?;
        let running = Running { id: spec.id.clone(), version: spec.version.clone(), root_hash: report.root_hash };
        let mut installed = Self { root: root.to_owned(), report, spec, running, slots: Vec::new() };
        for slot in [Slot::A, Slot::B] {
            // A slot that cannot be read holds nothing bootable, and must not prevent the blessing of the other slot.
            let content = installed.devices(slot)?.content().ok().flatten();
            installed.slots.push(SlotContent { slot, root_hash: content.map(|content| content.root_hash) });
        }
        Ok(installed)
    }

    /// The running version.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The content of both slots.
    #[must_use]
    pub fn slots(&self) -> &[SlotContent] {
        &self.slots
    }

    /// The block device of the ESP.
    ///
    /// # Errors
    /// When there is no ESP.
    pub fn esp(&self) -> Result<PathBuf, EntriesError> {
        self.partition(PartitionRole::Esp)
    }

    /// The boot entries, opened for changes.
    ///
    /// # Errors
    /// See [`Entries::open`].
    pub fn entries(&self) -> Result<Entries, EntriesError> {
        Entries::open(&self.esp()?)
    }

    /// The versions that have failed on this host.
    #[must_use]
    pub fn quarantine(&self) -> Quarantine {
        Quarantine::load(&below(&self.root, QUARANTINE))
    }

    /// A report of slots, entries and quarantine.
    ///
    /// # Errors
    /// When the ESP cannot be read.
    pub fn report(&self) -> Result<SlotsReport, EntriesError> {
        let all = Entries::look(&self.esp()?)?;
        let quarantine = self.quarantine();
        // A damaged file of checks only says less.
        let checks: Vec<SlotCheck> = file::json(&below(&self.root, SLOT_CHECKS)).unwrap_or_default();
        let mut report = report(&all, &self.slots, &self.running, quarantine.list(), &checks);
        report.damaged.extend(quarantine.damage().map(|damage| Chain(damage).to_string()));
        report.copies = self.copies();
        report.instead_of = match &self.report.next_boot {
            NextBoot::InsteadOf(entry) => Some(entry.clone()),
            NextBoot::Usual | NextBoot::Fallback(_) => None,
        };
        Ok(report)
    }

    /// Other disks with the running version, if the firmware has not named the disk that it has started.
    #[must_use]
    pub fn copies(&self) -> Vec<String> {
        match self.report.named_by_firmware {
            true => Vec::new(),
            false => copies(&self.report, &self.root.join("sys"), &self.root.join("dev")),
        }
    }

    /// Whether the running version is blessed. Works also while another process changes the ESP.
    ///
    /// # Errors
    /// When the ESP cannot be read.
    pub fn is_blessed(&self) -> Result<bool, EntriesError> {
        let all = Entries::look(&self.esp()?)?;
        Ok(all.iter().any(|found| found.is(&self.running) && found.state() == EntryState::Blessed))
    }

    /// Makes the other version boot next. `prepare` receives its version before anything is changed, and can still refuse.
    ///
    /// # Errors
    /// See [`Entries::rollback`], and the errors of `prepare`.
    pub fn rollback(
        &self,
        target: Destination<'_>,
        prepare: impl FnOnce(&OsVersion) -> Result<(), FileError>,
    ) -> Result<BootEntry, EntriesError> {
        let other = self.slots.iter().find(|slot| slot.slot != self.report.slot);
        let running = self.spec.engine.as_ref().map(|engine| StoreFormat::of(engine.kind, &engine.version));
        let found = match other {
            Some(other) => store_of(image_spec(&self.devices(other.slot)?.data.path).as_deref()),
            None => Ok(None),
        };
        let other = OtherSlot {
            root_hash: other.and_then(|other| other.root_hash),
            unknown_store: found.as_ref().err().cloned(),
            stores: (running, found.ok().flatten()),
        };
        let (mut entries, quarantine) = (self.entries()?, self.quarantine());
        if target != Destination::Named(&self.running.version) {
            prepare(&entries.may_roll_back(&self.running, target, &other, &quarantine)?)?;
        }
        entries.rollback(&self.running, target, &other, &quarantine)
    }

    fn partition(&self, role: PartitionRole) -> Result<PathBuf, EntriesError> {
        Ok(partition(&self.report, &self.root.join("sys"), &self.root.join("dev"), role)?)
    }

    fn devices(&self, slot: Slot) -> Result<SlotDevices, EntriesError> {
        let (sys, dev) = (self.root.join("sys"), self.root.join("dev"));
        Ok(SlotDevices::open(&self.report, &sys, &dev, slot, Access::Read)?)
    }
}

/// The part of the other version's image.json that is needed here. Its engine may be one that only a newer hostctl knows.
#[derive(Deserialize)]
struct OtherSpec {
    engine: Option<OtherEngine>,
}

#[derive(Deserialize)]
struct OtherEngine {
    kind: EngineName,
    version: String,
}

/// The store format of the version with this image.json; `None` if it has no engine.
///
/// # Errors
/// Why the format cannot be told.
fn store_of(image_spec: Option<&[u8]>) -> Result<Option<StoreFormat>, String> {
    let Some(text) = image_spec else { return Err(format!("its {IMAGE_SPEC} cannot be read")) };
    let spec: OtherSpec = serde_json::from_slice(text).map_err(|error| format!("its {IMAGE_SPEC}: {error}"))?;
    let Some(engine) = spec.engine else { return Ok(None) };
    match engine.kind.kind() {
        Some(kind) => Ok(Some(StoreFormat::of(kind, &engine.version))),
        None => {
            Err(format!("its engine {} is not known to this version, which knows {}", engine.kind, EngineKind::names()))
        }
    }
}

/// The bytes of image.json of the root file system on a device; `None` if they cannot be read.
fn image_spec(device: &Path) -> Option<Vec<u8>> {
    let image = Image::open(File::open(device).ok()?, 0).ok()?;
    let mut node = image.root().ok()?;
    for name in IMAGE_SPEC.split('/').filter(|name| !name.is_empty()) {
        let entries = image.entries(&node).ok()?;
        node = image.node(entries.iter().find(|entry| entry.name == name.as_bytes())?.nid).ok()?;
    }
    let mut bytes = vec![0; usize::try_from(node.size().min(MAX_SPEC)).ok()?];
    let len = image.read_at(&node, 0, &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_of_the_other_version_is_known_or_the_reason_is() {
        let store = |text: &str| store_of(Some(text.as_bytes()));
        let engine = |kind: &str| format!(r#"{{"id": "x", "engine": {{"kind": "{kind}", "version": "26.1"}}}}"#);
        let known = EngineKind::ALL[0];
        assert_eq!(store(&engine(known.row().name)), Ok(Some(StoreFormat::of(known, "26.1"))));
        assert_eq!(store(r#"{"engine": null}"#), Ok(None));
        assert!(store(&engine("steam")).unwrap_err().starts_with("its engine steam is not known"));
        assert!(store("{").unwrap_err().contains("image.json") && store_of(None).is_err());
    }
}
