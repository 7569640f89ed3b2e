//! The upgrade on one page: fetch a new version into the idle slot, then add the boot entry that makes it boot next.
//!
//! The order of the steps makes the upgrade safe:
//!
//! - Every check that can refuse the new version comes before the first write to the slot or the ESP.
//! - The boot entry of the idle slot is removed before the slot is overwritten.
//! - The new boot entry is added last, after the slot was read back from the disk. Adding it is the commit.
//!
//! So after a power cut at any time, the host boots either the running version or the complete new version.

use crate::{
    decoder::Decoder,
    entries::{Entries, Quarantine, Running},
    failed_versions,
    file_lock::FileLock,
    health::baseline,
    host::Host,
    kernel_image::KernelImage,
    kernel_images::{self, KernelImages},
    memory,
    slots::{Filling, Idle, SlotError, Slots, Survey, Ways, copies, partition, uki},
    source::{HttpOptions, Source},
    trust::{Clock, Criteria, Repository, Trust, check_engine, plan, select},
};
use anyhow::{Context, Result};
use berth_contract::{
    chain::Chain,
    disk::PartitionRole,
    engine::StoreFormat,
    paths::{QUARANTINE, TRUST_ROOT, TRUSTED_METADATA},
    release::{ReleaseRecord, STABLE},
    update::UpgradeEvent,
    version::OsVersion,
};
use std::{fs, path::Path, sync::Arc};

/// Options of `hostctl upgrade`.
#[derive(Clone, Debug)]
pub struct Options {
    /// URL, folder or bundle file. `None`: the source of the configuration.
    pub source: Option<String>,
    /// Where to stop.
    pub until: Until,
    /// Install this version even if it is older or quarantined. Id, architecture, channel and store format are still checked.
    pub version: Option<OsVersion>,
    /// Accept a version whose engine stores its data in this format, even if the running engine cannot read the format.
    pub store: Option<StoreFormat>,
    /// Seconds since 1970 by the host's clock.
    pub now: u64,
}

/// The last step of an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Only report whether there is a newer version.
    Check,
    /// Only show the plan.
    DryRun,
    /// Write and verify the slot, and stage the kernel image, but add no boot entry.
    Stage,
    /// Add the boot entry: the complete upgrade.
    Entry,
}

/// Installs the newest version, or the requested one, into the idle slot. `report` receives the events.
///
/// # Errors
/// When a check refuses the upgrade, the files cannot be fetched, or there is not enough space. The running version still boots.
pub fn upgrade(options: &Options, report: &mut dyn FnMut(UpgradeEvent)) -> Result<()> {
    let host = Host::read()?;
    let lock = FileLock::acquire()?;
    let source = open_source(&host, options.source.as_deref())?;

    // 1. Refuse to overwrite the idle slot while the running version is on trial: if that version fails, the host must boot the idle slot
    // again.
    let running = host.running();
    let esp = partition(&host.report, Path::new("/sys"), Path::new("/dev"), PartitionRole::Esp)?;
    refuse_copies(&host, options)?;
    let (quarantine, running_uki) = check_running(&running, &esp, options, report)?;
    // `--check` and `--dry-run` change no slot and no boot entry, so they release the lock here: a slow server must not delay
    // `hostctl bless`.
    let _lock = (options.until > Until::DryRun).then_some(lock);

    // 2. Verify the signatures of the repository, then select the release.
    let repository = open_repository(&host, &source, options.now, report)?;
    let Some(record) = select_release(&host, &repository, &quarantine, options)? else {
        report(UpgradeEvent::Current { version: running.version });
        return Ok(());
    };
    report(UpgradeEvent::Available { from: running.version.clone(), to: record.version.clone() });
    if options.until == Until::Check {
        return Ok(());
    }

    // 3. Check the space in the slot and on the ESP. A way is a method to get the root file system (a delta, or a full download): find the
    // possible ways and the bytes that each would fetch.
    let slots = Slots::find(&host.report, Path::new("/sys"), Path::new("/dev"))?;
    let checked = Checked {
        until: options.until,
        running: &running,
        esp: &esp,
        record: &record,
        slots: &slots,
        repository: &repository,
    };
    let survey = if options.until == Until::DryRun { Survey::EachWay } else { Survey::Cheapest };
    let ways = checked.filling(&running_uki).ways(survey)?;
    Entries::open(&esp)?.check_room(&running, record.uki.size)?;
    let uki_cost = uki::cost(&record.uki, &running_uki);
    let plan = plan::plan(&host.image, &record, slots.idle.slot, ways.costs.clone(), uki_cost);
    report(UpgradeEvent::Plan(Box::new(plan)));
    if options.until == Until::DryRun {
        return Ok(());
    }
    install(&checked, running_uki, ways, report)
}

/// An upgrade that passed every check. Nothing of the new version has been written yet.
struct Checked<'a> {
    until: Until,
    running: &'a Running,
    esp: &'a Path,
    record: &'a ReleaseRecord,
    slots: &'a Slots,
    repository: &'a Repository,
}

impl Checked<'_> {
    fn filling<'a>(&'a self, running_uki: &'a [u8]) -> Filling<'a> {
        Filling {
            record: self.record,
            slots: self.slots,
            remote: self.repository,
            running_uki,
            decoder: Decoder::this(),
            idle: Idle::Unchecked,
        }
    }
}

/// Steps 4 to 7 of the upgrade: the steps that write.
fn install(
    checked: &Checked<'_>,
    running_uki: Vec<u8>,
    ways: Ways,
    report: &mut dyn FnMut(UpgradeEvent),
) -> Result<()> {
    let &Checked { until, running, esp, record, slots, repository } = checked;
    let staged_digest = Entries::open(esp)?.staged_digest(&record.id, &record.version)?;

    // 4. Make the kernel image in memory, unless an earlier run staged it or the static delta contains it. After a failure here, the idle
    // slot can still boot.
    let kernel = if staged_digest == Some(record.uki.sha256) {
        Entries::open(esp)?.check_staged(record)?;
        // Only a static delta needs the running kernel image from here on. The slot gets the memory.
        drop(running_uki);
        KernelImage::Staged
    } else if checked.filling(&running_uki).brings_uki(&ways) {
        KernelImage::FromDelta { running: running_uki }
    } else {
        let made = KernelImage::make(record, repository, &running_uki, report)?;
        drop(running_uki);
        made
    };

    // 5. Check that the source serves the files of at least one way, and record what works now (the baseline). Only then remove the boot
    // entry of the idle slot. A staged kernel image of the same version is kept.
    checked.filling(kernel.delta_base()).reach(&ways)?;
    let record_baseline = || baseline::take(&running.version, &record.version, repository.source().host());
    if until == Until::Entry {
        record_baseline()?;
    }
    let kernel = {
        let mut entries = Entries::open(esp)?;
        entries.clear_idle(running, kernel.is_staged().then_some((&record.id, &record.version)))?;
        kernel.stage(&mut entries, record, report)?
    };

    // 6. Fill the slot, sync it and read it back. Then stage the kernel image, if the static delta contained it.
    let filled = checked.filling(kernel.delta_base()).fill(ways, report)?;
    let kernel = kernel.after_delta(filled.uki, record, repository, report)?;
    if !kernel.is_staged() {
        kernel.stage(&mut Entries::open(esp)?, record, report)?;
    }

    // 7. Record the baseline again, because the download may have taken long. After its first boot, the new version is checked against the
    // baseline. Then commit: add the boot entry.
    if until == Until::Entry {
        // If this fails because /var has become full, the baseline of step 5 is used.
        let _ = record_baseline();
        // A later check of the kernel image compares it with this digest. If /var is full, the digest is taken after the first boot.
        let image = kernel_images::KernelImage {
            id: record.id.clone(),
            version: record.version.clone(),
            root_hash: record.root.root_hash,
            uki: record.uki.clone(),
        };
        let _ = KernelImages::load().learn(image);
        Entries::open(esp)?.commit(&record.id, &record.version, running)?;
    }
    report(UpgradeEvent::Done {
        version: record.version.clone(),
        slot: slots.idle.slot,
        way: filled.way,
        fetched: repository.source().received(),
        written: filled.written,
        peak_memory: memory::peak(),
        entry: until == Until::Entry,
    });
    Ok(())
}

/// The source of releases: `named`, or the one of the configuration.
pub(crate) fn open_source(host: &Host, named: Option<&str>) -> Result<Arc<Source>> {
    let update = host.update();
    let named = named.map(str::to_owned).or(update.source);
    let name =
        named.context("no update source: name one on the command line, or set `[update] source` in host.toml")?;
    let http_options = HttpOptions { extra_ca: update.ca, ..HttpOptions::default() };
    Ok(Arc::new(Source::parse(&name, &http_options)?))
}

/// Refuses to write if it is not known which of several equal disks was booted: the wrong one would be upgraded.
fn refuse_copies(host: &Host, options: &Options) -> Result<(), SlotError> {
    if host.report.named_by_firmware || options.until <= Until::DryRun {
        return Ok(());
    }
    let others = copies(&host.report, Path::new("/sys"), Path::new("/dev"));
    if others.is_empty() { Ok(()) } else { Err(SlotError::Copies { disk: host.report.disk.clone(), others }) }
}

/// Checks that the running version is blessed. Returns the quarantine and the running version's kernel image.
fn check_running(
    running: &Running,
    esp: &Path,
    options: &Options,
    report: &mut dyn FnMut(UpgradeEvent),
) -> Result<(Quarantine, Vec<u8>)> {
    let mut quarantine = Quarantine::load(Path::new(QUARANTINE));
    if let Some(damage) = quarantine.damage() {
        report(UpgradeEvent::MemoryDamaged { path: QUARANTINE.to_owned(), fault: Chain(damage).to_string() });
    }
    let mut entries = Entries::open(esp)?;
    // Quarantine versions that failed in earlier boots. Right after boot, `hostctl bless` may not have done so yet.
    failed_versions::note(running, &mut entries, &mut quarantine, options.now)?;
    if options.until > Until::DryRun {
        entries.blessed(running)?;
    }
    let running_uki = entries.running_uki(running)?;
    Ok((quarantine, running_uki))
}

/// The repository at the source, with verified metadata.
pub(crate) fn open_repository(
    host: &Host,
    source: &Arc<Source>,
    now: u64,
    report: &mut dyn FnMut(UpgradeEvent),
) -> Result<Repository> {
    let root = fs::read(TRUST_ROOT).with_context(|| {
        format!(
            "this image trusts no release keys: {TRUST_ROOT} does not exist (`[update] trust` of the recipe adds it)"
        )
    })?;
    let clock = Clock { host: now, epoch: host.epoch };
    Ok(Trust { root: &root, memory: Path::new(TRUSTED_METADATA), clock }.open(source, report)?)
}

/// Selects the release to install, and fetches its record. `None` when there is no newer version.
fn select_release(
    host: &Host,
    repository: &Repository,
    quarantine: &Quarantine,
    options: &Options,
) -> Result<Option<ReleaseRecord>> {
    let update = host.update();
    let criteria = Criteria {
        running: &host.image,
        channel: update.channel.as_deref().unwrap_or(STABLE),
        quarantine: quarantine.list(),
        version: options.version.as_ref(),
    };
    let Some(release) = select(&criteria, repository.releases())? else { return Ok(None) };
    let record = repository.record(release)?;
    check_engine(&host.image, &record, options.store.as_ref())?;
    Ok(Some(record))
}
