//! Where the partitions lie on the disk.

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

/// Sizes that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not a multiple of the alignment.
    #[error("disk.{key} = {found}: expected a multiple of {}", ByteSize(ALIGNMENT))]
    Unaligned {
        /// Key of `[disk]`.
        key: &'static str,
        /// The size as given.
        found: ByteSize,
    },
    /// Too small to hold what it must.
    #[error("disk.{key} = {found}: expected at least {least}")]
    TooSmall {
        /// Key of `[disk]`.
        key: &'static str,
        /// The size as given.
        found: ByteSize,
        /// The smallest that works.
        least: ByteSize,
    },
    /// Beyond what can be addressed.
    #[error("disk.{key} = {found}: expected at most {most}")]
    TooLarge {
        /// Key of `[disk]`.
        key: &'static str,
        /// The size as given.
        found: ByteSize,
        /// The largest that works.
        most: ByteSize,
    },
}

impl LayoutError {
    /// Key of `[disk]`.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Unaligned { key, .. } | Self::TooSmall { key, .. } | Self::TooLarge { key, .. } => key,
        }
    }

    /// A size that works.
    pub(super) fn instead(&self) -> ByteSize {
        match self {
            Self::Unaligned { found, .. } => ByteSize(found.0.next_multiple_of(ALIGNMENT)),
            Self::TooSmall { least, .. } => *least,
            Self::TooLarge { most, .. } => *most,
        }
    }
}

const GIB: u64 = 1 << 30;

/// Sizes of the parts that a recipe chooses, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// EFI system partition.
    pub esp: ByteSize,
    /// Root file system of each slot.
    pub slot: ByteSize,
    /// `/var` before it grows.
    pub var: ByteSize,
}

impl Layout {
    /// Lays the partitions out in the contract's order, each aligned, the first after the first alignment unit.
    ///
    /// # Errors
    /// A size that is not aligned or out of range, naming its key.
    pub fn new(sizes: Sizes) -> Result<Self, LayoutError> {
        // FAT32 needs 65 525 clusters of 512 bytes. ext4 gives its journal an eighth of the file system at most, and a
        // journal of 64 MiB is chosen for what /var grows to: so it needs 512 MiB.
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

    /// Size of the whole disk in bytes, with room for the backup table at its end.
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
    fn sizes_that_cannot_be_are_named() {
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
