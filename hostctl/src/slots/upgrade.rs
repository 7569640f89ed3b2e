//! The new root file system's way into the idle slot: what each way costs, and one after the other until one leads there.

use super::{
    blocks::{BlockPlan, MAX_IMAGE},
    device::Slots,
    error::SlotError,
    full,
    patch::{self, Kernel},
    remote::{Meter, Remote, RemoteError, first_byte},
    sink::{Sink, Wanted, read_back},
    uki,
};
use berth_contract::{
    chain::Chain,
    digest::Sha256,
    disk::BLOCK,
    release::{DeltaRecord, ReleaseRecord, Target},
    update::{UpgradeEvent, Way},
};
use berth_formats::verity::Superblock;
use sha2::Digest;
use std::cell::Cell;

/// A release and where it is to go.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a remote need not have one")]
pub struct Upgrade<'a> {
    /// What it is. Verified.
    pub record: &'a ReleaseRecord,
    /// Where it goes.
    pub slots: &'a Slots,
    /// Where it comes from.
    pub remote: &'a dyn Remote,
    /// The unified kernel image that runs: a static delta makes the new one of it. Empty where that is not wanted.
    pub running_uki: &'a [u8],
}

/// How much is found out about the ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survey {
    /// What each way costs: to be shown.
    EachWay,
    /// What the cheapest way costs. The block index is not fetched where a static delta is smaller than it.
    Cheapest,
}

/// The ways that can be gone.
#[derive(Debug)]
pub struct Ways {
    /// Each with the bytes that it fetches for the root file system, cheapest first.
    pub costs: Vec<(Way, u64)>,
    /// Bytes of this survey itself, contained in the costs of [`Way::Blocks`].
    pub surveyed: u64,
    /// Held if it is the cheapest.
    blocks: Option<BlockPlan>,
}

/// What [`Upgrade::bring`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The way that led there.
    pub way: Way,
    /// Bytes that came over the wire on all ways that were tried; those of the survey are not among them.
    pub fetched: u64,
    /// Bytes written to the data partition.
    pub written: u64,
    /// The new unified kernel image, where the way has brought it: verified.
    pub uki: Option<Vec<u8>>,
}

impl Upgrade<'_> {
    fn name(&self, target: Target) -> String {
        let record = self.record;
        target.name(&record.id, &record.version, &record.arch)
    }

    /// Whether the release fits the idle slot, as its record says; nothing is fetched.
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
        // The size fits a partition by now: the sum cannot overflow.
        let tree = Superblock { uuid: [0; 16], data_blocks: root.size / BLOCK, salt: Vec::new() }.tree_size();
        if tree != root.verity_size {
            return wrong("root.verity_size", &tree.to_string(), root.verity_size);
        }
        Ok(())
    }

    /// The streams with all of it, the smaller kind first.
    fn streams(&self) -> impl Iterator<Item = Target> {
        [Target::Packed, Target::Root].into_iter().filter(|target| self.remote.len(&self.name(*target)).is_some())
    }

    /// The static delta from what runs.
    fn delta(&self) -> Option<&DeltaRecord> {
        let runs = self.slots.running_content.root_hash;
        self.record.deltas.iter().find(|delta| delta.from_root_hash == runs)
    }

    /// The kernel image that the static delta can make.
    fn kernel(&self) -> Option<Kernel<'_>> {
        let kernel = Kernel { running: self.running_uki, record: &self.record.uki };
        let from = &self.delta()?.from_uki;
        (kernel.fits() && Sha256(sha2::Sha256::digest(self.running_uki).into()) == *from).then_some(kernel)
    }

    /// Whether the way that is gone first brings the kernel image as well.
    #[must_use]
    pub fn brings_uki(&self, ways: &Ways) -> bool {
        ways.costs.first().is_some_and(|(way, _)| *way == Way::Static) && self.kernel().is_some()
    }

    /// Bytes of the block index, where there is one that can be used.
    fn index_len(&self) -> Option<u64> {
        let index = self.remote.len(&self.name(Target::Index));
        index.filter(|_| self.record.root.size <= MAX_IMAGE)
    }

    /// What the ways cost. Writes nothing.
    ///
    /// # Errors
    /// When the release does not fit. A way that cannot be gone is left out.
    pub fn ways(&self, survey: Survey) -> Result<Ways, SlotError> {
        self.check_room()?;
        let remote = Meter::new(self.remote);
        let size_of = |target: &str| self.remote.len(target);
        let mut costs = Vec::new();
        // What cannot be read can be written, and is told then if it cannot.
        let held = self.slots.idle.content().ok().flatten();
        // The size is no part of the root hash, but what boots goes by it.
        let root = &self.record.root;
        if held.is_some_and(|content| (content.root_hash, content.size) == (root.root_hash, root.size)) {
            costs.push((Way::Present, 0));
        }
        costs.extend(self.delta().and_then(|delta| size_of(&delta.target)).map(|size| (Way::Static, size)));
        costs
            .extend(self.streams().next().and_then(|target| size_of(&self.name(target))).map(|size| (Way::Full, size)));
        let useful = |index| survey == Survey::EachWay || costs.iter().all(|(_, cost)| *cost > index);
        // Without an index there are the other ways; what is wrong with it is told when it is their turn.
        let blocks = self.index_len().filter(|index| useful(*index)).and_then(|_| self.plan_blocks(&remote).ok());
        costs.extend(blocks.as_ref().map(|plan| (Way::Blocks, plan.cost())));
        // What is to be fetched for the kernel image counts as well, where the way does not bring it.
        let uki = if self.kernel().is_some() { uki::cost(&self.record.uki, self.running_uki) } else { 0 };
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

    /// The ways, in the order in which they are gone.
    fn order(&self, ways: &Ways) -> Vec<Way> {
        let mut order: Vec<Way> = ways.costs.iter().map(|(way, _)| *way).collect();
        // What the survey has not looked at comes before the whole.
        if self.index_len().is_some() && !order.contains(&Way::Blocks) {
            let before_full = order.iter().position(|way| *way == Way::Full).unwrap_or(order.len());
            order.insert(before_full, Way::Blocks);
        }
        order
    }

    /// Whether one of the ways has what it needs, by the first byte of it: a mirror that has the metadata already and not yet the rest
    /// shall cost no host the version that it could go back to. Writes nothing.
    ///
    /// # Errors
    /// When nothing that could be fetched is there.
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
                    // It is there, as a whole.
                    Err(RemoteError::NoRanges { .. }) if way != Way::Blocks => return Ok(()),
                    Err(error) => reasons.push((way, Chain(&error).to_string())),
                }
            }
        }
        Err(SlotError::AllFailed { reasons })
    }

    /// Brings the root file system into the idle slot by the first of the ways that leads there, and reads it back from the
    /// disk. The boot entry of what was in the slot must be gone. `say` is told of progress and of ways that failed.
    ///
    /// # Errors
    /// When no way leads there. The slot is then without a hash tree, so that nobody takes it for a version.
    pub fn bring(&self, ways: Ways, say: &mut dyn FnMut(UpgradeEvent)) -> Result<Brought, SlotError> {
        self.check_room()?;
        let (remote, written) = (Meter::new(self.remote), Cell::new(0));
        let mut order = self.order(&ways);
        let mut blocks = ways.blocks;
        // A stream that is damaged is no reason to do without the other one.
        if let Some(full) = order.iter().position(|way| *way == Way::Full) {
            order.splice(full..=full, self.streams().map(|_| Way::Full));
        }
        let mut streams = self.streams();
        let mut reasons: Vec<(Way, String)> = Vec::new();
        for way in order {
            if let Some((way, why)) = reasons.last() {
                say(UpgradeEvent::FellBack { way: *way, why: why.clone() });
            }
            match self.go(way, blocks.take(), &mut streams, &remote, &written, say) {
                Ok(uki) => return Ok(Brought { way, fetched: remote.fetched(), written: written.get(), uki }),
                Err(error) if error.is_final() => return Err(error),
                Err(error) => reasons.push((way, Chain(&error).to_string())),
            }
        }
        Err(SlotError::AllFailed { reasons })
    }

    fn go(
        &self,
        way: Way,
        plan: Option<BlockPlan>,
        streams: &mut dyn Iterator<Item = Target>,
        remote: &Meter<'_>,
        written: &Cell<u64>,
        say: &mut dyn FnMut(UpgradeEvent),
    ) -> Result<Option<Vec<u8>>, SlotError> {
        let (root, idle) = (&self.record.root, &self.slots.idle);
        let wanted = Wanted { root_hash: root.root_hash, size: root.size, uuid: root.verity_uuid.into_bytes() };
        let mut uki = None;
        if way != Way::Present {
            // What the slots hold is looked up before anything is written.
            let plan = match (way, plan) {
                (Way::Blocks, None) => Some(self.plan_blocks(remote)?),
                (_, plan) => plan,
            };
            let mut percent = u64::MAX;
            let mut progress = |done: u64| {
                let now = done.saturating_mul(100) / root.size;
                if std::mem::replace(&mut percent, now) != now {
                    say(UpgradeEvent::Progress { step: "fetch".to_owned(), done, total: root.size });
                }
            };
            let mut sink = Sink::begin(idle, wanted, written, &mut progress)?;
            match (self.delta().filter(|_| way == Way::Static), plan) {
                (Some(delta), _) => {
                    let running = &self.slots.running.data;
                    uki = patch::write(&delta.target, running, self.kernel().as_ref(), remote, &mut sink)?;
                }
                (None, Some(plan)) => plan.write(&self.name(Target::Chunks), self.slots, remote, &mut sink)?,
                (None, None) => match streams.next() {
                    Some(Target::Packed) => full::write_xz(&self.name(Target::Packed), remote, &mut sink)?,
                    _ => full::write_zstd(&self.name(Target::Root), remote, &mut sink)?,
                },
            }
            sink.finish()?;
        }
        let mut verified = |done| say(UpgradeEvent::Progress { step: "verify".to_owned(), done, total: root.size });
        verified(0);
        let read_back = read_back(idle, &root.root_hash);
        if read_back.is_err() {
            idle.verity.erase_superblock()?;
        }
        verified(root.size);
        read_back.map(|()| uki)
    }
}
