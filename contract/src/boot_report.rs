//! The timeline of a boot. All times are microseconds of the monotonic clock, which starts with the kernel.

use crate::{digest::RootHash, disk::Slot, entry::BootEntry};
use serde::{Deserialize, Serialize};

/// Prefix of each line that init writes into the kernel's log.
pub const LOG_TAG: &str = "berth: ";

/// Prefix, after [`LOG_TAG`], of the log line with the root hash of the booting version. When a kernel log is recovered from pstore after
/// a panic, this line shows which version it belongs to.
pub const ROOT_LINE: &str = "root ";

/// The part of the boot that a phase belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In the initrd.
    Initrd,
    /// After the switch to the root file system.
    Host,
    /// A service, from its start to its readiness.
    Service,
}

/// One row of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PhaseStamp {
    /// Phase or service name.
    pub name: String,
    /// The part of the boot.
    pub stage: Stage,
    /// Start, in microseconds since kernel start.
    pub start_us: u64,
    /// End, in microseconds since kernel start; `None` while the phase runs.
    pub end_us: Option<u64>,
    /// The error, if the phase failed.
    pub error: Option<String>,
}

/// The report of the initrd to the init of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitrdReport {
    /// Its phases.
    pub phases: Vec<PhaseStamp>,
    /// Root hash of the root file system.
    pub root_hash: RootHash,
    /// The slot with that root file system.
    pub slot: Slot,
    /// Device of the whole disk, e.g. `/dev/vda`.
    pub disk: String,
    /// Whether the firmware has named this disk as the one that it started. Without that, a copy of the disk may have been started.
    #[serde(default)]
    pub named_by_firmware: bool,
    /// What the boot loader takes next if this boot ends without a verdict.
    #[serde(default)]
    pub next_boot: NextBoot,
}

/// What the boot loader takes next if this boot ends without a verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NextBoot {
    /// The entry that is first in its order.
    #[default]
    Usual,
    /// This other blessed entry, once: the initrd has requested it, and the verdict takes the request back.
    Fallback(BootEntry),
    /// This entry, as usual. The boot loader did not take it for this boot, because its last boot ended without a verdict, or because it
    /// cannot be started.
    InsteadOf(BootEntry),
}
