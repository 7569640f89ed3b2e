//! What became of the versions that were tried: those that used up their tries are noted, with their cause, and not taken again.

use crate::{
    entries::{Entries, EntriesError, Host, Quarantine},
    file::FileError,
    why::{
        self,
        records::{Places, Records},
    },
};
use berth_contract::update::Quarantined;

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
    host: &Host,
    entries: &mut Entries,
    quarantine: &mut Quarantine,
    now: u64,
) -> Result<Vec<Quarantined>, SettleError> {
    let records = Records::read(&Places::default())?;
    let settled = entries.settle(host.running(), host.slots(), quarantine, now, |entry| why::cause(entry, &records))?;
    Ok(settled.failed)
}
