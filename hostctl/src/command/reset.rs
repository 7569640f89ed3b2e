//! `hostctl reset`: erases everything in /var at the next boot, or everything but the configuration.
//!
//! A mark in the first block of the partition says so. init finds the mark before it mounts the partition, and runs `hostctl make-var`, which
//! makes a new file system or empties the old one. The mark is removed last, so a power cut in between starts the work again.

use super::{now, on_host, pass_on, write_out};
use anyhow::{Result, bail};
use berth_control::Client;
use hostctl::{
    host::Host,
    var::{self, Mark},
};
use std::path::Path;

/// Marks /var of this host, or removes the mark.
pub(crate) fn here(mark: Mark, is_sure: bool) -> Result<()> {
    let device = var::partition(&Host::read()?.report)?;
    if mark != Mark::Keep && !is_sure {
        bail!(var::NotSure);
    }
    var::mark(&device, mark)?;
    write_out(match mark {
        Mark::Erase => {
            "everything in /var is erased at the next boot: `hostctl reboot`; to keep it: `hostctl reset --cancel`\n"
        }
        Mark::EraseButConfig => {
            "everything in /var but the configuration is erased at the next boot: `hostctl reboot`; to keep it: `hostctl reset --cancel`\n"
        }
        Mark::Keep => "/var is kept\n",
    })
}

/// The same on the host that `client` is connected to.
pub(crate) fn there(client: &mut Client, mark: Mark, is_sure: bool) -> Result<()> {
    let option = match mark {
        Mark::Erase => "--var",
        Mark::EraseButConfig => "--keep-config",
        Mark::Keep => "--cancel",
    };
    on_host(client, ["reset", option].into_iter().chain(is_sure.then_some("--yes")), pass_on)
}

/// `hostctl make-var DEVICE`: makes the new file system on a marked partition. init runs it.
pub(crate) fn make(device: &Path) -> Result<()> {
    Ok(var::make(device, now())?)
}
