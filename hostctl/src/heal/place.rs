//! The host whose slots are checked, and its two versions.

use crate::{
    entries::{Entries, EntriesError, EspFile, Running, next},
    host::Host,
    kernel_images::KernelImages,
    slots::{Access, SlotDevices, partition},
};
use anyhow::Result;
use berth_contract::{
    boot_report::NextBoot,
    digest::RootHash,
    disk::{PartitionRole, Slot},
    update::{KernelCheck, SlotCheck},
    version::OsVersion,
};
use std::path::{Path, PathBuf};

/// The host, and the devices of its disk.
pub(super) struct Place {
    pub(super) host: Host,
    pub(super) running: Running,
    pub(super) esp: PathBuf,
}

/// A slot to check, with its version.
#[derive(PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) slot: Slot,
    pub(super) version: OsVersion,
    pub(super) root_hash: RootHash,
    /// Whether the host runs from this slot.
    pub(super) running: bool,
    /// The version's boot entry. `None` if the running version has none.
    pub(super) entry: Option<EspFile>,
}

impl Subject {
    /// Whether a power cut during a repair has left the entry set aside.
    pub(super) fn was_moved(&self) -> bool {
        self.entry.as_ref().is_some_and(EspFile::was_moved)
    }

    /// A check that has found nothing.
    pub(super) fn check(&self, at: u64) -> SlotCheck {
        let (slot, version, root_hash) = (self.slot, self.version.clone(), self.root_hash);
        SlotCheck { slot, version, root_hash, at, damaged: 0, left: 0, set_aside: false, kernel: KernelCheck::Whole }
    }
}

impl Place {
    /// This host.
    pub(super) fn find() -> Result<Self> {
        let host = Host::read()?;
        let esp = partition(&host.report, Path::new("/sys"), Path::new("/dev"), PartitionRole::Esp)?;
        Ok(Self { running: host.running(), host, esp })
    }

    /// The running slot, and the other slot if it has a boot entry. The names of the entries count, because the content of a file may be
    /// damaged.
    pub(super) fn subjects(&self) -> Result<Vec<Subject>, EntriesError> {
        let Running { id, version, root_hash } = self.running.clone();
        let slot = self.host.report.slot;
        let ours = Entries::look(&self.esp)?.into_iter();
        let ours = ours.filter(|found| found.entry().is_some_and(|entry| entry.id == id));
        let (mine, others): (Vec<EspFile>, Vec<EspFile>) =
            ours.partition(|found| found.entry().is_some_and(|entry| entry.version == version));
        let entry = next(&mine).or(mine.first()).cloned();
        let mut subjects = vec![Subject { slot, version, root_hash, running: true, entry }];
        if let Some(found) = next(&others).or(others.first())
            && let Some(entry) = found.entry()
            && let Some(root_hash) = self.root_hash_of(found)
        {
            let version = entry.version.clone();
            let entry = Some(found.clone());
            subjects.push(Subject { slot: slot.other(), version, root_hash, running: false, entry });
        }
        subjects.sort_by_key(|subject| subject.slot);
        Ok(subjects)
    }

    /// The root hash that the other version should have: the one on the command line of its kernel image. If that is not in the slot, the
    /// command line may be damaged; then it is the one that the version was installed with.
    fn root_hash_of(&self, other: &EspFile) -> Option<RootHash> {
        let entry = other.entry()?;
        let named = other.root_hash();
        let installed = || Some(KernelImages::load().of(&entry.id, &entry.version)?.root_hash);
        let in_slot = || {
            let content = self.open(self.host.report.slot.other(), Access::Read).ok()?.content().ok()??;
            Some(content.root_hash)
        };
        if named.is_some() && (named == in_slot() || installed() != in_slot()) {
            return named;
        }
        installed().or(named)
    }

    /// Whether this boot replaces the version of the subject.
    pub(super) fn replaces(&self, subject: &Subject) -> bool {
        match (&self.host.report.next_boot, &subject.entry) {
            (NextBoot::InsteadOf(entry), Some(other)) => other.entry() == Some(entry),
            _ => false,
        }
    }

    pub(super) fn open(&self, slot: Slot, access: Access) -> Result<SlotDevices> {
        Ok(SlotDevices::open(&self.host.report, Path::new("/sys"), Path::new("/dev"), slot, access)?)
    }
}
