//! The message that has granted a lease, kept in a file in memory: a new process goes on with the lease.

use crate::client::Moment;
use berth_file::{Flush, read_json, replace};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Size limit of the file in bytes: a message of 64 KiB with each byte as a number.
const MAX_SIZE: u64 = 1 << 19;
/// Only netd reads the file.
const MODE: u32 = 0o600;

/// The message of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Hardware address of the link.
    mac: [u8; 6],
    /// When the lease began: milliseconds since the host's start.
    since_ms: u64,
    /// The message.
    pub message: Vec<u8>,
}

impl Kept {
    /// A message for a link with this hardware address.
    #[must_use]
    pub fn new(mac: [u8; 6], since: Moment, message: Vec<u8>) -> Self {
        Self { mac, since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), message }
    }

    /// When the lease began.
    #[must_use]
    pub fn since(&self) -> Moment {
        Duration::from_millis(self.since_ms)
    }
}

/// The file of one link and protocol.
#[derive(Clone, Debug)]
pub struct LeaseFile(PathBuf);

impl LeaseFile {
    /// The file of a link below `directory`. `protocol` is `dhcp4` or `dhcp6`.
    #[must_use]
    pub fn new(directory: &Path, link: &str, protocol: &str) -> Self {
        Self(directory.join("leases").join(format!("{link}.{protocol}.json")))
    }

    /// The kept message, if it is for a link with this hardware address.
    #[must_use]
    pub fn load(&self, mac: [u8; 6]) -> Option<Kept> {
        read_json::<Kept>(&self.0, MAX_SIZE).ok().filter(|kept| kept.mac == mac)
    }

    /// Keeps a message. If that fails, a new process asks for a new lease.
    pub fn keep(&self, kept: &Kept) {
        let text = serde_json::to_vec(kept).unwrap_or_default();
        let _ = self.0.parent().map(fs::create_dir_all);
        let _ = replace(&self.0, &text, MODE, Flush::Nothing);
    }

    /// Removes the file: the lease is not in force any more.
    pub fn remove(&self) {
        let _ = fs::remove_file(&self.0);
    }
}
