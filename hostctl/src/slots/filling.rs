//! Filling the idle slot with a new root file system: the costs of each way, and trying the ways until one succeeds.

use super::{
    blocks::{BlockPlan, MAX_IMAGE},
    disk::Slots,
    error::{RemoteError, SlotError},
    full,
    patch::{self, UkiPatch},
    remote::{Meter, Remote, first_byte},
    sink::{Sink, Wanted, read_back},
    uki,
};
use crate::decoder::{Decoder, Packing};
use berth_contract::{
    chain::Chain,
    digest::Sha256,
    disk::BLOCK,
    release::{DeltaRecord, ReleaseRecord, Target},
    update::{UpgradeEvent, UpgradeStep, Way},
};
use berth_formats::verity::Superblock;
use sha2::Digest;
use std::cell::Cell;

/// A release, and the slot to fill with it.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a remote need not implement it")]
pub struct Filling<'a> {
    /// The record of the release, verified.
    pub record: &'a ReleaseRecord,
    /// Both slots; the idle one is filled.
    pub slots: &'a Slots,
    /// The targets of the release.
    pub remote: &'a dyn Remote,
    /// The running kernel image. A static delta makes the new one from it. Empty when the kernel image is not to be made.
    pub running_uki: &'a [u8],
    /// Unpacks what is not verified yet.
    pub decoder: Decoder<'a>,
    /// Whether the content of the idle slot may be what it says it is.
    pub idle: Idle,
}

/// What is known about the content of the idle slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Nothing: if its hash tree names the release, it is read and used.
    Unchecked,
    /// It names the release, but has damaged blocks: each way has to write.
    Damaged,
}

/// How much is found out about the costs of the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survey {
    /// The cost of every way, to show them.
    EachWay,
    /// The cost of the cheapest way. The block index is not fetched if a static delta is smaller than the index.
    Cheapest,
}

/// The ways that can fill the slot.
#[derive(Debug)]
pub struct Ways {
    /// Each way with the bytes that it fetches for the root file system, cheapest first.
    pub costs: Vec<(Way, u64)>,
    /// Bytes that finding out the costs has fetched. The cost of [`Way::Blocks`] includes them.
    pub surveyed: u64,
    /// Kept if [`Way::Blocks`] is the cheapest way.
    blocks: Option<BlockPlan>,
}

/// The result of [`Filling::fill`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The way that succeeded.
    pub way: Way,
    /// Bytes fetched by all ways that were tried, without those that finding out the costs has fetched.
    pub fetched: u64,
    /// Bytes written to the data partition.
    pub written: u64,
    /// The new kernel image, verified, if the way has brought it.
    pub uki: Option<Vec<u8>>,
}

impl Filling<'_> {
    fn name(&self, target: Target) -> String {
        let record = self.record;
        target.name(&record.id, &record.version, &record.arch)
    }

    /// Checks by the record alone whether the release fits the idle slot. Nothing is fetched.
    ///
    /// # Errors
    /// When a partition is too small, or the record contradicts itself.
    pub fn check_room(&self) -> Result<(), SlotError> {
        let (root, least, idle) = (&self.record.root, &self.record.min_slot, &self.slots.idle);
        let wrong = |field, wanted: &str, found: u64| {
            Err(SlotError::Record { field, wanted: wanted.to_owned(), found: found.to_string() })
        };
        if root.size == 0 || !root.size.is_multiple_of(BLOCK) {
            return wrong("root.size", "whole blocks of 4096 bytes", root.size);
        }
        for (device, wanted) in
            [(&idle.data, root.size.max(least.root.0)), (&idle.verity, root.verity_size.max(least.verity.0))]
        {
            if device.size < wanted {
                return Err(SlotError::TooSmall { path: device.path.clone(), wanted, found: device.size });
            }
        }
        // The size fits a partition, as checked above, so the sum cannot overflow.
        let tree = Superblock { uuid: [0; 16], data_blocks: root.size / BLOCK, salt: Vec::new() }.tree_size();
        if tree != root.verity_size {
            return wrong("root.verity_size", &tree.to_string(), root.verity_size);
        }
        Ok(())
    }

    /// The targets that hold the whole root file system, the smaller kind first.
    fn streams(&self) -> impl Iterator<Item = Target> {
        [Target::Packed, Target::Root].into_iter().filter(|target| self.remote.len(&self.name(*target)).is_some())
    }

    /// The static delta from the running version.
    fn delta(&self) -> Option<&DeltaRecord> {
        let runs = self.slots.running_content.root_hash;
        self.record.deltas.iter().find(|delta| delta.from_root_hash == runs)
    }

    /// The kernel image that the static delta can make from the running one.
    fn uki_patch(&self) -> Option<UkiPatch<'_>> {
        let patch = UkiPatch { running: self.running_uki, record: &self.record.uki };
        let from = &self.delta()?.from_uki;
        (patch.fits() && Sha256(sha2::Sha256::digest(self.running_uki).into()) == *from).then_some(patch)
    }

    /// Whether the first way also brings the kernel image.
    #[must_use]
    pub fn brings_uki(&self, ways: &Ways) -> bool {
        ways.costs.first().is_some_and(|(way, _)| *way == Way::Static) && self.uki_patch().is_some()
    }

    /// Size of the block index in bytes; `None` when there is none, or the image is too large for it.
    fn index_len(&self) -> Option<u64> {
        let index = self.remote.len(&self.name(Target::Index));
        index.filter(|_| self.record.root.size <= MAX_IMAGE)
    }

    /// Finds out what the ways cost. Writes nothing.
    ///
    /// # Errors
    /// When the release does not fit. A way that is not possible is left out.
    pub fn ways(&self, survey: Survey) -> Result<Ways, SlotError> {
        self.check_room()?;
        let remote = Meter::new(self.remote);
        let size_of = |target: &str| self.remote.len(target);
        let mut costs = Vec::new();
        // A slot that cannot be read may still be written. If it cannot, writing it reports that.
        let held = self.slots.idle.content().ok().flatten().filter(|_| self.idle == Idle::Unchecked);
        // The root hash does not cover the size, but the initrd uses the size in the superblock.
        let root = &self.record.root;
        if held.is_some_and(|content| (content.root_hash, content.size) == (root.root_hash, root.size)) {
            costs.push((Way::Present, 0));
        }
        costs.extend(self.delta().and_then(|delta| size_of(&delta.target)).map(|size| (Way::Static, size)));
        costs
            .extend(self.streams().next().and_then(|target| size_of(&self.name(target))).map(|size| (Way::Full, size)));
        let useful = |index| survey == Survey::EachWay || costs.iter().all(|(_, cost)| *cost > index);
        // Without an index the other ways remain. An error of the index is reported when its way is tried.
        let blocks = self.index_len().filter(|index| useful(*index)).and_then(|_| self.plan_blocks(&remote).ok());
        costs.extend(blocks.as_ref().map(|plan| (Way::Blocks, plan.cost())));
        // Add the bytes fetched for the kernel image to the ways that do not bring it.
        let uki = if self.uki_patch().is_some() { uki::cost(&self.record.uki, self.running_uki) } else { 0 };
        costs.sort_by_key(|(way, cost)| match way {
            Way::Present | Way::Static => (*cost, *way),
            Way::Blocks | Way::Full => (cost.saturating_add(uki), *way),
        });
        let blocks = blocks.filter(|_| costs.first().is_some_and(|(way, _)| *way == Way::Blocks));
        Ok(Ways { costs, surveyed: remote.fetched(), blocks })
    }

    fn plan_blocks(&self, remote: &Meter<'_>) -> Result<BlockPlan, SlotError> {
        let (index, chunks) = (self.name(Target::Index), self.name(Target::Chunks));
        BlockPlan::make(&index, &chunks, self.record.root.size, self.slots, remote)
    }

    /// The ways in the order in which they are tried.
    fn order(&self, ways: &Ways) -> Vec<Way> {
        let mut order: Vec<Way> = ways.costs.iter().map(|(way, _)| *way).collect();
        // The block delta whose cost is not known comes before the full download.
        if self.index_len().is_some() && !order.contains(&Way::Blocks) {
            let before_full = order.iter().position(|way| *way == Way::Full).unwrap_or(order.len());
            order.insert(before_full, Way::Blocks);
        }
        order
    }

    /// Fetches the first byte of a target that a way needs, until one way has answered. A mirror may have the new metadata before it has
    /// the other files: that must not cost the host the version in the idle slot. Writes nothing.
    ///
    /// # Errors
    /// When the source answers for none of the ways.
    pub fn reach(&self, ways: &Ways) -> Result<(), SlotError> {
        let mut reasons = Vec::new();
        for way in self.order(ways) {
            let targets: Vec<String> = match way {
                Way::Present => return Ok(()),
                Way::Blocks if ways.blocks.as_ref().is_some_and(|plan| !plan.needs_chunks()) => return Ok(()),
                Way::Blocks => vec![self.name(Target::Chunks)],
                Way::Static => self.delta().map(|delta| delta.target.clone()).into_iter().collect(),
                Way::Full => self.streams().map(|target| self.name(target)).collect(),
            };
            for target in targets {
                match first_byte(self.remote, &target) {
                    Ok(()) => return Ok(()),
                    // The target exists; only parts of it cannot be requested.
                    Err(RemoteError::NoRanges { .. }) if way != Way::Blocks => return Ok(()),
                    Err(error) => reasons.push((way, Chain(&error).to_string())),
                }
            }
        }
        Err(SlotError::AllFailed { reasons })
    }

    /// Fills the idle slot by the first way that succeeds, and reads the slot back from the disk. The boot entry of the idle slot must be
    /// removed before. `report` receives the progress and the ways that failed.
    ///
    /// # Errors
    /// When every way fails. The slot then has no superblock, so it holds no version.
    pub fn fill(&self, ways: Ways, report: &mut dyn FnMut(UpgradeEvent)) -> Result<Filled, SlotError> {
        self.check_room()?;
        let (remote, written) = (Meter::new(self.remote), Cell::new(0));
        let mut order = self.order(&ways);
        let mut blocks = ways.blocks;
        // If one stream is damaged, the other one is tried.
        if let Some(full) = order.iter().position(|way| *way == Way::Full) {
            order.splice(full..=full, self.streams().map(|_| Way::Full));
        }
        let mut streams = self.streams();
        let mut reasons: Vec<(Way, String)> = Vec::new();
        for way in order {
            if let Some((way, why)) = reasons.last() {
                report(UpgradeEvent::FellBack { way: *way, why: why.clone() });
            }
            match self.fill_by(way, blocks.take(), &mut streams, &remote, &written, report) {
                Ok(uki) => return Ok(Filled { way, fetched: remote.fetched(), written: written.get(), uki }),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => reasons.push((way, Chain(&error).to_string())),
            }
        }
        Err(SlotError::AllFailed { reasons })
    }

    fn fill_by(
        &self,
        way: Way,
        plan: Option<BlockPlan>,
        streams: &mut dyn Iterator<Item = Target>,
        remote: &Meter<'_>,
        written: &Cell<u64>,
        report: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Option<Vec<u8>>, SlotError> {
        let (root, idle) = (&self.record.root, &self.slots.idle);
        let wanted = Wanted { root_hash: root.root_hash, size: root.size, uuid: root.verity_uuid.into_bytes() };
        let mut uki = None;
        if way != Way::Present {
            // Look up the blocks in the slots before anything is written.
            let plan = match (way, plan) {
                (Way::Blocks, None) => Some(self.plan_blocks(remote)?),
                (_, plan) => plan,
            };
            let mut percent = u64::MAX;
            let mut progress = |done: u64| {
                let now = done.saturating_mul(100) / root.size;
                if std::mem::replace(&mut percent, now) != now {
                    report(UpgradeEvent::Progress { step: UpgradeStep::Fetch, done, total: root.size });
                }
            };
            let mut sink = Sink::begin(idle, wanted, written, &mut progress)?;
            match (self.delta().filter(|_| way == Way::Static), plan) {
                (Some(delta), _) => {
                    let running = &self.slots.running.data;
                    uki = patch::write(
                        &delta.target,
                        running,
                        self.uki_patch().as_ref(),
                        (self.decoder, remote),
                        &mut sink,
                    )?;
                }
                (None, Some(plan)) => plan.write(&self.name(Target::Chunks), self.slots, remote, &mut sink)?,
                (None, None) => match streams.next() {
                    Some(Target::Packed) => {
                        full::write(&self.name(Target::Packed), Packing::Xz, self.decoder, remote, &mut sink)?;
                    }
                    _ => full::write(&self.name(Target::Root), Packing::Zstd, self.decoder, remote, &mut sink)?,
                },
            }
            sink.finish()?;
        }
        let mut verified = |done| report(UpgradeEvent::Progress { step: UpgradeStep::Verify, done, total: root.size });
        verified(0);
        let read_back = read_back(idle, &root.root_hash);
        if read_back.is_err() {
            idle.verity.erase_superblock()?;
        }
        verified(root.size);
        read_back.map(|()| uki)
    }
}
