//! Versions in slots, verdicts about them, and what hostctl says while it brings a new one.

use crate::{
    digest::RootHash,
    disk::Slot,
    entry::BootCounter,
    subject::Subject,
    version::{ImageId, OsVersion},
    word::open_words,
};
use serde::{Deserialize, Serialize};

/// `[update]` of recipe and host.toml: where new versions come from.
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
    /// PEM: a certificate authority that is trusted for the source beside the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// `[health]` of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSpec {
    /// Seconds from the kernel's start in which a version that is on trial must be found healthy.
    pub limit: u32,
}

impl Default for HealthSpec {
    fn default() -> Self {
        Self { limit: 300 }
    }
}

/// `[[health]]` of host.toml: a check of this machine's own. The programs in [`crate::paths::HEALTH_CHECKS`] are the image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// What it is called in messages.
    pub name: String,
    /// Program (absolute path) and arguments; status 0 is healthy.
    pub exec: Vec<String>,
    /// Seconds after which it counts as failed and is killed.
    #[serde(default = "check_timeout")]
    pub timeout: u32,
}

/// Seconds that a check may take, where it does not say.
#[must_use]
pub fn check_timeout() -> u32 {
    30
}

/// What worked before an update, noted by hostctl when it adds the boot entry: it must work again afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The version that was left, and the one that was brought.
    pub from: Option<OsVersion>,
    /// See `from`.
    pub to: Option<OsVersion>,
    /// Whether there was a default route.
    pub default_route: bool,
    /// A name that could be resolved, and is to be resolved again.
    pub resolved: Option<String>,
    /// Names of containers that ran, that the engine starts at each boot, and that are not declared.
    pub containers: Vec<String>,
}

/// One boot as `/var/lib/berth/boots` keeps it: written when /var is there, and again with each change of its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootRecord {
    /// The kernel's boot id, `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Which image.
    pub id: ImageId,
    /// Which version.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Its slot.
    pub slot: Slot,
    /// The boot entry's counter after this boot was counted; nothing when the version was blessed before.
    pub counter: Option<BootCounter>,
    /// Seconds since 1970 by the host's clock when the record was first written.
    pub started: u64,
    /// How it came out.
    pub verdict: Verdict,
    /// How the boot ended, where it ended in order.
    pub end: Option<BootEnd>,
    /// The last lines of init and kernel, of a boot with a bad verdict.
    pub tail: Vec<String>,
}

open_words! {
    /// How a boot ended, where it ended in order.
    pub enum BootEnd {
        /// Somebody asked for a restart.
        Reboot = "reboot",
        /// Somebody asked for a power-off.
        Poweroff = "poweroff",
        /// init restarted the host because of a bad verdict.
        Verdict = "verdict",
    }
}

/// How a boot came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// None yet; of a boot that is over: it ended without one.
    Pending,
    /// Healthy.
    Good,
    /// Not healthy.
    Bad {
        /// What failed.
        what: Subject,
        /// One sentence.
        why: String,
    },
}

/// A version that was tried and is not tried again unless asked for by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Which image.
    pub id: ImageId,
    /// Which version.
    pub version: OsVersion,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Why, in one sentence.
    pub cause: String,
    /// Boots that were tried.
    pub tries: u32,
    /// Seconds since 1970 by the host's clock when it was found out.
    pub at: u64,
}

/// What is on the disk: both slots and their entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotsReport {
    /// Slot A, slot B.
    pub slots: Vec<SlotReport>,
    /// File name of the entry that the boot loader takes next.
    pub next: Option<String>,
    /// Versions that have failed on this host.
    pub quarantine: Vec<Quarantined>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotReport {
    /// Which.
    pub slot: Slot,
    /// Whether it runs.
    pub running: bool,
    /// Root hash of the hash tree in it, where there is one.
    pub root_hash: Option<RootHash>,
    /// The version whose entry names that root hash.
    pub version: Option<OsVersion>,
    /// File name of that entry in `/EFI/Linux`.
    pub entry: Option<String>,
    /// What that entry is.
    pub state: EntryState,
}

/// What a slot's boot entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryState {
    /// There is none: the slot's content, if any, cannot be booted.
    None,
    /// Written and verified, to become an entry with the next `hostctl upgrade`.
    Staged,
    /// Found healthy.
    Blessed,
    /// On trial.
    Trial(BootCounter),
    /// All tries are used up.
    Failed,
    /// Put behind the other: no tries left, none used.
    SetAside,
}

/// How a new version's root file system is got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It is in the slot already.
    Present,
    /// A static delta from the version that runs.
    Static,
    /// The pieces whose blocks neither slot has.
    Blocks,
    /// All of it, as one stream.
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

/// A step of an upgrade that takes long enough to say how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeStep {
    /// The root file system is fetched and written.
    Fetch,
    /// What was written is read back.
    Verify,
    /// The unified kernel image is fetched.
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
    /// Nothing newer is there.
    Current {
        /// The version that runs.
        version: OsVersion,
    },
    /// A release is there; `--check` ends here.
    Available {
        /// The version that runs.
        from: OsVersion,
        /// The one that is there.
        to: OsVersion,
    },
    /// What is going to be done; `--dry-run` ends here.
    Plan(Box<UpgradePlan>),
    /// A way failed, and another is taken.
    FellBack {
        /// The way that failed.
        way: Way,
        /// Why.
        why: String,
    },
    /// How far it is.
    Progress {
        /// What is going on.
        step: UpgradeStep,
        /// Bytes done of this step.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Done.
    Done {
        /// The version that was brought.
        version: OsVersion,
        /// Its slot.
        slot: Slot,
        /// The way that was taken.
        way: Way,
        /// Bytes that came over the wire, metadata included.
        fetched: u64,
        /// Bytes written to the slot's data partition.
        written: u64,
        /// Most memory that hostctl has held, in bytes.
        peak_memory: u64,
        /// Whether the boot entry is there (not after `--stage`).
        entry: bool,
    },
}

/// What an upgrade will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradePlan {
    /// The version that runs.
    pub from: OsVersion,
    /// The one to come.
    pub to: OsVersion,
    /// Where it is written.
    pub slot: Slot,
    /// Packages that come: name, version.
    pub added: Vec<(String, String)>,
    /// Packages that go: name, version.
    pub removed: Vec<(String, String)>,
    /// Packages that change: name, old and new version.
    pub changed: Vec<(String, String, String)>,
    /// Kernel release, old and new.
    pub kernel: (String, String),
    /// Engine and its version, old and new; empty where there is none.
    pub engine: (String, String),
    /// Bytes to fetch for the root file system by each way that can be gone, cheapest first: the first is taken.
    pub ways: Vec<(Way, u64)>,
    /// Bytes to fetch of the unified kernel image where the way does not bring it.
    pub uki: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_that_name_themselves() {
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
