//! Entries that have used up their tries, and staged images that nothing needs any more.

use super::{Entries, EntriesError, EspFile, FileKind, Quarantine, Running, SlotContent, is_idle};
use berth_contract::{
    entry::{BootEntry, SET_ASIDE},
    update::{EntryState, Quarantined},
};

/// Why a version has used up its tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// The version itself failed. One sentence says how.
    Version(String),
    /// The running version fails the same check now, so the environment (for example the network) is the likely cause. One sentence
    /// says what fails.
    Environment(String),
}

/// What [`Entries::note_failed`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedVersions {
    /// Versions that have failed since the last call, and are quarantined now.
    pub quarantined: Vec<Quarantined>,
    /// Versions whose environment was the cause, with the failed check. They are set aside and may be installed again.
    pub set_aside: Vec<(BootEntry, String)>,
}

impl Entries {
    /// Quarantines or sets aside each version that has used up its tries. `cause` receives the entry and its present quarantine record. It
    /// returns `None` when the version has not failed again since that record. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When the ESP or the quarantine cannot be read or written.
    pub fn note_failed(
        &mut self,
        running: &Running,
        quarantine: &mut Quarantine,
        now: u64,
        cause: impl Fn(&BootEntry, Option<&Quarantined>) -> Option<FailureCause>,
    ) -> Result<FailedVersions, EntriesError> {
        let mut noted = FailedVersions::default();
        for file in self.list()? {
            let (FileKind::Entry(entry), EntryState::Failed, Some(root_hash)) =
                (&file.kind, file.state(), file.root_hash())
            else {
                continue;
            };
            if file.is(running) {
                continue;
            }
            match cause(entry, quarantine.find(&entry.id, &entry.version, root_hash)) {
                None => {}
                Some(FailureCause::Environment(why)) => {
                    self.count(&file, Some(SET_ASIDE))?;
                    noted.set_aside.push((entry.clone(), why));
                }
                Some(FailureCause::Version(cause)) => {
                    let failed = Quarantined {
                        id: entry.id.clone(),
                        version: entry.version.clone(),
                        root_hash,
                        cause,
                        tries: entry.counter.map_or(0, |counter| counter.done),
                        at: now,
                    };
                    quarantine.add(failed.clone())?;
                    noted.quarantined.push(failed);
                }
            }
        }
        Ok(noted)
    }

    /// Sets the versions that have used up their tries aside, so that they do not count as failed any more.
    ///
    /// # Errors
    /// When the ESP cannot be read or written.
    pub fn forgive(&mut self, running: &Running) -> Result<(), EntriesError> {
        let is_failed = |file: &EspFile| is_idle(file, running) && file.state() == EntryState::Failed;
        self.list()?.iter().filter(|file| is_failed(file)).try_for_each(|file| self.count(file, Some(SET_ASIDE)))
    }

    /// Whether a version is on trial, running or not.
    ///
    /// # Errors
    /// When the ESP cannot be read.
    pub fn has_trial(&self) -> Result<bool, EntriesError> {
        Ok(self.list()?.iter().any(|file| matches!(file.state(), EntryState::Trial(_))))
    }

    /// Removes staged images whose root file system is in no slot, and returns their names. Do not call this before an upgrade: an
    /// interrupted upgrade may have staged its image before it filled the slot.
    ///
    /// # Errors
    /// When the ESP cannot be read or written.
    pub fn remove_stray_images(&mut self, slots: &[SlotContent]) -> Result<Vec<String>, EntriesError> {
        let is_stray = |file: &EspFile| matches!(file.kind, FileKind::Staged(..)) && !is_in_a_slot(file, slots);
        let mut removed = Vec::new();
        for file in self.list()?.into_iter().filter(is_stray) {
            self.remove(&file.file)?;
            removed.push(file.file);
        }
        Ok(removed)
    }
}

fn is_in_a_slot(file: &EspFile, slots: &[SlotContent]) -> bool {
    file.root_hash().is_some_and(|hash| slots.iter().any(|slot| slot.root_hash == Some(hash)))
}
