//! The kernel image of a slot's version: compared with the digest of the image that was installed, and made again from parts that are
//! right.

use super::{Place, Subject};
use crate::{
    entries::{Entries, Uki},
    kernel_images::{KernelImage, KernelImages},
    slots::{
        Remote,
        uki::{self, Images},
    },
};
use anyhow::{Context, Result, bail};
use berth_contract::{
    release::{ReleaseRecord, Target, UkiRecord},
    update::EntryState,
};

impl Place {
    /// Whether the kernel image of the subject is damaged. An image that is seen for the first time is taken as right if it has booted, or
    /// could have been booted.
    pub(super) fn is_kernel_damaged(&self, subject: &Subject, pause: &mut dyn FnMut()) -> Result<bool> {
        let Some(entry) = &subject.entry else { return Ok(false) };
        let mut images = KernelImages::load();
        if let Some(KernelImage { uki, .. }) = images.find(&self.running.id, &subject.version, subject.root_hash) {
            // A file that cannot be read is damaged too.
            let is_right = entry.size == uki.size && entry.digest(&self.esp, pause).is_ok_and(|it| it == uki.sha256);
            return Ok(!is_right);
        }
        let is_usual = entry.state() == EntryState::Blessed && !self.replaces(subject);
        if is_usual && entry.root_hash() == Some(subject.root_hash) {
            let bytes = entry.bytes(&self.esp)?;
            if !bytes.is_empty() {
                images.learn(self.kernel_image(subject, uki::record_of(&bytes)))?;
            }
        }
        Ok(false)
    }

    /// Makes the kernel image again, from parts of the damaged one, of the other version's image, and of the release if there is one. Then
    /// puts it in the place of the damaged one.
    pub(super) fn mend_kernel(&self, subject: &Subject, release: Option<(&dyn Remote, &ReleaseRecord)>) -> Result<()> {
        let entry = subject.entry.as_ref().context("it has no boot entry")?;
        let mut images = KernelImages::load();
        let known = images.find(&self.running.id, &subject.version, subject.root_hash).map(|known| known.uki.clone());
        let wanted = match release {
            Some((_, record)) => record.uki.clone(),
            None => known.context("its digest is not known")?,
        };
        let others = Entries::look(&self.esp)?;
        let other = others.iter().find(|found| found.entry().is_some() && found.file != entry.file);
        let other = other.map(|found| found.bytes(&self.esp)).transpose()?.unwrap_or_default();
        let bases = Images { same: &entry.bytes(&self.esp)?, other: &other };
        let made = match release {
            Some((remote, record)) => {
                let target = Target::Uki.name(&record.id, &record.version, &record.arch);
                let made = uki::mend(&wanted, &target, bases, remote)?.bytes;
                Uki::of_image(&made).unwrap_or_default().check(record)?;
                made
            }
            None => uki::mend(&wanted, "kernel image", bases, &uki::Nowhere)?.bytes,
        };
        drop(other);
        let mut entries = Entries::open(&self.esp)?;
        if !subject.running {
            // While the running version is on trial, the other version's entry is not touched.
            entries.blessed(&self.running)?;
        } else if entry.state() != EntryState::Blessed {
            bail!("the running version is not blessed");
        }
        entries.replace(entry, &made)?;
        Ok(images.learn(self.kernel_image(subject, wanted))?)
    }

    fn kernel_image(&self, subject: &Subject, uki: UkiRecord) -> KernelImage {
        let (id, version, root_hash) = (self.running.id.clone(), subject.version.clone(), subject.root_hash);
        KernelImage { id, version, root_hash, uki }
    }
}
