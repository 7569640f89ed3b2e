//! Versions that have used up their tries: quarantined with their cause, or set aside when the environment was the cause.

use crate::{
    entries::{Entries, EntriesError, FailedVersions, FailureCause, Quarantine, Running},
    health::{self, Fault, baseline},
    why::{
        self,
        records::{RecordPaths, Records},
    },
};
use berth_contract::{entry::BootEntry, update::Quarantined};

/// Quarantines or sets aside the versions that have failed since the last call, and returns them. `now` is in seconds since 1970.
///
/// # Errors
/// When the ESP or the quarantine cannot be read or written.
pub fn note(
    running: &Running,
    entries: &mut Entries,
    quarantine: &mut Quarantine,
    now: u64,
) -> Result<FailedVersions, EntriesError> {
    let records = Records::read(&RecordPaths::default());
    let missing = |entry: &BootEntry| baseline::missing(&health::Places::default(), &entry.version);
    entries.note_failed(running, quarantine, now, |entry, known| failure_cause(entry, known, &records, missing))
}

/// Why a version has failed; `None` when it has not failed again since `known` was recorded. `missing` names something that worked before
/// the version was installed and does not work now either.
fn failure_cause(
    entry: &BootEntry,
    known: Option<&Quarantined>,
    records: &Records,
    missing: impl Fn(&BootEntry) -> Option<Fault>,
) -> Option<FailureCause> {
    // The user may have installed a quarantined version again by name. Boots without a record tell nothing new.
    let failed_again = |known: &Quarantined| why::last_boot(entry, records).is_some_and(|boot| boot.started > known.at);
    if known.is_some_and(|known| !failed_again(known)) {
        return None;
    }
    // If the running version fails the same check, the new version is probably not the cause.
    Some(match missing(entry).filter(|fault| why::always_failed_by(entry, records, &fault.what)) {
        Some(fault) => FailureCause::Environment(fault.why),
        None => FailureCause::Version(why::cause(entry, records)),
    })
}

#[cfg(test)]
#[path = "failed_versions_tests.rs"]
mod tests;
