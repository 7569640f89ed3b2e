//! The kernel image of a slot's version: compared with the digest of the image that was installed, and made again from parts that are
//! right.

use super::{Place, Subject};
use crate::{
    entries::{Entries, EspFile, Uki},
    kernel_images::{KernelImage, KernelImages},
    slots::{
        Remote,
        uki::{self, Images},
    },
};
use anyhow::{Context, Result, bail};
use berth_contract::{
    release::{MAX_UKI, ReleaseRecord, Target, UkiRecord},
    update::EntryState,
};

impl Place {
    /// Whether the kernel image of the subject is damaged. An image that is seen for the first time is taken as right if it has booted, or
    /// could have been booted, and can be read. An error of storing its digest is ignored: the next check tries again.
    pub(super) fn is_kernel_damaged(&self, subject: &Subject, pause: &mut dyn FnMut()) -> Result<bool> {
        let Some(entry) = &subject.entry else { return Ok(false) };
        let mut images = KernelImages::load();
        // A file that cannot be read is damaged too.
        let Ok(digest) = entry.digest(&self.esp, pause) else { return Ok(true) };
        if let Some(KernelImage { uki, .. }) = images.find(&self.running.id, &subject.version, subject.root_hash) {
            return Ok(entry.size != uki.size || digest != uki.sha256);
        }
        let is_usual = entry.state() == EntryState::Blessed && !self.replaces(subject);
        if is_usual && entry.root_hash() == Some(subject.root_hash) && entry.size <= MAX_UKI {
            let uki = uki::record_of(&entry.bytes(&self.esp)?);
            // Parts that cannot be read are zeros in `bytes`.
            if uki.sha256 != digest {
                return Ok(true);
            }
            let _ = images.learn(self.kernel_image(subject, uki));
        }
        // The file of an interrupted replacement is the damaged one.
        Ok(entry.was_moved())
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
        let is_other = |found: &&EspFile| {
            found.file != entry.file && found.version().is_some_and(|(id, _)| *id == self.running.id)
        };
        // Best a staged image of this version, which an interrupted replacement has left.
        let is_same = |found: &EspFile| found.version().is_some_and(|(_, version)| *version == subject.version);
        let other = others.iter().filter(is_other).max_by_key(|found| (is_same(found), found.entry().is_some()));
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
        // The image is right, even if its digest cannot be stored.
        let _ = images.learn(self.kernel_image(subject, wanted));
        Ok(())
    }

    fn kernel_image(&self, subject: &Subject, uki: UkiRecord) -> KernelImage {
        let (id, version, root_hash) = (self.running.id.clone(), subject.version.clone(), subject.root_hash);
        KernelImage { id, version, root_hash, uki }
    }
}
