//! Time stamps of a boot. All times are microseconds of the monotonic clock, which starts with the kernel.

use crate::{digest::RootHash, disk::Slot};
use serde::{Deserialize, Serialize};

/// Start of each line that init writes into the kernel's log.
pub const LOG_TAG: &str = "berth: ";

/// Start, after [`LOG_TAG`], of the line that names the root hash of the version that boots. A kernel's last words are assigned to a
/// version by that line.
pub const ROOT_LINE: &str = "root ";

/// Where a stamp was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In the initrd.
    Initrd,
    /// After the switch to the root file system.
    Host,
    /// A service, from its start to its readiness.
    Service,
}

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseStamp {
    /// Phase or service name.
    pub name: String,
    /// Where.
    pub stage: Stage,
    /// Begin, in microseconds since kernel start.
    pub start_us: u64,
    /// End; absent while it runs.
    pub end_us: Option<u64>,
    /// What went wrong, if it did.
    pub error: Option<String>,
}

/// What the initrd stage hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitrdReport {
    /// Its phases.
    pub phases: Vec<PhaseStamp>,
    /// Root hash of the root file system.
    pub root_hash: RootHash,
    /// The slot that it was found in.
    pub slot: Slot,
    /// Device of the whole disk, e.g. `/dev/vda`.
    pub disk: String,
}
