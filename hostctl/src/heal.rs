//! Checks the content of both slots block by block, and both kernel images on the ESP, and repairs them.
//!
//! A damaged block is copied from the other slot, which holds most blocks as well; a damaged kernel image is made again from parts of both
//! images. If that is not enough, the version is fetched again from the update source. Until then its boot entry is set aside: the boot
//! loader takes the running version, not one that cannot boot.

mod kernel;
mod place;

use crate::{
    decoder::Decoder,
    entries::{self, Entries},
    file,
    file_lock::FileLock,
    slots::{Access, Filling, Idle, Slots, Survey as CostSurvey},
    trust::{Criteria, Repository, installed},
    upgrade::{open_repository, open_source},
};
use anyhow::{Context, Result, bail};
use berth_contract::{
    chain::Chain,
    paths::SLOT_CHECKS,
    release::{ReleaseRecord, STABLE},
    update::{EntryState, KernelCheck, SlotCheck},
};
use place::{Place, Subject};
use std::{
    path::Path,
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
    let place = Place::find()?;
    let path = Path::new(SLOT_CHECKS);
    // A damaged file counts as empty: it is only a record.
    let before: Vec<SlotCheck> = file::json(path).unwrap_or_default();
    let mut checks = Vec::new();
    for subject in place.subjects()? {
        let known = before.iter().find(|check| check.slot == subject.slot && check.root_hash == subject.root_hash);
        // A kernel image is small, so it is checked each time.
        let kernel = match place.is_kernel_damaged(&subject, &mut pauses(options.pace))? {
            true => KernelCheck::Damaged,
            false => KernelCheck::Whole,
        };
        let is_due = options.pace == Pace::Full || kernel == KernelCheck::Damaged || place.replaces(&subject);
        let check = match known {
            // An upgrade, or the installation, has read the slot back.
            None if !is_due => subject.check(options.now),
            Some(known) if !is_due && is_fresh(known, options.now) => known.clone(),
            _ => place.check(&subject, known, kernel, options, say)?,
        };
        checks.push(check);
    }
    // /var may be full. What was found, and repaired, is reported anyway.
    let stored = if checks == before { Ok(()) } else { file::replace_json(path, &checks) };
    report(&checks)?;
    match checks.into_iter().find(SlotCheck::is_damaged) {
        None => Ok(stored?),
        Some(check) => {
            let running = check.slot == place.host.report.slot;
            Err(StillDamaged { check, tried: options.damage, running }.into())
        }
    }
}

/// A time in the future is that of a wrong clock.
fn is_fresh(check: &SlotCheck, now: u64) -> bool {
    !check.is_damaged() && !check.set_aside && (check.at..check.at + FRESH).contains(&now)
}

/// In the background, each call rests.
fn pauses(pace: Pace) -> impl FnMut() {
    let mut begin = Instant::now();
    move || {
        if pace == Pace::Background {
            thread::sleep(begin.elapsed().min(Duration::from_secs(1)) * REST);
            begin = Instant::now();
        }
    }
}

impl Place {
    fn check(
        &self,
        subject: &Subject,
        known: Option<&SlotCheck>,
        kernel: KernelCheck,
        options: &Options,
        say: &mut dyn FnMut(&str),
    ) -> Result<SlotCheck> {
        let name = format!("slot {} ({})", subject.slot, subject.version);
        let damaged = self.damaged(subject, options.pace)?;
        let set_aside = subject.was_moved() || known.is_some_and(|known| known.set_aside);
        let before = known.map_or(0, |known| known.damaged);
        let repaired = known.is_some_and(|known| known.kernel != KernelCheck::Whole);
        let found = kernel == KernelCheck::Damaged;
        let kernel = if repaired && !found { KernelCheck::Repaired } else { kernel };
        let mut check = SlotCheck { set_aside, damaged: before, left: damaged, kernel, ..subject.check(options.now) };
        if damaged == 0 && !set_aside && !found {
            say(&format!("{name}: all blocks are right"));
            return Ok(check);
        }
        check.damaged = damaged.max(before);
        if damaged > 0 {
            say(&format!("{name}: {damaged} damaged blocks"));
        }
        if found {
            say(&format!("{name}: the kernel image is damaged"));
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
        let survey = self.open(subject.slot, Access::Read)?.survey(&subject.root_hash, &mut pauses(pace));
        // Without a superblock nothing is known about the slot.
        Ok(survey.map_or(1, |survey| survey.damaged()))
    }

    /// Repairs with what is on this disk, then with the update source.
    fn repair(
        &self,
        subject: &Subject,
        check: &mut SlotCheck,
        options: &Options,
        say: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let name = format!("slot {} ({})", subject.slot, subject.version);
        if check.left > 0 {
            let access = if subject.running { Access::Shared } else { Access::Exclusive };
            let (slot, donor) = (self.open(subject.slot, access)?, self.open(subject.slot.other(), Access::Read)?);
            if let Some(survey) = slot.survey(&subject.root_hash, &mut || {}) {
                let written = slot.repair(&survey, &[&donor])?;
                if written > 0 {
                    say(&format!("{name}: {written} blocks are repaired from this disk"));
                }
            }
            drop(slot);
            check.left = self.damaged(subject, Pace::Full)?;
        }
        if check.kernel == KernelCheck::Damaged {
            match self.mend_kernel(subject, None) {
                Ok(()) => {
                    check.kernel = KernelCheck::Repaired;
                    say(&format!("{name}: the kernel image is repaired from this disk"));
                }
                Err(error) => {
                    let why = Chain(error.as_ref());
                    say(&format!("{name}: the kernel image cannot be repaired from this disk: {why}"));
                }
            }
        }
        if subject.running && check.kernel != KernelCheck::Damaged {
            // Blocks of the running version cannot be fetched.
            return Ok(());
        }
        if check.is_damaged() {
            self.set_aside(subject, check)?;
            let fetched = |what: &str| say(&format!("{name}: fetched again from the update source: {what}"));
            if let Err(error) = self.fetch(subject, check, options, fetched) {
                say(&format!("{name}: cannot be fetched again: {}", Chain(error.as_ref())));
            }
        }
        if !check.is_damaged() && std::mem::take(&mut check.set_aside) {
            let all = Entries::look(&self.esp)?;
            let its = |found: &&entries::EspFile| {
                found.root_hash() == Some(subject.root_hash) && found.state() == EntryState::SetAside
            };
            if let Some(found) = all.iter().find(its) {
                Entries::open(&self.esp)?.reinstate(found)?;
            }
        }
        Ok(())
    }

    /// Sets the damaged version aside, unless it runs.
    fn set_aside(&self, subject: &Subject, check: &mut SlotCheck) -> Result<()> {
        if let Some(entry) = &subject.entry
            && !subject.running
            && entry.state() == EntryState::Blessed
        {
            Entries::open(&self.esp)?.set_aside(entry, &self.running)?;
            check.set_aside = true;
        }
        Ok(())
    }

    /// Makes the rest right from the update source: blocks of the other slot, and the kernel image. `fetched` receives what was fetched.
    fn fetch(
        &self,
        subject: &Subject,
        check: &mut SlotCheck,
        options: &Options,
        mut fetched: impl FnMut(&str),
    ) -> Result<()> {
        let (repository, record) = self.release(subject, options)?;
        if check.kernel == KernelCheck::Damaged {
            // The entry may have another name now.
            let subjects = self.subjects()?;
            let subject = subjects.iter().find(|found| found.slot == subject.slot).context("it has no boot entry")?;
            self.mend_kernel(subject, Some((&repository, &record)))?;
            check.kernel = KernelCheck::Repaired;
            fetched("the kernel image");
        }
        if check.left > 0 && !subject.running {
            fill(self, &repository, &record)?;
            check.left = 0;
            fetched("the damaged blocks");
        }
        Ok(())
    }

    /// The release of the version, at the update source.
    fn release(&self, subject: &Subject, options: &Options) -> Result<(Repository, ReleaseRecord)> {
        let update = self.host.update();
        let source = open_source(&self.host, options.source.as_deref())?;
        let repository = open_repository(&self.host, &source, options.now, &mut |_| {})?;
        let criteria = Criteria {
            running: &self.host.image,
            channel: update.channel.as_deref().unwrap_or(STABLE),
            quarantine: &[],
            version: Some(&subject.version),
        };
        let release = installed(&criteria, repository.releases())?.context("the source does not have this version")?;
        let record = repository.record(release)?;
        if record.root.root_hash != subject.root_hash {
            bail!("the source has another build of version {}: {}", subject.version, record.root.root_hash);
        }
        Ok((repository, record))
    }
}

/// Writes the version into the other slot again. Blocks that are right are not written.
fn fill(place: &Place, repository: &Repository, record: &ReleaseRecord) -> Result<()> {
    let slots = Slots::find(&place.host.report, Path::new("/sys"), Path::new("/dev"))?;
    let filling = Filling {
        record,
        slots: &slots,
        remote: repository,
        running_uki: &[],
        decoder: Decoder::this(),
        idle: Idle::Damaged,
    };
    let ways = filling.ways(CostSurvey::Cheapest)?;
    filling.reach(&ways)?;
    filling.fill(ways, &mut |_| {})?;
    Ok(())
}
