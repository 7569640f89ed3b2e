//! The releases and targets that signed metadata name.

use berth_contract::{digest::Sha256, release::RecordCustom};

/// The signed facts about a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

/// A release as the metadata name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Name of the target that is its record.
    pub target: String,
    /// Id, version, architecture and channel.
    pub custom: RecordCustom,
}

/// The releases of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releases {
    /// The releases that this hostctl understands, sorted by target name.
    pub known: Vec<Release>,
    /// Targets of records that this hostctl does not understand: they are for newer hosts.
    pub unknown: Vec<String>,
}
