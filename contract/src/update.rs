//! Updates: their configuration, the state of both slots, the records of boots and verdicts, and the events of `hostctl upgrade`.

use crate::{
    digest::RootHash,
    disk::Slot,
    entry::{BootCounter, BootEntry},
    release::PathChanges,
    subject::Subject,
    version::{ImageId, OsVersion},
    word::open_words,
};
use serde::{Deserialize, Serialize};

/// `[update]` of recipe and host.toml: where new versions come from.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateSpec {
    /// URL (https or http), a folder or bundle on the host, or `disk:LABEL[/PATH]`: a folder or bundle on the disk whose file
    /// system has that label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Channel; [`crate::release::STABLE`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// PEM: a certificate authority that is trusted for the source, in addition to the image's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// `[health]` of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// Time limit for the verdict on a version that is on trial, in seconds since the kernel's start.
    pub limit: u32,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self { limit: 300 }
    }
}

/// `[[health]]` of host.toml: a health check of this machine. The image's checks are the programs in [`crate::paths::HEALTH_CHECKS`].
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// Its name in messages.
    pub name: String,
    /// Program (absolute path) and arguments. Status 0 means healthy.
    pub exec: Vec<String>,
    /// Time limit in seconds. After this time the check is killed and counts as failed.
    #[serde(default = "check_timeout")]
    pub timeout: u32,
}

/// Default time limit of a check, in seconds.
#[must_use]
pub fn check_timeout() -> u32 {
    30
}

/// What worked before an update. hostctl records it when it adds the boot entry. The same must work after the update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version before the update.
    pub from: Option<OsVersion>,
    /// The version after the update.
    pub to: Option<OsVersion>,
    /// Whether there was a default route.
    pub default_route: bool,
    /// A host name that could be resolved.
    pub resolved: Option<String>,
    /// Names of the containers that ran, are started by the engine at each boot, and are not declared.
    pub containers: Vec<String>,
}

/// The record of one boot in `/var/lib/berth/boots`. init writes it when /var is mounted, and again when the verdict changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootRecord {
    /// The kernel's boot id, `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The image's id.
    pub id: ImageId,
    /// The image's version.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Its slot.
    pub slot: Slot,
    /// The boot entry's counter after systemd-boot counted this boot; `None` if the entry was already blessed.
    pub counter: Option<BootCounter>,
    /// When the record was first written, in seconds since 1970 by the host's clock.
    pub started: u64,
    /// The verdict on the version in this boot.
    pub verdict: Verdict,
    /// How the boot ended; `None` if there was no ordered shutdown.
    pub end: Option<BootEnd>,
    /// The last log lines of init and kernel, if the verdict is bad.
    pub tail: Vec<String>,
}

open_words! {
    /// The reason of an ordered shutdown.
    pub enum BootEnd {
        /// A user requested a restart.
        Reboot = "reboot",
        /// A user requested a power-off.
        Poweroff = "poweroff",
        /// init restarted the host because of a bad verdict.
        Verdict = "verdict",
    }
}

/// The verdict on a version in one boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is no verdict yet. In the record of an earlier boot: the boot ended without a verdict.
    Pending,
    /// Healthy.
    Good,
    /// Not healthy.
    Bad {
        /// The part of the host that failed.
        what: Subject,
        /// The reason, in one sentence.
        why: String,
    },
}

/// A version that failed. It is not installed again unless the user names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Quarantined {
    /// The image's id.
    pub id: ImageId,
    /// The image's version.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Why it failed, in one sentence.
    pub cause: String,
    /// Number of boots that were tried.
    pub tries: u32,
    /// When the failure was noticed, in seconds since 1970 by the host's clock.
    pub at: u64,
}

/// The last check of a slot's content: every block was compared with the root hash, and the version's kernel image on the ESP with the
/// digest of the installed one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlotCheck {
    /// The slot.
    pub slot: Slot,
    /// The version that should be in it.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
    /// When it was checked, in seconds since 1970 by the host's clock.
    pub at: u64,
    /// Number of damaged blocks that were found when damage was last found. 0: never.
    pub damaged: u64,
    /// Number of them that could not be repaired.
    pub left: u64,
    /// Whether the version's boot entry was set aside because of the damage. The repair takes this back.
    pub set_aside: bool,
    /// The version's kernel image on the ESP.
    #[serde(default)]
    pub kernel: KernelCheck,
}

impl SlotCheck {
    /// Whether damage is left.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.left > 0 || self.kernel == KernelCheck::Damaged
    }

    /// Whether damage was ever found.
    #[must_use]
    pub fn has_found(&self) -> bool {
        self.damaged > 0 || self.kernel != KernelCheck::Whole
    }
}

/// What a check has found in a kernel image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KernelCheck {
    /// No damage.
    #[default]
    Whole,
    /// Damage, which was repaired.
    Repaired,
    /// Damage.
    Damaged,
}

/// The state of both slots and their boot entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlotsReport {
    /// Slot A, then slot B.
    pub slots: Vec<SlotReport>,
    /// File name of the boot entry that boots next; `None` if there is no boot entry.
    pub next: Option<String>,
    /// Versions that have failed on this host.
    pub quarantine: Vec<Quarantined>,
    /// The entry that the boot loader did not take for this boot, although it is first in its order: its last boot ended without a verdict,
    /// or it cannot be started.
    #[serde(default)]
    pub instead_of: Option<BootEntry>,
    /// Other disks with the running version, if the firmware has not named the disk that it has started.
    #[serde(default)]
    pub copies: Vec<String>,
    /// Files of the update state that cannot be read and count as empty: one sentence each.
    #[serde(default)]
    pub damaged: Vec<String>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SlotReport {
    /// The slot.
    pub slot: Slot,
    /// Whether the running system was booted from it.
    pub running: bool,
    /// Root hash of the hash tree in it; `None` if it has no hash tree.
    pub root_hash: Option<RootHash>,
    /// The version whose boot entry has that root hash.
    pub version: Option<OsVersion>,
    /// File name of that entry in `/EFI/Linux`.
    pub entry: Option<String>,
    /// The state of that entry.
    pub state: EntryState,
    /// The last check of its content.
    #[serde(default)]
    pub check: Option<SlotCheck>,
}

/// The state of a slot's boot entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// The slot has no boot entry, so its content cannot be booted.
    None,
    /// The slot is written and verified. The next `hostctl upgrade` adds its boot entry.
    Staged,
    /// The version was found healthy.
    Blessed,
    /// The version is on trial.
    Trial(BootCounter),
    /// The version failed: all tries are used.
    Failed,
    /// The other entry is preferred ([`crate::entry::SET_ASIDE`]).
    SetAside,
}

/// How a host gets a new version's root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It is already in the slot.
    Present,
    /// With a static delta from the running version.
    Static,
    /// Fetch only the pieces whose blocks are in neither slot.
    Blocks,
    /// Fetch all of it, as one stream.
    Full,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Present => "present",
            Self::Static => "static delta",
            Self::Blocks => "block delta",
            Self::Full => "full download",
        })
    }
}

/// A step of an upgrade that takes long enough to report its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeStep {
    /// Fetch and write the root file system.
    Fetch,
    /// Read the slot back and verify it.
    Verify,
    /// Fetch the unified kernel image.
    KernelImage,
}

impl std::fmt::Display for UpgradeStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::KernelImage => "kernel-image",
        })
    }
}

/// A line of `hostctl upgrade --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum UpgradeEvent {
    /// There is no newer version.
    Current {
        /// The running version.
        version: OsVersion,
    },
    /// There is a newer version. `--check` ends here.
    Available {
        /// The running version.
        from: OsVersion,
        /// The newer version.
        to: OsVersion,
    },
    /// The plan of the upgrade. `--dry-run` ends here.
    Plan(Box<UpgradePlan>),
    /// What the host remembers of failed versions, or of the repositories that it has trusted, is damaged. The damaged part counts as
    /// empty.
    MemoryDamaged {
        /// The file.
        path: String,
        /// What is wrong.
        fault: String,
    },
    /// A way failed. The next one is tried.
    FellBack {
        /// The way that failed.
        way: Way,
        /// Why.
        why: String,
    },
    /// The progress of a step.
    Progress {
        /// The step.
        step: UpgradeStep,
        /// Number of bytes done.
        done: u64,
        /// Number of bytes of the whole step.
        total: u64,
    },
    /// The upgrade is complete.
    Done {
        /// The new version.
        version: OsVersion,
        /// Its slot.
        slot: Slot,
        /// The way that succeeded.
        way: Way,
        /// Number of bytes received from the source, including metadata.
        fetched: u64,
        /// Number of bytes written to the slot's data partition.
        written: u64,
        /// Peak memory of hostctl, in bytes.
        peak_memory: u64,
        /// Whether the boot entry was added (not with `--stage`).
        entry: bool,
    },
}

/// The plan of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradePlan {
    /// The running version.
    pub from: OsVersion,
    /// The new version.
    pub to: OsVersion,
    /// The slot that it is written to.
    pub slot: Slot,
    /// Added packages: name, version.
    pub added: Vec<(String, String)>,
    /// Removed packages: name, version.
    pub removed: Vec<(String, String)>,
    /// Changed packages: name, old version, new version.
    pub changed: Vec<(String, String, String)>,
    /// The paths that differ, if no package does and the release has a static delta from the running version.
    #[serde(default)]
    pub paths: Option<PathChanges>,
    /// Kernel release, old and new.
    pub kernel: (String, String),
    /// Engine and its version, old and new. Empty if there is no engine.
    pub engine: (String, String),
    /// The ways that are possible, each with the number of bytes to fetch for the root file system. The cheapest is first, and is tried
    /// first.
    pub ways: Vec<(Way, u64)>,
    /// Number of bytes to fetch for the unified kernel image, unless the static delta contains the image.
    pub uki: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_verdicts_have_their_json_form() {
        let event = UpgradeEvent::Progress { step: UpgradeStep::Fetch, done: 1, total: 2 };
        assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"event":"progress","step":"fetch","done":1,"total":2}"#);
        let bad = Verdict::Bad { what: Subject::Service("netd".into()), why: "status 1".into() };
        let text = serde_json::to_string(&bad).unwrap();
        assert_eq!(text, r#"{"bad":{"what":{"kind":"service","name":"netd"},"why":"status 1"}}"#);
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), bad);
        for step in [UpgradeStep::Fetch, UpgradeStep::Verify, UpgradeStep::KernelImage] {
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("\"{step}\""));
        }
    }
}
