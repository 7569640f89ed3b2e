//! `hostctl rollback`: makes the other version boot next.

use super::{on_host, write_out};
use anyhow::Result;
use berth_contract::{paths::BASELINE, version::OsVersion};
use berth_control::Client;
use hostctl::{
    entries::{Destination, Installed},
    file,
    file_lock::FileLock,
    health::baseline,
    host::Host,
};
use std::path::Path;

/// Makes the other version of this host boot next, and calls `reboot`.
pub(crate) fn here(version: Option<&OsVersion>, reboot: impl FnOnce() -> Result<()>) -> Result<()> {
    let lock = FileLock::acquire()?;
    let installed = Installed::find(Path::new("/"))?;
    let source = Host::read().ok().and_then(|host| host.source_host());
    // A /var that is full or read-only must not prevent a rollback. But an earlier baseline for the same version must not be used for this
    // rollback: if it can be neither replaced nor removed, refuse.
    let take = |to: &OsVersion| {
        let taken = baseline::take(&installed.running().version, to, source.as_deref());
        let removed = taken.or_else(|_| file::remove(Path::new(BASELINE)));
        removed.or_else(|error| if baseline::is_for(Path::new(BASELINE), to) { Err(error) } else { Ok(()) })
    };
    let entry = installed.rollback(version.map_or(Destination::Other, Destination::Named), take)?;
    drop(lock);
    // Reboot even if stdout is closed.
    reboot()?;
    write_out(&format!("version {} boots next\n", entry.version))
}

/// `hostctl rollback` on the host that `client` is connected to.
pub(crate) fn there(
    mut client: Client,
    version: Option<&OsVersion>,
    reboot: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut output = String::new();
    on_host(&mut client, ["rollback"].into_iter().chain(version.map(OsVersion::as_str)), |line| {
        output += &format!("{}\n", line.text);
        Ok(())
    })?;
    // A serial port serves one client at a time.
    drop(client);
    reboot()?;
    write_out(&output)
}
