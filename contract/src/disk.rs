//! The disk: partitions, their order, labels and types (Discoverable Partitions Specification, UAPI.2).

use crate::{arch::Arch, guid::guid};

/// Sector size of every GPT that Berth writes, in bytes.
pub const SECTOR: u64 = 512;
/// Block size of the root file system, its hash tree and the ext4 file system, in bytes.
pub const BLOCK: u64 = 4096;
/// Every partition starts at a multiple of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;

/// The first bytes of the var partition if /var is to be erased at the next boot. ext4 does not use them.
pub const VAR_ERASE_MARK: &[u8; 16] = b"berth: erase var";
/// The same, but the configuration is kept: `hostctl reset --keep-config`.
pub const VAR_EMPTY_MARK: &[u8; 16] = b"berth: empty var";

/// One of the two slots. Each holds a version of the OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// Partitions `root-a` and `root-a-verity`.
    A,
    /// Partitions `root-b` and `root-b-verity`.
    B,
}

impl Slot {
    /// The other slot.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// The purpose of a partition. The discriminant is the partition's number in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum PartitionRole {
    /// The EFI system partition: boot loader and entries.
    Esp = 1,
    /// Root file system of slot A.
    RootA = 2,
    /// Hash tree of slot A.
    RootAVerity = 3,
    /// Root file system of slot B.
    RootB = 4,
    /// Hash tree of slot B.
    RootBVerity = 5,
    /// All persistent state; last, so that it can grow.
    Var = 6,
}

/// GPT type of the EFI system partition, in the order in which it is printed.
const TYPE_ESP: [u8; 16] = guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// GPT type of the partition for `/var`.
const TYPE_VAR: [u8; 16] = guid("4d21b016-b534-45c2-a9fb-5c16e091fd2d");

/// GPT attribute bit: mount the partition read-only.
pub const ATTRIBUTE_READ_ONLY: u64 = 1 << 60;
/// GPT attribute bit: automatic discovery must not mount the partition (a slot that is empty or not verified yet).
pub const ATTRIBUTE_NO_AUTO: u64 = 1 << 63;
/// GPT attribute bit: grow the file system to the partition's size.
pub const ATTRIBUTE_GROW_FS: u64 = 1 << 59;

impl PartitionRole {
    /// All partitions, in the order of the table.
    pub const ALL: [Self; 6] = [Self::Esp, Self::RootA, Self::RootAVerity, Self::RootB, Self::RootBVerity, Self::Var];

    /// The partition's number in the table, starting at 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The GPT name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::RootA => "root-a",
            Self::RootAVerity => "root-a-verity",
            Self::RootB => "root-b",
            Self::RootBVerity => "root-b-verity",
            Self::Var => "var",
        }
    }

    /// The GPT type's 16 bytes, in the order in which they are printed.
    #[must_use]
    pub fn type_guid(self, arch: Arch) -> [u8; 16] {
        match self {
            Self::Esp => TYPE_ESP,
            Self::RootA | Self::RootB => arch.root_type,
            Self::RootAVerity | Self::RootBVerity => arch.root_verity_type,
            Self::Var => TYPE_VAR,
        }
    }

    /// The data partition and the hash tree partition of a slot.
    #[must_use]
    pub fn of_slot(slot: Slot) -> (Self, Self) {
        match slot {
            Slot::A => (Self::RootA, Self::RootAVerity),
            Slot::B => (Self::RootB, Self::RootBVerity),
        }
    }
}
