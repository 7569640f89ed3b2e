//! A release: what a build becomes in an update repository, and how its files are named there.
//!
//! The repository is one of The Update Framework (TUF 1.0, consistent snapshots). A release is a set of targets; the first is
//! its record, this module's [`ReleaseRecord`] as JSON. Lengths and digests of the others are those of the signed targets
//! metadata; what the record says beyond that is signed by being a target itself.

use crate::{
    arch::ArchName,
    container::ByteSize,
    digest::{RootHash, Sha256},
    engine::{EngineName, StoreFormat},
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Number of the record's format; grows when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// Largest record that is read, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// Largest metadata file of a repository (targets, snapshot) that a host reads, in bytes: some 2500 releases of ten targets,
/// which a host can verify in 46 MiB of memory. Who publishes must not go beyond it.
pub const MAX_METADATA: u64 = 4 << 20;

/// Largest `N.root.json` and `timestamp.json` that a host reads, in bytes.
pub const MAX_SMALL_METADATA: u64 = 256 << 10;

/// Largest unified kernel image, in bytes: a host makes it in memory, beside the running one.
pub const MAX_UKI: u64 = 24 << 20;

/// Channel of a release that names none.
pub const STABLE: &str = "stable";

/// Whether `text` can name a channel: `[a-z0-9][a-z0-9.-]*`, at most 48 bytes.
#[must_use]
pub fn is_channel(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 48 && text.bytes().next().is_some_and(good) && text.bytes().all(|c| good(c) || b".-".contains(&c))
}

/// What one release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture of its programs.
    pub arch: ArchName,
    /// Who it is for: a host takes releases of its own channel only.
    pub channel: String,
    /// Seconds since 1970 that every file of the build bears. A host's clock cannot be right before it.
    pub epoch: u64,
    /// Root file system and hash tree.
    pub root: RootRecord,
    /// The unified kernel image.
    pub uki: UkiRecord,
    /// The least that the partitions of a slot must hold.
    pub min_slot: MinSlot,
    /// Kernel release.
    pub kernel: String,
    /// The bundled engine.
    pub engine: Option<EngineRecord>,
    /// Debian packages in the image: name to version.
    pub packages: BTreeMap<String, String>,
    /// Static deltas to this release.
    pub deltas: Vec<DeltaRecord>,
}

/// The root file system and its hash tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// dm-verity root hash.
    pub root_hash: RootHash,
    /// Bytes of the root file system, a multiple of 4096.
    pub size: u64,
    /// Bytes of the hash tree with its superblock.
    pub verity_size: u64,
    /// UUID of the hash tree's superblock.
    pub verity_uuid: uuid::Uuid,
}

/// The unified kernel image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UkiRecord {
    /// Bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Sha256,
    /// Parts that cover the file without gap or overlap, in the file's order: what a host has of them already (the kernel of
    /// the version that runs) it need not fetch.
    pub parts: Vec<UkiPart>,
}

/// A part of the unified kernel image: a section, or what lies before, between or behind sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UkiPart {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Digest.
    pub sha256: Sha256,
}

/// The least that partitions must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinSlot {
    /// Bytes of the data partition.
    pub root: ByteSize,
    /// Bytes of the hash tree's partition.
    pub verity: ByteSize,
}

/// The bundled engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineRecord {
    /// Which.
    pub kind: EngineName,
    /// Debian version of its package.
    pub version: String,
    /// How it keeps its data in /var.
    pub store: StoreFormat,
}

/// A static delta: makes this release's root file system and unified kernel image out of an older release's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaRecord {
    /// The older version.
    pub from: OsVersion,
    /// Root hash of the older root file system.
    pub from_root_hash: RootHash,
    /// Digest of the older unified kernel image.
    pub from_uki: Sha256,
    /// Target with the delta.
    pub target: String,
}

/// What the targets metadata says beside length and digest of a record's target (`custom` in TUF), so that a host need not
/// fetch every record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCustom {
    /// As in the record.
    pub id: ImageId,
    /// As in the record.
    pub version: OsVersion,
    /// As in the record.
    pub arch: ArchName,
    /// As in the record.
    pub channel: String,
}

/// The targets of a release. Names are `ID_VERSION_ARCH` and an ending, without folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The [`ReleaseRecord`].
    Record,
    /// The unified kernel image as it is.
    Uki,
    /// The root file system as one zstd stream, its window at most [`MAX_WINDOW`] bytes: for any program.
    Root,
    /// The same as one xz stream, its dictionary at most [`MAX_WINDOW`] bytes: smaller, and so what a host fetches.
    Packed,
    /// The hash tree with its superblock, as veritysetup writes it.
    Verity,
    /// The block index: what the blocks are, and where in [`Target::Chunks`] they can be had.
    Index,
    /// The root file system in pieces that can be fetched one by one.
    Chunks,
}

/// Largest window of a stream that a host will decode, in bytes: it must fit hostctl's memory.
pub const MAX_WINDOW: u64 = 32 << 20;

impl Target {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Record, Self::Uki, Self::Root, Self::Packed, Self::Verity, Self::Index, Self::Chunks];

    /// The name of a release's target.
    #[must_use]
    pub fn name(self, id: &ImageId, version: &OsVersion, arch: &ArchName) -> String {
        let ending = match self {
            Self::Record => "release.json",
            Self::Uki => "efi",
            Self::Root => "root.zst",
            Self::Packed => "root.xz",
            Self::Verity => "root.verity",
            Self::Index => "root.index",
            Self::Chunks => "root.chunks",
        };
        format!("{id}_{version}_{arch}.{ending}")
    }
}

/// The name of a static delta's target.
#[must_use]
pub fn delta_name(id: &ImageId, from: &OsVersion, to: &OsVersion, arch: &ArchName) -> String {
    // "_" separates, and versions have none.
    format!("{id}_{to}_{arch}.from_{from}.delta")
}

/// In a repository: metadata of TUF.
pub const METADATA: &str = "metadata";
/// In a repository: targets, each with its digest in front of its name (`SHA256.NAME`).
pub const TARGETS: &str = "targets";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_names_of_their_own() {
        let arch = "x86_64".parse().unwrap();
        let (id, version): (ImageId, OsVersion) = ("berth-docker".parse().unwrap(), "2026.11.0".parse().unwrap());
        let mut names: Vec<_> = Target::ALL.iter().map(|target| target.name(&id, &version, &arch)).collect();
        names.push(delta_name(&id, &"2026.10.0".parse().unwrap(), &version, &arch));
        assert_eq!(names[0], "berth-docker_2026.11.0_x86_64.release.json");
        assert_eq!(names[7], "berth-docker_2026.11.0_x86_64.from_2026.10.0.delta");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn channels_are_plain_words() {
        assert!(is_channel(STABLE) && is_channel("2026.11-rc"));
        for bad in ["", ".a", "-a", "A", "a b", "a/b", "\u{e4}", &"x".repeat(49)] {
            assert!(!is_channel(bad), "{bad}");
        }
    }
}
