//! Going to the other version, by the same machinery as an upgrade: it gets tries, and the one that is left waits.

use super::{Entries, EntriesError, Found, NEW, Quarantine, Running, is_idle};
use berth_contract::{
    digest::RootHash,
    engine::StoreFormat,
    entry::{BootEntry, SET_ASIDE},
    update::EntryState,
    version::OsVersion,
};

/// Which version a rollback is to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The other one, if nothing speaks against it.
    Other,
    /// The other one, of this name: also one that has failed, or whose engine may not understand what is in /var. Or the running one:
    /// then the other does not boot next any more.
    Named(&'a OsVersion),
}

/// What is known about the other slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Root hash of what is in it.
    pub root_hash: Option<RootHash>,
    /// How the engine of the running version keeps its data, and how that of the other does; nothing where there is none.
    pub stores: (Option<StoreFormat>, Option<StoreFormat>),
}

impl Entries {
    /// Makes the version in the other slot the one that boots next, with as many tries as a new one has. If it fails them all,
    /// the running one boots again.
    ///
    /// # Errors
    /// See [`Self::may_roll_back`]: then nothing is changed.
    pub fn rollback(
        &mut self,
        running: &Running,
        target: Target<'_>,
        other: &Other,
        quarantine: &Quarantine,
    ) -> Result<BootEntry, EntriesError> {
        if target == Target::Named(&running.version) {
            return self.stay(running);
        }
        let (current, to) = self.ends(running, target, other, quarantine)?;
        let Some(entry) = to.entry() else { return Err(no_other("it has no boot entry")) };
        // An older version comes behind a newer one with tries, so the newer one must have none. In this order a cut
        // between the two changes nothing: what runs is still first.
        self.count(&to, Some(NEW))?;
        if entry.version < running.version && current.state() == EntryState::Blessed {
            self.count(&current, Some(SET_ASIDE))?;
        }
        Ok(BootEntry { counter: Some(NEW), ..entry.clone() })
    }

    /// The version that [`Self::rollback`] would go to.
    ///
    /// # Errors
    /// When the running version is not blessed, the other slot has no bootable version, or that has failed or has another
    /// store format and was not named.
    pub fn may_roll_back(
        &self,
        running: &Running,
        target: Target<'_>,
        other: &Other,
        quarantine: &Quarantine,
    ) -> Result<OsVersion, EntriesError> {
        let (_, to) = self.ends(running, target, other, quarantine)?;
        to.entry().map(|entry| entry.version.clone()).ok_or_else(|| no_other("it has no boot entry"))
    }

    /// The running version boots next again: what an upgrade or rollback has put before it waits behind.
    fn stay(&mut self, running: &Running) -> Result<BootEntry, EntriesError> {
        let current = self.running(running)?;
        if !matches!(current.state(), EntryState::Blessed | EntryState::SetAside) {
            let (version, state) = (running.version.clone(), current.running_state());
            return Err(EntriesError::Unblessed { version, state });
        }
        self.count(&current, None)?;
        for found in self.list()?.into_iter().filter(|found| is_idle(found, running)) {
            if matches!(found.state(), EntryState::Trial(_)) {
                self.count(&found, Some(SET_ASIDE))?;
            }
        }
        Ok(BootEntry { id: running.id.clone(), version: running.version.clone(), counter: None })
    }

    /// The entries of what runs and of what a rollback goes to.
    fn ends(
        &self,
        running: &Running,
        target: Target<'_>,
        other: &Other,
        quarantine: &Quarantine,
    ) -> Result<(Found, Found), EntriesError> {
        let current = self.running(running)?;
        let to = self.other(running, other)?;
        let Some(entry) = to.entry() else { return Err(no_other("it has no boot entry")) };
        // Called for twice: it is under way.
        let again = current.state() == EntryState::SetAside && matches!(to.state(), EntryState::Trial(_));
        if current.state() != EntryState::Blessed && !again && !current.is_last_resort() {
            let (version, state) = (running.version.clone(), current.running_state());
            return Err(EntriesError::Unblessed { version, state });
        }
        match target {
            Target::Named(wanted) if *wanted != entry.version => {
                let (wanted, found) = (wanted.clone(), entry.version.clone());
                return Err(EntriesError::OtherVersion { wanted, found });
            }
            Target::Named(_) => {}
            Target::Other => unless_named(entry, &to, other, quarantine)?,
        }
        Ok((current, to))
    }

    fn other(&self, running: &Running, other: &Other) -> Result<Found, EntriesError> {
        let Some(root_hash) = other.root_hash else { return Err(no_other("its slot is empty")) };
        let is_it =
            |found: &Found| found.root_hash() == Some(root_hash) && !found.is(running) && found.entry().is_some();
        let all = self.list()?;
        let found = all.iter().find(|found| is_it(found));
        if found.is_none()
            && all.iter().any(|found| found.state() == EntryState::Staged && found.root_hash() == Some(root_hash))
        {
            return Err(no_other("it is staged only: `hostctl upgrade` makes it a boot entry"));
        }
        found.cloned().ok_or_else(|| no_other("what is in its slot has no boot entry: an upgrade was interrupted"))
    }
}

fn unless_named(entry: &BootEntry, to: &Found, other: &Other, quarantine: &Quarantine) -> Result<(), EntriesError> {
    let version = || entry.version.clone();
    if let Some(failed) = to.root_hash().and_then(|hash| quarantine.find(&entry.id, &entry.version, hash)) {
        return Err(EntriesError::Quarantined(Box::new(failed.clone())));
    }
    if to.state() == EntryState::Failed {
        return Err(no_other(&format!("version {} has used up its tries; name it to try it again", entry.version)));
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
