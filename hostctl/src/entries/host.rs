//! The host's own slots and entries: where everything is on a running system.

use super::{Entries, EntriesError, Other, Quarantine, Running, SlotContent, Target, io_failed, partitions, report};
use berth_contract::{
    boot_report::InitrdReport,
    disk::{PartitionRole, Slot},
    engine::StoreFormat,
    entry::BootEntry,
    image_spec::ImageSpec,
    paths,
    update::SlotsReport,
};
use serde::de::DeserializeOwned;
use std::{
    fs,
    path::{Path, PathBuf},
};

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
        let report: InitrdReport = json(&below(root, paths::INITRD_REPORT), "what the initrd stage has found")?;
        let spec: ImageSpec = json(&below(root, paths::IMAGE_SPEC), "the image")?;
        let slots = [Slot::A, Slot::B].map(|slot| partitions::content(root, &report, slot));
        let slots = slots.into_iter().collect::<Result<_, _>>()?;
        let running = Running { id: spec.id.clone(), version: spec.version.clone(), root_hash: report.root_hash };
        Ok(Self { root: root.to_owned(), report, spec, running, slots })
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
        partitions::partition(&self.root, &self.report, PartitionRole::Esp)
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
        Quarantine::load(&below(&self.root, paths::QUARANTINE))
    }

    /// Slots, entries and quarantine.
    ///
    /// # Errors
    /// When ESP or quarantine cannot be read.
    pub fn report(&self) -> Result<SlotsReport, EntriesError> {
        let all = Entries::look(&self.esp()?)?;
        Ok(report(&all, &self.slots, &self.running, self.quarantine()?.list()))
    }

    /// Makes the other version the one that boots next.
    ///
    /// # Errors
    /// See [`Entries::rollback`].
    pub fn rollback(&self, target: Target<'_>) -> Result<BootEntry, EntriesError> {
        let other = self.slots.iter().find(|slot| slot.slot != self.report.slot);
        let store = |spec: &ImageSpec| spec.engine.as_ref().map(|engine| StoreFormat::of(engine.kind, &engine.version));
        let spec = other.and_then(|other| partitions::image_spec(&self.root, &self.report, other.slot));
        let stores = (store(&self.spec), spec.as_ref().and_then(store));
        let other = Other { root_hash: other.and_then(|other| other.root_hash), stores };
        self.entries()?.rollback(&self.running, target, &other, &self.quarantine()?)
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn json<T: DeserializeOwned>(path: &Path, wanted: &'static str) -> Result<T, EntriesError> {
    let bytes = fs::read(path).map_err(io_failed("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| EntriesError::Json { path: path.to_owned(), wanted, source })
}
