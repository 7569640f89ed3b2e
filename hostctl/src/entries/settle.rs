//! What is done about the ESP once at each boot.

use super::{Entries, EntriesError, Found, Kind, Quarantine, Running, SlotContent};
use berth_contract::{
    entry::{BootEntry, SET_ASIDE},
    update::{EntryState, Quarantined},
};

/// Why a version has used up its tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// By its own fault, in one sentence.
    Version(String),
    /// For want of something that the running version has not got either.
    Place(String),
}

/// What [`Entries::settle`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Versions that have failed since the last boot, and are quarantined now.
    pub failed: Vec<Quarantined>,
    /// Those that have failed by no fault of theirs, and why: they are set aside, and may be taken again.
    pub spared: Vec<(BootEntry, String)>,
}

impl Entries {
    /// Notes versions that have used up their tries, with what `cause` says of each; it is told what is known of that version, and says
    /// nothing where that is all. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When ESP or quarantine cannot be read or written.
    pub fn settle(
        &mut self,
        running: &Running,
        quarantine: &mut Quarantine,
        now: u64,
        cause: impl Fn(&BootEntry, Option<&Quarantined>) -> Option<Cause>,
    ) -> Result<Settled, EntriesError> {
        let mut settled = Settled::default();
        for found in self.list()? {
            let (Kind::Entry(entry), EntryState::Failed, Some(root_hash)) =
                (&found.kind, found.state(), found.root_hash())
            else {
                continue;
            };
            if found.is(running) {
                continue;
            }
            match cause(entry, quarantine.find(&entry.id, &entry.version, root_hash)) {
                None => {}
                Some(Cause::Place(why)) => {
                    self.count(&found, Some(SET_ASIDE))?;
                    settled.spared.push((entry.clone(), why));
                }
                Some(Cause::Version(cause)) => {
                    let failed = Quarantined {
                        id: entry.id.clone(),
                        version: entry.version.clone(),
                        root_hash,
                        cause,
                        tries: entry.counter.map_or(0, |counter| counter.done),
                        at: now,
                    };
                    quarantine.add(failed.clone())?;
                    settled.failed.push(failed);
                }
            }
        }
        Ok(settled)
    }

    /// Removes staged images whose root file system is in no slot, and returns their names. Not before an upgrade: one that was broken
    /// off has an image without a slot.
    ///
    /// # Errors
    /// When the ESP cannot be read or written.
    pub fn sweep(&mut self, slots: &[SlotContent]) -> Result<Vec<String>, EntriesError> {
        let is_stray = |found: &Found| matches!(found.kind, Kind::Staged(..)) && !is_in_a_slot(found, slots);
        let mut removed = Vec::new();
        for found in self.list()?.into_iter().filter(is_stray) {
            self.remove(&found.file)?;
            removed.push(found.file);
        }
        Ok(removed)
    }
}

fn is_in_a_slot(found: &Found, slots: &[SlotContent]) -> bool {
    found.root_hash().is_some_and(|hash| slots.iter().any(|slot| slot.root_hash == Some(hash)))
}
