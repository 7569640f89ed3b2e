//! Checks the content of both slots block by block, and repairs it.
//!
//! A damaged block is copied from the other slot, which holds most blocks as well. If that is not enough, the version is fetched again from
//! the update source. Until then its boot entry is set aside: the boot loader takes the running version, not one that cannot boot.

use crate::{
    decoder::Decoder,
    entries::{self, Entries, EntriesError, EspFile, Running, next},
    file,
    file_lock::FileLock,
    host::Host,
    slots::{Access, Filling, Idle, SlotDevices, Slots, Survey as CostSurvey, partition},
    trust::{Criteria, select},
    upgrade::{open_repository, open_source},
};
use anyhow::{Context, Result, bail};
use berth_contract::{
    boot_report::NextBoot,
    chain::Chain,
    digest::RootHash,
    disk::{PartitionRole, Slot},
    paths::SLOT_CHECKS,
    release::STABLE,
    update::{EntryState, SlotCheck},
    version::OsVersion,
};
use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How old a check may be before the background checks the slot again, in seconds.
const FRESH: u64 = 7 * 24 * 3600;
/// In the background, the time of rest is this many times the time of work.
const REST: u32 = 3;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What to do about damage.
    pub damage: Damage,
    /// Whether a user waits.
    pub pace: Pace,
    /// Update source; `None`: the source of the configuration.
    pub source: Option<String>,
    /// Seconds since 1970 by the host's clock.
    pub now: u64,
}

/// What to do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Only report it.
    Report,
    /// Repair it.
    Repair,
}

/// How fast to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as possible.
    Full,
    /// Slowly, and only if it is due: the last check is a week old, or the boot loader did not take the version in the other slot.
    Background,
}

/// A slot still has damaged blocks.
#[derive(Debug, thiserror::Error)]
#[error("slot {} ({}): {}", .check.slot, .check.version, entries::damage(.check))]
pub struct StillDamaged {
    /// Its check.
    pub check: SlotCheck,
    /// What was tried.
    pub tried: Damage,
    /// Whether the host runs from this slot.
    pub running: bool,
}

impl StillDamaged {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match (self.tried, self.running) {
            (Damage::Report, _) => "run `hostctl slot repair`",
            (Damage::Repair, true) => {
                "run `hostctl upgrade`, or `hostctl rollback`: the running version cannot be replaced"
            }
            (Damage::Repair, false) => {
                "run `hostctl slot repair SOURCE` with a source that has this version, or `hostctl upgrade`"
            }
        }
    }
}

/// A slot to check.
#[derive(PartialEq, Eq)]
struct Subject {
    slot: Slot,
    version: OsVersion,
    root_hash: RootHash,
    /// The entry of the other slot's version; `None` for the running slot.
    entry: Option<EspFile>,
}

/// The host, and the devices of its disk.
struct Place {
    host: Host,
    running: Running,
    esp: PathBuf,
}

/// Checks both slots. `say` receives a line for each thing that happens. `report` receives the checks, also of slots that were not checked
/// now.
///
/// # Errors
/// When the slots or the ESP cannot be read or written. [`StillDamaged`] when there is damage.
pub fn heal(
    options: &Options,
    say: &mut dyn FnMut(&str),
    report: impl FnOnce(&[SlotCheck]) -> Result<()>,
) -> Result<()> {
    let host = Host::read()?;
    let esp = partition(&host.report, Path::new("/sys"), Path::new("/dev"), PartitionRole::Esp)?;
    let place = Place { running: host.running(), host, esp };
    let path = Path::new(SLOT_CHECKS);
    // A damaged file counts as empty: it is only a record.
    let before: Vec<SlotCheck> = file::json(path).unwrap_or_default();
    let mut checks = Vec::new();
    for subject in place.subjects()? {
        let known = before.iter().find(|check| check.slot == subject.slot && check.root_hash == subject.root_hash);
        let check = match (options.pace, known) {
            // An upgrade, or the installation, has read the slot back.
            (Pace::Background, None) if !place.replaces(&subject) => subject.check(options.now),
            (Pace::Background, Some(known)) if !place.replaces(&subject) && is_fresh(known, options.now) => {
                known.clone()
            }
            _ => place.check(&subject, known, options, say)?,
        };
        checks.push(check);
    }
    if checks != before {
        file::replace_json(path, &checks)?;
    }
    report(&checks)?;
    match checks.into_iter().find(|check| check.left > 0) {
        None => Ok(()),
        Some(check) => {
            let running = check.slot == place.host.report.slot;
            Err(StillDamaged { check, tried: options.damage, running }.into())
        }
    }
}

/// A time in the future is that of a wrong clock.
fn is_fresh(check: &SlotCheck, now: u64) -> bool {
    check.left == 0 && (check.at..check.at + FRESH).contains(&now)
}

impl Subject {
    fn check(&self, at: u64) -> SlotCheck {
        let (slot, version, root_hash) = (self.slot, self.version.clone(), self.root_hash);
        SlotCheck { slot, version, root_hash, at, damaged: 0, left: 0, set_aside: false }
    }
}

impl Place {
    /// The running slot, and the other slot if it has a boot entry.
    fn subjects(&self) -> Result<Vec<Subject>, EntriesError> {
        let Running { id, version, root_hash } = self.running.clone();
        let slot = self.host.report.slot;
        let mut subjects = vec![Subject { slot, version, root_hash, entry: None }];
        let others: Vec<EspFile> = Entries::look(&self.esp)?
            .into_iter()
            .filter(|found| found.entry().is_some_and(|entry| entry.id == id) && !found.is(&self.running))
            .collect();
        if let Some(found) = next(&others)
            && let (Some(entry), Some(root_hash)) = (found.entry(), found.root_hash())
        {
            let version = entry.version.clone();
            subjects.push(Subject { slot: slot.other(), version, root_hash, entry: Some(found.clone()) });
        }
        subjects.sort_by_key(|subject| subject.slot);
        Ok(subjects)
    }

    /// Whether this boot replaces the version of the subject.
    fn replaces(&self, subject: &Subject) -> bool {
        match (&self.host.report.next_boot, &subject.entry) {
            (NextBoot::InsteadOf(entry), Some(other)) => other.entry() == Some(entry),
            _ => false,
        }
    }

    fn open(&self, slot: Slot, access: Access) -> Result<SlotDevices> {
        Ok(SlotDevices::open(&self.host.report, Path::new("/sys"), Path::new("/dev"), slot, access)?)
    }

    fn check(
        &self,
        subject: &Subject,
        known: Option<&SlotCheck>,
        options: &Options,
        say: &mut dyn FnMut(&str),
    ) -> Result<SlotCheck> {
        let name = format!("slot {} ({})", subject.slot, subject.version);
        let damaged = self.damaged(subject, options.pace)?;
        let set_aside = known.is_some_and(|known| known.set_aside);
        let before = known.map_or(0, |known| known.damaged);
        let mut check = SlotCheck { set_aside, damaged: before, left: damaged, ..subject.check(options.now) };
        if damaged == 0 && !set_aside {
            say(&format!("{name}: all blocks are right"));
            return Ok(check);
        }
        check.damaged = damaged.max(before);
        if damaged > 0 {
            say(&format!("{name}: {damaged} damaged blocks"));
        }
        if options.damage == Damage::Repair {
            // Blessings, upgrades and rollbacks change the slots and entries too.
            let _lock = FileLock::acquire()?;
            // The check took long, without the lock. The slot may hold another version now, which must not be overwritten.
            if !self.subjects()?.contains(subject) {
                bail!("{name}: was changed by an upgrade or rollback during the check");
            }
            self.repair(subject, &mut check, options, say)?;
        }
        Ok(check)
    }

    /// Number of damaged blocks.
    fn damaged(&self, subject: &Subject, pace: Pace) -> Result<u64> {
        let mut begin = Instant::now();
        let mut pause = || {
            if pace == Pace::Background {
                thread::sleep(begin.elapsed().min(Duration::from_secs(1)) * REST);
                begin = Instant::now();
            }
        };
        let survey = self.open(subject.slot, Access::Read)?.survey(&subject.root_hash, &mut pause);
        // Without a superblock nothing is known about the slot.
        Ok(survey.map_or(1, |survey| survey.damaged()))
    }

    fn repair(
        &self,
        subject: &Subject,
        check: &mut SlotCheck,
        options: &Options,
        say: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let access = if subject.entry.is_some() { Access::Exclusive } else { Access::Shared };
        let name = format!("slot {} ({})", subject.slot, subject.version);
        {
            let (slot, donor) = (self.open(subject.slot, access)?, self.open(subject.slot.other(), Access::Read)?);
            if let Some(survey) = slot.survey(&subject.root_hash, &mut || {}) {
                let written = slot.repair(&survey, &[&donor])?;
                if written > 0 {
                    say(&format!("{name}: {written} blocks are repaired from this disk"));
                }
            }
        }
        check.left = self.damaged(subject, Pace::Full)?;
        let Some(entry) = &subject.entry else {
            return Ok(());
        };
        if check.left > 0 {
            if entry.state() == EntryState::Blessed {
                Entries::open(&self.esp)?.set_aside(entry, &self.running)?;
                check.set_aside = true;
            }
            match self.fetch(subject, options) {
                Ok(()) => {
                    say(&format!("{name}: fetched again from the update source"));
                    check.left = 0;
                }
                Err(error) => say(&format!("{name}: cannot be fetched again: {}", Chain(error.as_ref()))),
            }
        }
        if check.left == 0 && std::mem::take(&mut check.set_aside) {
            let all = Entries::look(&self.esp)?;
            let its = |found: &&EspFile| {
                found.root_hash() == Some(subject.root_hash) && found.state() == EntryState::SetAside
            };
            if let Some(found) = all.iter().find(its) {
                Entries::open(&self.esp)?.reinstate(found)?;
            }
        }
        Ok(())
    }

    /// Writes the version into the other slot again, from the update source. Blocks that are right are not written.
    fn fetch(&self, subject: &Subject, options: &Options) -> Result<()> {
        let update = self.host.update();
        let source = open_source(&self.host, options.source.as_deref())?;
        let repository = open_repository(&self.host, &source, options.now, &mut |_| {})?;
        let criteria = Criteria {
            running: &self.host.image,
            channel: update.channel.as_deref().unwrap_or(STABLE),
            quarantine: &[],
            version: Some(&subject.version),
        };
        let release = select(&criteria, repository.releases())?.context("the source does not have this version")?;
        let record = repository.record(release)?;
        if record.root.root_hash != subject.root_hash {
            bail!("the source has another build of version {}: {}", subject.version, record.root.root_hash);
        }
        let slots = Slots::find(&self.host.report, Path::new("/sys"), Path::new("/dev"))?;
        let filling = Filling {
            record: &record,
            slots: &slots,
            remote: &repository,
            running_uki: &[],
            decoder: Decoder::this(),
            idle: Idle::Damaged,
        };
        let ways = filling.ways(CostSurvey::Cheapest)?;
        filling.reach(&ways)?;
        filling.fill(ways, &mut |_| {})?;
        Ok(())
    }
}
