//! A release: the files of one build in an update repository, and their names.
//!
//! The repository is a repository of The Update Framework (TUF 1.0, consistent snapshots). A release is a set of targets. Its first
//! target is the record: a [`ReleaseRecord`] as JSON. The lengths and digests of all targets are in the signed targets metadata. The
//! record is a target too, so its content is signed as well.

use crate::{
    arch::ArchName,
    container::ByteSize,
    digest::{RootHash, Sha256},
    engine::{EngineName, StoreFormat},
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the record's format. It grows when a field changes its meaning or is removed.
pub const FORMAT: u32 = 1;

/// Size limit of a record, in bytes.
pub const MAX_SIZE: u64 = 1 << 20;

/// Size limit of a repository's large metadata files (targets, snapshot), in bytes. It allows about 2500 releases of ten targets, which a
/// host can verify in 46 MiB of memory. Hosts refuse larger files, so the publisher must keep the limit.
pub const MAX_METADATA: u64 = 4 << 20;

/// Size limit of `N.root.json` and `timestamp.json`, in bytes.
pub const MAX_SMALL_METADATA: u64 = 256 << 10;

/// Size limit of a unified kernel image, in bytes. A host builds it in memory, with the running version's image in memory too.
pub const MAX_UKI: u64 = 24 << 20;

/// The default channel.
pub const STABLE: &str = "stable";

/// Whether `text` is a valid channel name: `[a-z0-9][a-z0-9.-]*`, at most 48 bytes.
#[must_use]
pub fn is_channel(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 48 && text.bytes().next().is_some_and(good) && text.bytes().all(|c| good(c) || b".-".contains(&c))
}

/// The record of one release.
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
    /// The release's channel. A host installs only releases of its own channel.
    pub channel: String,
    /// The modification time of every file of the build, in seconds since 1970. A host whose clock shows an earlier time has a wrong
    /// clock.
    pub epoch: u64,
    /// Root file system and hash tree.
    pub root: RootRecord,
    /// The unified kernel image.
    pub uki: UkiRecord,
    /// Minimum sizes of a slot's partitions.
    pub min_slot: MinSlot,
    /// Kernel release.
    pub kernel: String,
    /// The bundled engine, if there is one.
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
    /// Size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
    /// Parts that cover the file without gap or overlap, in the file's order. A host does not fetch a part that it already has, such as
    /// an unchanged kernel.
    pub parts: Vec<UkiPart>,
}

/// A part of the unified kernel image: a section, or the bytes before, between or after sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UkiPart {
    /// Offset of its first byte in the file.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// Minimum sizes of a slot's partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinSlot {
    /// Minimum size of the data partition.
    pub root: ByteSize,
    /// Minimum size of the hash tree partition.
    pub verity: ByteSize,
}

/// The bundled engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineRecord {
    /// The name of the engine.
    pub kind: EngineName,
    /// Debian version of its package.
    pub version: String,
    /// The format of its data in /var.
    pub store: StoreFormat,
}

/// A static delta: a host makes this release's root file system and unified kernel image from those of an older release and the delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaRecord {
    /// The older version.
    pub from: OsVersion,
    /// Root hash of the older root file system.
    pub from_root_hash: RootHash,
    /// Digest of the older unified kernel image.
    pub from_uki: Sha256,
    /// Name of the target that contains the delta.
    pub target: String,
    /// The paths that differ from the older release. `None` if the packages of the two differ: then the packages say what changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<PathChanges>,
}

/// The paths that differ between two root file systems, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathChanges {
    /// Paths with another content, mode, owner or extended attribute.
    pub changed: Vec<String>,
    /// New paths.
    pub added: Vec<String>,
    /// Paths that are gone.
    pub removed: Vec<String>,
    /// Number of further paths, which are not in the lists.
    #[serde(default)]
    pub left_out: u64,
}

/// Extra fields (`custom` in TUF) that the targets metadata has for each record. With them a host selects a release without fetching
/// every record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCustom {
    /// See [`ReleaseRecord`].
    pub id: ImageId,
    /// See [`ReleaseRecord`].
    pub version: OsVersion,
    /// See [`ReleaseRecord`].
    pub arch: ArchName,
    /// See [`ReleaseRecord`].
    pub channel: String,
}

/// The targets of a release. A target's name is `ID_VERSION_ARCH.ENDING`, without folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The [`ReleaseRecord`].
    Record,
    /// The unified kernel image, not compressed.
    Uki,
    /// The root file system as one zstd stream with a window of at most [`MAX_WINDOW`] bytes. For use by any program.
    Root,
    /// The root file system as one xz stream with a dictionary of at most [`MAX_WINDOW`] bytes. Hosts fetch this one, because it is
    /// smaller.
    Packed,
    /// The hash tree with its superblock, as veritysetup writes it.
    Verity,
    /// The block index: the digests of the root file system's blocks, and their positions in [`Target::Chunks`].
    Index,
    /// The root file system in pieces that can be fetched separately.
    Chunks,
}

/// Limit of a compressed stream's window, in bytes. The window must fit into hostctl's memory.
pub const MAX_WINDOW: u64 = 32 << 20;

impl Target {
    /// All targets.
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
    // "_" separates the parts. A version cannot contain it.
    format!("{id}_{to}_{arch}.from_{from}.delta")
}

/// Folder of a repository for TUF's metadata.
pub const METADATA: &str = "metadata";
/// Folder of a repository for the targets. Each file name is the target's digest and name (`SHA256.NAME`).
pub const TARGETS: &str = "targets";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_unique_name() {
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
    fn channel_names_are_checked() {
        assert!(is_channel(STABLE) && is_channel("2026.11-rc"));
        for bad in ["", ".a", "-a", "A", "a b", "a/b", "\u{e4}", &"x".repeat(49)] {
            assert!(!is_channel(bad), "{bad}");
        }
    }
}
