//! The places of the partitions on the disk.

use berth_contract::{
    container::ByteSize,
    disk::{ALIGNMENT, BLOCK, PartitionRole},
};
use berth_formats::verity::tree_size;

/// A partition's place in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte, a multiple of [`ALIGNMENT`].
    pub start: u64,
    /// Length, a multiple of [`ALIGNMENT`].
    pub size: u64,
}

/// The disk's partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    extents: [Extent; PartitionRole::ALL.len()],
}

/// A size in `[disk]` is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("disk.{key} = {found}: expected a multiple of {}", ByteSize(ALIGNMENT))]
    Unaligned { key: &'static str, found: ByteSize },
    #[error("disk.{key} = {found}: expected at least {least}")]
    TooSmall { key: &'static str, found: ByteSize, least: ByteSize },
    #[error("disk.{key} = {found}: expected at most {most}")]
    TooLarge { key: &'static str, found: ByteSize, most: ByteSize },
}

impl LayoutError {
    /// Key of `[disk]`.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Unaligned { key, .. } | Self::TooSmall { key, .. } | Self::TooLarge { key, .. } => key,
        }
    }

    /// A valid size to suggest.
    pub(super) fn instead(&self) -> ByteSize {
        match self {
            Self::Unaligned { found, .. } => ByteSize(found.0.next_multiple_of(ALIGNMENT)),
            Self::TooSmall { least, .. } => *least,
            Self::TooLarge { most, .. } => *most,
        }
    }
}

const GIB: u64 = 1 << 30;

/// The sizes that a recipe sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// EFI system partition.
    pub esp: ByteSize,
    /// Root file system of each slot.
    pub slot: ByteSize,
    /// `/var` in the image. The host makes it larger at its first boot.
    pub var: ByteSize,
}

impl Layout {
    /// Places the partitions one after the other, in the order of the contract. Each is aligned. The first starts at
    /// [`ALIGNMENT`], after the partition table.
    ///
    /// # Errors
    /// If a size is not aligned or out of range. The error names its key.
    pub fn new(sizes: Sizes) -> Result<Self, LayoutError> {
        // FAT32 needs 65 525 clusters of 512 bytes. The journal of ext4 has at most an eighth of the file system. It has 64 MiB,
        // to suit the size that /var grows to. So /var needs 512 MiB.
        for (key, size, least, most) in [
            ("esp", sizes.esp, 64 << 20, 32 * GIB),
            ("slot", sizes.slot, 16 << 20, 64 * GIB),
            ("var", sizes.var, 512 << 20, 1024 * GIB),
        ] {
            if size.0 < least {
                return Err(LayoutError::TooSmall { key, found: size, least: ByteSize(least) });
            }
            if size.0 > most {
                return Err(LayoutError::TooLarge { key, found: size, most: ByteSize(most) });
            }
            if size.0 % ALIGNMENT != 0 {
                return Err(LayoutError::Unaligned { key, found: size });
            }
        }
        let tree = tree_size(sizes.slot.0 / BLOCK).next_multiple_of(ALIGNMENT);
        let mut next = ALIGNMENT;
        let extents = PartitionRole::ALL.map(|role| {
            let size = match role {
                PartitionRole::Esp => sizes.esp.0,
                PartitionRole::RootA | PartitionRole::RootB => sizes.slot.0,
                PartitionRole::RootAVerity | PartitionRole::RootBVerity => tree,
                PartitionRole::Var => sizes.var.0,
            };
            let start = next;
            next += size;
            Extent { start, size }
        });
        Ok(Self { extents })
    }

    /// The place of one partition.
    #[must_use]
    pub fn extent(&self, role: PartitionRole) -> Extent {
        self.extents[role as usize - 1]
    }

    /// Size of the whole disk in bytes, including the backup partition table at its end.
    #[must_use]
    pub fn disk_size(&self) -> u64 {
        let last = self.extent(PartitionRole::Var);
        last.start + last.size + ALIGNMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sizes(esp: u64, slot: u64, var: u64) -> Sizes {
        Sizes { esp: ByteSize(esp), slot: ByteSize(slot), var: ByteSize(var) }
    }

    #[test]
    fn partitions_follow_each_other_aligned_and_without_overlap() {
        let layout = Layout::new(sizes(256 * MIB, 1024 * MIB, 512 * MIB)).unwrap();
        let mut next = MIB;
        for role in PartitionRole::ALL {
            let extent = layout.extent(role);
            assert_eq!(extent.start, next, "{role:?}");
            assert!(extent.size > 0 && extent.size.is_multiple_of(MIB), "{role:?}");
            next += extent.size;
        }
        assert_eq!(layout.disk_size(), next + MIB);
        // veritysetup writes 8 458 240 bytes for 1 GiB: superblock, 2048 + 16 + 1 hash blocks.
        assert_eq!(tree_size(1024 * MIB / BLOCK), 4096 * (1 + 2048 + 16 + 1));
    }

    #[test]
    fn an_invalid_size_is_an_error_with_its_key() {
        assert!(matches!(Layout::new(sizes(MIB, 1 << 30, 1 << 30)), Err(LayoutError::TooSmall { key: "esp", .. })));
        assert!(matches!(Layout::new(sizes(1 << 28, 1 << 30, MIB)), Err(LayoutError::TooSmall { key: "var", .. })));
        assert!(matches!(
            Layout::new(sizes(1 << 28, (1 << 30) + 1, 1 << 30)),
            Err(LayoutError::Unaligned { key: "slot", .. })
        ));
        assert!(matches!(
            Layout::new(sizes(1 << 28, u64::MAX - MIB + 1, 1 << 30)),
            Err(LayoutError::TooLarge { key: "slot", .. })
        ));
    }
}
