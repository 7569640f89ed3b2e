//! Erasing /var, if `hostctl reset` has asked for it. hostctl makes the new file system: PID 1 need not know how.

use crate::console;
use berth_contract::{
    disk::{VAR_EMPTY_MARK, VAR_ERASE_MARK},
    paths,
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why /var was not erased. It is not mounted then: the user does not want the old content.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// hostctl cannot be started.
    #[error("{}: to be erased, but {} cannot be started: {source}", device.display(), paths::HOSTCTL)]
    Start {
        /// The partition.
        device: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// hostctl has failed. Its message is on the console.
    #[error("{}: to be erased, but {} ended with {status}", device.display(), paths::HOSTCTL)]
    Make {
        /// The partition.
        device: PathBuf,
        /// How hostctl ended.
        status: std::process::ExitStatus,
    },
}

/// Makes a new file system on the partition, or empties it, if it has a mark. Call this before the partition is mounted, and when no other thread waits
/// for child processes.
///
/// # Errors
/// When it has the mark and the file system cannot be made.
pub fn erase_if_marked(device: &Path) -> Result<(), EraseError> {
    let mut found = [0; VAR_ERASE_MARK.len()];
    let read = File::open(device).and_then(|file| file.read_exact_at(&mut found, 0));
    let what = match &found {
        _ if read.is_err() => return Ok(()),
        VAR_ERASE_MARK => "everything is erased",
        VAR_EMPTY_MARK => "everything but the configuration is erased",
        _ => return Ok(()),
    };
    console::announce(&format!("/var: {what}, as `hostctl reset` has asked for"));
    let made = Command::new(paths::HOSTCTL).arg("make-var").arg(device).stdin(Stdio::null()).status();
    match made {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(EraseError::Make { device: device.to_owned(), status }),
        Err(source) => Err(EraseError::Start { device: device.to_owned(), source }),
    }
}
