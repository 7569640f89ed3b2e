//! Rollback: boots the other version next. As after an upgrade it gets tries, and the running version is kept as the fallback.

use super::{Entries, EntriesError, EspFile, NEW, Quarantine, Running, is_idle};
use berth_contract::{
    digest::RootHash,
    engine::StoreFormat,
    entry::{BootEntry, SET_ASIDE},
    update::EntryState,
    version::OsVersion,
};

/// The version to which a rollback goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// The version in the other slot, unless it has failed or uses another store format.
    Other,
    /// This version. If it is in the other slot, it is booted even if it has failed or its engine may not understand the data in /var. If
    /// it is the running version, the other version does not boot next any more.
    Named(&'a OsVersion),
}

/// The content of the other slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherSlot {
    /// Root hash of the version in it.
    pub root_hash: Option<RootHash>,
    /// Store formats of the running version and of the other one; `None` without an engine.
    pub stores: (Option<StoreFormat>, Option<StoreFormat>),
    /// Why the store format of the other version cannot be told.
    pub unknown_store: Option<String>,
}

impl Entries {
    /// Makes the version in the other slot boot next, with as many tries as after an upgrade. If it fails them all, the running version
    /// boots again.
    ///
    /// # Errors
    /// See [`Self::may_roll_back`]. Nothing is changed then.
    pub fn rollback(
        &mut self,
        running: &Running,
        target: Destination<'_>,
        other: &OtherSlot,
        quarantine: &Quarantine,
    ) -> Result<BootEntry, EntriesError> {
        if target == Destination::Named(&running.version) {
            return self.stay(running);
        }
        let (current, to) = self.ends(running, target, other, quarantine)?;
        let Some(entry) = to.entry() else { return Err(no_other("it has no boot entry")) };
        // An older version sorts after a newer one that has tries, so the newer one must have none. In this order a power cut between the
        // two changes leaves the running version first.
        self.count(&to, Some(NEW))?;
        if entry.version < running.version && current.state() == EntryState::Blessed {
            self.count(&current, Some(SET_ASIDE))?;
        }
        Ok(BootEntry { counter: Some(NEW), ..entry.clone() })
    }

    /// The version that [`Self::rollback`] would boot next.
    ///
    /// # Errors
    /// When the running version is not blessed, or the other slot has no bootable version. Also when the version in it has failed or has
    /// another store format, and was not named.
    pub fn may_roll_back(
        &self,
        running: &Running,
        target: Destination<'_>,
        other: &OtherSlot,
        quarantine: &Quarantine,
    ) -> Result<OsVersion, EntriesError> {
        let (_, to) = self.ends(running, target, other, quarantine)?;
        to.entry().map(|entry| entry.version.clone()).ok_or_else(|| no_other("it has no boot entry"))
    }

    /// Makes the running version boot next again. The entry that an upgrade or rollback has put before it is set aside, and so is a blessed
    /// version whose boot could not continue.
    fn stay(&mut self, running: &Running) -> Result<BootEntry, EntriesError> {
        let current = self.running(running)?;
        if !matches!(current.state(), EntryState::Blessed | EntryState::SetAside) {
            let (version, state) = (running.version.clone(), current.running_state());
            return Err(EntriesError::Unblessed { version, state });
        }
        self.count(&current, None)?;
        for found in self.list()?.into_iter().filter(|found| is_idle(found, running)) {
            // A blessed version that is newer was replaced for this boot only.
            let is_newer = found.entry().is_some_and(|entry| entry.version > running.version);
            if matches!(found.state(), EntryState::Trial(_)) || (found.state() == EntryState::Blessed && is_newer) {
                self.count(&found, Some(SET_ASIDE))?;
            }
        }
        Ok(BootEntry { id: running.id.clone(), version: running.version.clone(), counter: None })
    }

    /// The entry of the running version, and the entry to which the rollback goes.
    fn ends(
        &self,
        running: &Running,
        target: Destination<'_>,
        other: &OtherSlot,
        quarantine: &Quarantine,
    ) -> Result<(EspFile, EspFile), EntriesError> {
        let current = self.running(running)?;
        let to = self.other(running, other)?;
        let Some(entry) = to.entry() else { return Err(no_other("it has no boot entry")) };
        // The same rollback was requested before.
        let again = current.state() == EntryState::SetAside && matches!(to.state(), EntryState::Trial(_));
        if current.state() != EntryState::Blessed && !again && !current.is_last_resort() {
            let (version, state) = (running.version.clone(), current.running_state());
            return Err(EntriesError::Unblessed { version, state });
        }
        match target {
            Destination::Named(wanted) if *wanted != entry.version => {
                let (wanted, found) = (wanted.clone(), entry.version.clone());
                return Err(EntriesError::OtherVersion { wanted, found });
            }
            Destination::Named(_) => {}
            Destination::Other => unless_named(entry, &to, other, quarantine)?,
        }
        Ok((current, to))
    }

    fn other(&self, running: &Running, other: &OtherSlot) -> Result<EspFile, EntriesError> {
        let Some(root_hash) = other.root_hash else { return Err(no_other("its slot is empty")) };
        let is_it =
            |found: &EspFile| found.root_hash() == Some(root_hash) && !found.is(running) && found.entry().is_some();
        let all = self.list()?;
        let found = all.iter().find(|found| is_it(found));
        if found.is_none()
            && all.iter().any(|found| found.state() == EntryState::Staged && found.root_hash() == Some(root_hash))
        {
            return Err(no_other("it is only staged: run `hostctl upgrade` to make it a boot entry"));
        }
        found
            .cloned()
            .ok_or_else(|| no_other("its slot holds a version without a boot entry: an upgrade was interrupted"))
    }
}

fn unless_named(
    entry: &BootEntry,
    to: &EspFile,
    other: &OtherSlot,
    quarantine: &Quarantine,
) -> Result<(), EntriesError> {
    let version = || entry.version.clone();
    if let Some(failed) = to.root_hash().and_then(|hash| quarantine.find(&entry.id, &entry.version, hash)) {
        return Err(EntriesError::Quarantined(Box::new(failed.clone())));
    }
    if to.state() == EntryState::Failed {
        return Err(no_other(&format!("version {} has used up its tries; name it to boot it again", entry.version)));
    }
    if let (Some(fault), Some(_)) = (&other.unknown_store, &other.stores.0) {
        return Err(EntriesError::UnknownStore { version: version(), fault: fault.clone() });
    }
    match &other.stores {
        (Some(running), Some(other)) if running != other => {
            let (other, running) = (other.clone(), running.clone());
            Err(EntriesError::Store { version: version(), other, running })
        }
        _ => Ok(()),
    }
}

fn no_other(why: &str) -> EntriesError {
    EntriesError::NoOther { why: why.to_owned() }
}
