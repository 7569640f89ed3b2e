//! The disk: partitions, their order, labels and types (Discoverable Partitions Specification, UAPI.2).

use crate::{arch::Arch, guid::guid};

/// Disk sector that all our GPTs use, in bytes.
pub const SECTOR: u64 = 512;
/// Block of the root file system, its hash tree and the ext4 file system, in bytes.
pub const BLOCK: u64 = 4096;
/// Every partition starts at a multiple of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;

/// One of the two places where a version of the OS lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// `root-a` and `root-a-verity`.
    A,
    /// `root-b` and `root-b-verity`.
    B,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// What a partition is for; the discriminant is its number in the table.
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

/// GPT attribute bit: the partition is to be mounted read-only.
pub const ATTRIBUTE_READ_ONLY: u64 = 1 << 60;
/// GPT attribute bit: not to be mounted by automatic discovery (an empty or not yet verified slot).
pub const ATTRIBUTE_NO_AUTO: u64 = 1 << 63;
/// GPT attribute bit: the file system is to be grown to the partition's size.
pub const ATTRIBUTE_GROW_FS: u64 = 1 << 59;

impl PartitionRole {
    /// All of them in the table's order.
    pub const ALL: [Self; 6] = [Self::Esp, Self::RootA, Self::RootAVerity, Self::RootB, Self::RootBVerity, Self::Var];

    /// The number in the partition table, from 1.
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

    /// Data and hash tree partition of a slot.
    #[must_use]
    pub fn of_slot(slot: Slot) -> (Self, Self) {
        match slot {
            Slot::A => (Self::RootA, Self::RootAVerity),
            Slot::B => (Self::RootB, Self::RootBVerity),
        }
    }
}
