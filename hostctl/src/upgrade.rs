//! The upgrade on one page: from a source to a version in the idle slot, and the boot entry that makes it the next one.
//!
//! The order is the promise. Nothing is written before everything that can be refused has been; the idle slot's old entry goes before its
//! slot does; the new entry comes when the slot has been read back, and is the commit.

use crate::{
    entries::{Entries, Quarantine, Running},
    health,
    machine::Machine,
    settle::settle,
    slots::{Remote, RemoteError, Slots, Survey, Upgrade, Ways, partition, uki},
    source::{Manners, Source},
    trust::{Choice, Clock, Repository, Trust, Wish, check_store, choose, plan},
};
use anyhow::{Context, Result, bail};
use berth_contract::{
    digest::Sha256,
    disk::PartitionRole,
    engine::StoreFormat,
    paths::{QUARANTINE, RUN, TRUST_ROOT, TRUSTED_METADATA},
    release::{ReleaseRecord, STABLE, Target},
    update::{UpgradeEvent, UpgradeStep},
    version::OsVersion,
};
use std::{
    fs::{self, File, TryLockError},
    io::Read,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// URL, folder or bundle; the one of the configuration without.
    pub source: Option<String>,
    /// How far to go.
    pub until: Until,
    /// A version that is taken whatever speaks against it but id, architecture, channel and the engine's data.
    pub named: Option<OsVersion>,
    /// A store format that the running engine cannot read, and that is all right.
    pub store: Option<StoreFormat>,
    /// Seconds since 1970 by the host's clock.
    pub now: u64,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// To the answer whether there is something newer.
    Check,
    /// To the plan.
    DryRun,
    /// To the slot, written and verified.
    Stage,
    /// To the boot entry.
    Entry,
}

/// Brings the newest version, or the one that is asked for, and tells about it.
///
/// # Errors
/// When there is nothing that may be taken, no way to it, or no room for it. The running version boots as before.
pub fn upgrade(order: &Order, say: &mut dyn FnMut(UpgradeEvent)) -> Result<()> {
    let machine = Machine::read()?;
    let alone = alone()?;
    let update = machine.update();
    let text =
        order.source.clone().or(update.source).context("no source: name one, or set `[update] source` in host.toml")?;
    let manners = Manners { extra_ca: update.ca, ..Manners::default() };
    let source = Arc::new(Source::parse(&text, &manners)?);

    // 1. Nothing that could be needed to go back may change while the running version is on trial.
    let running = Running {
        id: machine.image.id.clone(),
        version: machine.image.version.clone(),
        root_hash: machine.report.root_hash,
    };
    let esp = partition(&machine.report, Path::new("/sys"), Path::new("/dev"), PartitionRole::Esp)?;
    let mut quarantine = Quarantine::load(Path::new(QUARANTINE))?;
    let current_uki = {
        let mut entries = Entries::open(&esp)?;
        // At a boot's beginning nobody has looked yet.
        settle(&running, &mut entries, &mut quarantine, order.now)?;
        if order.until > Until::DryRun {
            entries.blessed(&running)?;
        }
        entries.running_uki(&running)?
    };
    // Who only wants to know keeps nobody from a blessing, however long a server takes.
    let _alone = (order.until > Until::DryRun).then_some(alone);

    // 2. Who says so, and which version.
    let root = fs::read(TRUST_ROOT).with_context(|| {
        format!("this image trusts nobody's releases: {TRUST_ROOT} is not there (`[update] trust` of its recipe)")
    })?;
    let clock = Clock { host: order.now, epoch: machine.epoch };
    let repository = Trust { root: &root, keep: Path::new(TRUSTED_METADATA), clock }.open(&source)?;
    let wish = Wish {
        running: &machine.image,
        channel: update.channel.as_deref().unwrap_or(STABLE),
        quarantine: quarantine.list(),
        named: order.named.as_ref(),
    };
    let release = match choose(&wish, repository.releases()) {
        Choice::Current => {
            say(UpgradeEvent::Current { version: running.version });
            return Ok(());
        }
        Choice::Refused(refusal) => return Err(refusal.into()),
        Choice::Newer(release) => release,
    };
    let record = repository.record(release)?;
    check_store(&machine.image, &record, order.store.as_ref())?;
    say(UpgradeEvent::Available { from: running.version.clone(), to: record.version.clone() });
    if order.until == Until::Check {
        return Ok(());
    }

    // 3. Whether there is room, and what the ways cost.
    let slots = Slots::find(&machine.report, Path::new("/sys"), Path::new("/dev"))?;
    let remote = Signed(&repository);
    let upgrade = Upgrade { record: &record, slots: &slots, remote: &remote, running_uki: &current_uki };
    let survey = if order.until == Until::DryRun { Survey::EachWay } else { Survey::Cheapest };
    let ways = upgrade.ways(survey)?;
    Entries::open(&esp)?.check_room(&running, record.uki.size)?;
    let uki_cost = uki::cost(&record.uki, &current_uki);
    say(UpgradeEvent::Plan(Box::new(plan::plan(
        &machine.image,
        &record,
        slots.idle.slot,
        ways.costs.clone(),
        uki_cost,
    ))));
    if order.until == Until::DryRun {
        return Ok(());
    }
    bring(
        Journey { order, running: &running, esp: &esp, record: &record, slots: &slots, remote: &remote, current_uki },
        ways,
        say,
    )
}

/// Everything that is known when nothing has been written yet.
struct Journey<'a> {
    order: &'a Order,
    running: &'a Running,
    esp: &'a Path,
    record: &'a ReleaseRecord,
    slots: &'a Slots,
    remote: &'a Signed<'a>,
    current_uki: Vec<u8>,
}

/// From here on things are written.
fn bring(journey: Journey<'_>, ways: Ways, say: &mut dyn FnMut(UpgradeEvent)) -> Result<()> {
    let Journey { order, running, esp, record, slots, remote, mut current_uki } = journey;
    let uki_target = Target::Uki.name(&record.id, &record.version, &record.arch);
    let uki_done = |done| UpgradeEvent::Progress { step: UpgradeStep::KernelImage, done, total: record.uki.size };

    // 4. The unified kernel image, where the way to the slot does not bring it: one that is not what was signed costs nothing yet.
    let mut staged = Entries::open(esp)?.staged_digest(&record.id, &record.version)? == Some(record.uki.sha256);
    let upgrade = Upgrade { record, slots, remote, running_uki: &current_uki };
    let made = match staged || upgrade.brings_uki(&ways) {
        true => None,
        false => {
            say(uki_done(0));
            Some(uki::assemble(&record.uki, &uki_target, &current_uki, remote)?.bytes)
        }
    };

    // 5. What boots the idle slot goes before the slot does, once the source has answered for one of the ways and what works now has been
    // noted; an image that was staged for this very version may stay.
    upgrade.reach(&ways)?;
    let note = || health::baseline::take(&running.version, &record.version, remote.0.source().host());
    if order.until == Until::Entry {
        note()?;
    }
    {
        let mut entries = Entries::open(esp)?;
        entries.clear_idle(running, staged.then_some((&record.id, &record.version)))?;
        if let Some(made) = made {
            entries.stage(&record.id, &record.version, &made)?;
            say(uki_done(record.uki.size));
            staged = true;
        }
    }
    if staged {
        // The memory is the slot's from here on.
        current_uki = Vec::new();
    }

    // 6. The slot, made durable and read back.
    let upgrade = Upgrade { record, slots, remote, running_uki: &current_uki };
    let brought = upgrade.bring(ways, say)?;
    if !staged {
        say(uki_done(0));
        let made = match brought.uki {
            Some(made) => made,
            None => uki::assemble(&record.uki, &uki_target, &current_uki, remote)?.bytes,
        };
        Entries::open(esp)?.stage(&record.id, &record.version, &made)?;
        say(uki_done(record.uki.size));
    }

    // 7. The commit. What works now is to work then.
    if order.until == Until::Entry {
        // A /var that has become full meanwhile keeps what was noted before.
        let _ = note();
        Entries::open(esp)?.commit(&record.id, &record.version, running)?;
    }
    say(UpgradeEvent::Done {
        version: record.version.clone(),
        slot: slots.idle.slot,
        way: brought.way,
        fetched: remote.0.source().received(),
        written: brought.written,
        peak_memory: peak_memory(),
        entry: order.until == Until::Entry,
    });
    Ok(())
}

/// How long another upgrade, rollback or blessing is waited for: the last is done in a moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// One upgrade, rollback or blessing at a time.
///
/// # Errors
/// When another one is under way, and does not end soon.
pub fn alone() -> Result<File> {
    alone_within(PATIENCE)
}

/// The same, when another one is waited for as long as this.
///
/// # Errors
/// When another one is still under way then.
pub fn alone_within(patience: Duration) -> Result<File> {
    let (path, end) = (Path::new(RUN).join("upgrade.lock"), Instant::now() + patience);
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(100)),
            Err(TryLockError::WouldBlock) => bail!("another upgrade or rollback is under way"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// Most memory that this process has held, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The targets of a repository, as the slots ask for them.
struct Signed<'a>(&'a Repository);

impl Signed<'_> {
    fn failed(target: &str, error: crate::trust::TrustError) -> RemoteError {
        let target = target.to_owned();
        if error.is_no_ranges() {
            RemoteError::NoRanges { target }
        } else {
            RemoteError::Failed { target, cause: error.into() }
        }
    }
}

impl Remote for Signed<'_> {
    fn len(&self, target: &str) -> Option<u64> {
        self.0.target(target).map(|info| info.length)
    }

    fn sha256(&self, target: &str) -> Option<Sha256> {
        self.0.target(target).map(|info| info.sha256)
    }

    fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        self.0.read_whole(target, limit).map_err(|error| Self::failed(target, error))
    }

    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError> {
        let opened = self.0.open(target, start, len).map_err(|error| Self::failed(target, error))?;
        Ok(Box::new(opened))
    }
}
