//! The disk: partitions, their order, labels and types (Discoverable Partitions Specification, UAPI.2).

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

/// A GPT type as printed.
pub const TYPE_ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// `root-x86-64`.
pub const TYPE_ROOT_X86_64: &str = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
/// `root-x86-64-verity`.
pub const TYPE_ROOT_X86_64_VERITY: &str = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5";
/// `var`.
pub const TYPE_VAR: &str = "4d21b016-b534-45c2-a9fb-5c16e091fd2d";

const ESP_BYTES: [u8; 16] = guid(TYPE_ESP);
const ROOT_X86_64_BYTES: [u8; 16] = guid(TYPE_ROOT_X86_64);
const ROOT_X86_64_VERITY_BYTES: [u8; 16] = guid(TYPE_ROOT_X86_64_VERITY);
const VAR_BYTES: [u8; 16] = guid(TYPE_VAR);

/// A GUID's bytes in the order in which they are printed. A text that is no GUID does not compile.
const fn guid(text: &str) -> [u8; 16] {
    let text = text.as_bytes();
    assert!(text.len() == 36, "a GUID has 36 characters");
    let (mut out, mut at, mut byte) = ([0; 16], 0, 0);
    while byte < 16 {
        if matches!(at, 8 | 13 | 18 | 23) {
            assert!(text[at] == b'-', "a GUID has a dash here");
            at += 1;
        }
        out[byte] = digit(text[at]) << 4 | digit(text[at + 1]);
        at += 2;
        byte += 1;
    }
    out
}

const fn digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        b'a'..=b'f' => c - b'a' + 10,
        _ => panic!("a GUID is written in lower-case hex digits"),
    }
}

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

    /// The GPT type, as printed.
    #[must_use]
    pub fn type_guid(self) -> &'static str {
        match self {
            Self::Esp => TYPE_ESP,
            Self::RootA | Self::RootB => TYPE_ROOT_X86_64,
            Self::RootAVerity | Self::RootBVerity => TYPE_ROOT_X86_64_VERITY,
            Self::Var => TYPE_VAR,
        }
    }

    /// The GPT type's 16 bytes, in the order in which they are printed.
    #[must_use]
    pub fn type_guid_bytes(self) -> [u8; 16] {
        match self {
            Self::Esp => ESP_BYTES,
            Self::RootA | Self::RootB => ROOT_X86_64_BYTES,
            Self::RootAVerity | Self::RootBVerity => ROOT_X86_64_VERITY_BYTES,
            Self::Var => VAR_BYTES,
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
