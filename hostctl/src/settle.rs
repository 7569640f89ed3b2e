//! What became of the versions that were tried: those that used up their tries are noted, with their cause, and not taken again.

use crate::{
    entries::{Cause, Entries, EntriesError, Quarantine, Running, Settled},
    file::FileError,
    health::{self, Fault, baseline},
    why::{
        self,
        records::{Places, Records},
    },
};
use berth_contract::{entry::BootEntry, update::Quarantined};

/// Why it cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// ESP or quarantine.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// Records of boots.
    #[error(transparent)]
    Records(#[from] FileError),
}

/// Notes what has failed since it was last looked at, and tells what is new. `now` is in seconds since 1970.
///
/// # Errors
/// When ESP, quarantine or boot records cannot be read or written.
pub fn settle(
    running: &Running,
    entries: &mut Entries,
    quarantine: &mut Quarantine,
    now: u64,
) -> Result<Settled, SettleError> {
    let records = Records::read(&Places::default())?;
    let missing = |entry: &BootEntry| baseline::missing(&health::Places::default(), &entry.version);
    Ok(entries.settle(running, quarantine, now, |entry, known| judge(entry, known, &records, missing))?)
}

/// Why a version has failed; nothing when it has not failed since it was noted. `missing` tells what worked before the version came and
/// does not work now.
fn judge(
    entry: &BootEntry,
    known: Option<&Quarantined>,
    records: &Records,
    missing: impl Fn(&BootEntry) -> Option<Fault>,
) -> Option<Cause> {
    // It may have been tried again by name. Boots that left no record tell nothing new either.
    let anew = |known: &Quarantined| why::last_boot(entry, records).is_some_and(|boot| boot.started > known.at);
    if known.is_some_and(|known| !anew(known)) {
        return None;
    }
    // A part that does not work with this version either is not a fault of the other version.
    Some(match missing(entry).filter(|fault| why::always_failed_by(entry, records, &fault.what)) {
        Some(fault) => Cause::Place(fault.why),
        None => Cause::Version(why::cause(entry, records)),
    })
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;
