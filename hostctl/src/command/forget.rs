//! `hostctl update forget`: forgets versions that have failed on this host, and damaged files of the update state.

use super::{on_host, pass_on, write_out};
use anyhow::{Context, Result};
use berth_contract::paths::{BASELINE, TRUSTED_METADATA};
use berth_control::Client;
use hostctl::{entries::Installed, file, file_lock::FileLock};
use std::{fs, io, path::Path};

/// What to forget besides the failed versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Also {
    /// Nothing.
    Nothing,
    /// The newest metadata of all repositories. An old copy of a repository is accepted then. The root keys of the image stay in force.
    Repositories,
}

/// `hostctl update forget` on this host.
pub(crate) fn here(also: Also) -> Result<()> {
    let _lock = FileLock::acquire()?;
    let installed = Installed::find(Path::new("/"))?;
    let mut entries = installed.entries()?;
    entries.forgive(installed.running())?;
    let forgotten = installed.quarantine().forget()?;
    // The baseline is for the verdict about a version on trial. Without one, nothing needs it.
    if !entries.has_trial()? {
        file::remove(Path::new(BASELINE))?;
    }
    if also == Also::Repositories {
        match fs::remove_dir_all(TRUSTED_METADATA) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {TRUSTED_METADATA}"));
            }
            _ => {}
        }
    }
    for failed in &forgotten {
        write_out(&format!("forgotten: {} {}: {}\n", failed.id, failed.version, failed.cause))?;
    }
    if forgotten.is_empty() {
        write_out("no failed version is on record\n")?;
    }
    Ok(())
}

/// `hostctl update forget` on the host that `client` is connected to.
pub(crate) fn there(client: &mut Client, also: Also) -> Result<()> {
    let option = (also == Also::Repositories).then_some("--repositories");
    on_host(client, ["update", "forget"].into_iter().chain(option), pass_on)
}
