//! What is done about the ESP once at each boot.

use super::{Entries, EntriesError, Found, Kind, Quarantine, Running, SlotContent};
use berth_contract::{
    entry::BootEntry,
    update::{EntryState, Quarantined},
};

/// What [`Entries::settle`] has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Versions that have failed since the last boot, and are quarantined now.
    pub failed: Vec<Quarantined>,
    /// Staged files that have gone because their slot holds something else.
    pub removed: Vec<String>,
}

impl Entries {
    /// Notes versions that have used up their tries, with what `cause` says of each, and removes staged images whose root file
    /// system is in no slot any more. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When ESP or quarantine cannot be read or written.
    pub fn settle(
        &mut self,
        running: &Running,
        slots: &[SlotContent],
        quarantine: &mut Quarantine,
        now: u64,
        cause: impl Fn(&BootEntry) -> String,
    ) -> Result<Settled, EntriesError> {
        let mut settled = Settled::default();
        for found in self.list()? {
            match (&found.kind, found.state(), found.root_hash()) {
                (Kind::Entry(entry), EntryState::Failed, Some(root_hash))
                    if !found.is(running) && quarantine.find(&entry.id, &entry.version, root_hash).is_none() =>
                {
                    let failed = Quarantined {
                        id: entry.id.clone(),
                        version: entry.version.clone(),
                        root_hash,
                        cause: cause(entry),
                        tries: entry.counter.map_or(0, |counter| counter.done),
                        at: now,
                    };
                    quarantine.add(failed.clone())?;
                    settled.failed.push(failed);
                }
                (Kind::Staged(..), ..) if !is_in_a_slot(&found, slots) => {
                    self.remove(&found.file)?;
                    settled.removed.push(found.file);
                }
                _ => {}
            }
        }
        Ok(settled)
    }
}

fn is_in_a_slot(found: &Found, slots: &[SlotContent]) -> bool {
    found.root_hash().is_some_and(|hash| slots.iter().any(|slot| slot.root_hash == Some(hash)))
}
