//! The unified kernel image of a new version, on its way to the ESP.

use crate::{
    entries::{Entries, Uki},
    slots::{Remote, uki},
};
use anyhow::Result;
use berth_contract::{
    release::{ReleaseRecord, Target},
    update::{UpgradeEvent, UpgradeStep},
};

/// The new kernel image. The variant says what is still to do before the commit.
#[derive(Debug)]
pub(crate) enum KernelImage {
    /// It is on the ESP, with the signed digest: nothing is to do.
    Staged,
    /// It is in memory, verified: write it to the ESP.
    Made(Vec<u8>),
    /// The static delta that fills the slot contains it: take it from there, then write it to the ESP.
    FromDelta {
        /// The running kernel image, to which the delta is applied.
        running: Vec<u8>,
    },
}

impl KernelImage {
    /// Makes the image from parts of the `running` image and from fetched parts.
    pub(crate) fn make(
        record: &ReleaseRecord,
        remote: &dyn Remote,
        running: &[u8],
        report: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Self> {
        report(progress(record, 0));
        let target = Target::Uki.name(&record.id, &record.version, &record.arch);
        Self::made(uki::assemble(&record.uki, &target, running, remote)?.bytes, record)
    }

    /// The digest of the image is signed, and so is the root hash in the record. Both signatures do not say that the two belong together.
    fn made(bytes: Vec<u8>, record: &ReleaseRecord) -> Result<Self> {
        Uki::of_image(&bytes).unwrap_or_default().check(record)?;
        Ok(Self::Made(bytes))
    }

    /// Writes an image that is in memory to the ESP and reads it back. It boots nothing until the commit.
    pub(crate) fn stage(
        self,
        entries: &mut Entries,
        record: &ReleaseRecord,
        report: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Self> {
        let Self::Made(bytes) = self else { return Ok(self) };
        report(progress(record, 0));
        entries.stage(&record.id, &record.version, &bytes)?;
        report(progress(record, record.uki.size));
        Ok(Self::Staged)
    }

    /// Takes the image that the static delta has brought. Without one (another way filled the slot, or this part of the delta was wrong)
    /// the image is made from parts.
    pub(crate) fn after_delta(
        self,
        brought: Option<Vec<u8>>,
        record: &ReleaseRecord,
        remote: &dyn Remote,
        report: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Self> {
        match (self, brought) {
            (Self::FromDelta { .. }, Some(bytes)) => Self::made(bytes, record),
            (Self::FromDelta { running }, None) => Self::make(record, remote, &running, report),
            (other, _) => Ok(other),
        }
    }

    pub(crate) fn is_staged(&self) -> bool {
        matches!(self, Self::Staged)
    }

    /// The running kernel image, if a static delta is to be applied to it. Empty otherwise: the memory belongs to the slot then.
    pub(crate) fn delta_base(&self) -> &[u8] {
        match self {
            Self::FromDelta { running } => running,
            Self::Staged | Self::Made(_) => &[],
        }
    }
}

fn progress(record: &ReleaseRecord, done: u64) -> UpgradeEvent {
    UpgradeEvent::Progress { step: UpgradeStep::KernelImage, done, total: record.uki.size }
}
