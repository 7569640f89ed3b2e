//! The boot sector of a FAT volume: the one reader of its fields.

use crate::place::Fields;

/// Bytes of a boot sector, as far as it is read.
pub(crate) const BOOT: usize = 512;
/// `Signature_word`.
pub(super) const SIGNATURE: u64 = 0xaa55;

/// The fields of a FAT32 boot sector, with the specification's names.
pub(super) const FIELDS: Fields = &[
    (0, "BS_jmpBoot"),
    (3, "BS_OEMName"),
    (11, "BPB_BytsPerSec"),
    (13, "BPB_SecPerClus"),
    (14, "BPB_RsvdSecCnt"),
    (16, "BPB_NumFATs"),
    (17, "BPB_RootEntCnt"),
    (19, "BPB_TotSec16"),
    (21, "BPB_Media"),
    (22, "BPB_FATSz16"),
    (24, "BPB_SecPerTrk"),
    (26, "BPB_NumHeads"),
    (28, "BPB_HiddSec"),
    (32, "BPB_TotSec32"),
    (36, "BPB_FATSz32"),
    (40, "BPB_ExtFlags"),
    (42, "BPB_FSVer"),
    (44, "BPB_RootClus"),
    (48, "BPB_FSInfo"),
    (50, "BPB_BkBootSec"),
    (52, "BPB_Reserved"),
    (64, "BS_DrvNum"),
    (65, "BS_Reserved1"),
    (66, "BS_BootSig"),
    (67, "BS_VolID"),
    (71, "BS_VolLab"),
    (82, "BS_FilSysType"),
    (90, "boot code"),
    (510, "Signature_word"),
    (BOOT as u64, ""),
];

/// A boot sector. Nothing about it is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootSector<'a>(pub(crate) &'a [u8; BOOT]);

/// Where a volume's label is.
#[derive(Debug)]
pub(crate) struct LabelPlace<'a> {
    /// The label in the boot sector.
    pub(crate) label: &'a [u8],
    /// Where the root directory begins, in bytes.
    pub(crate) root_at: u64,
    /// Bytes of the root directory, or of its first cluster.
    pub(crate) root_len: u64,
}

impl<'a> BootSector<'a> {
    /// The number in the field of this name, which has at most eight bytes.
    pub(super) fn get(&self, name: &str) -> u64 {
        let at = FIELDS.iter().position(|(_, field)| *field == name);
        let range = at.and_then(|at| Some((FIELDS.get(at)?.0, FIELDS.get(at + 1)?.0))).unwrap_or_default();
        let range = usize::try_from(range.0).unwrap_or(BOOT)..usize::try_from(range.1).unwrap_or(BOOT);
        self.0.get(range).unwrap_or_default().iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Where FAT12, FAT16 and FAT32 keep their label. `None` for any other boot sector.
    pub(crate) fn label_place(&self) -> Option<LabelPlace<'a>> {
        let is = |at: usize, name: &[u8]| self.0[at..at + name.len()] == *name;
        let (sector, per_cluster) = (self.get("BPB_BytsPerSec"), self.get("BPB_SecPerClus"));
        if self.get("Signature_word") != SIGNATURE || !sector.is_power_of_two() || per_cluster == 0 {
            return None;
        }
        let (reserved, fats) = (self.get("BPB_RsvdSecCnt"), self.get("BPB_NumFATs"));
        // FAT12 and FAT16 have the fields from byte 36 on 28 bytes earlier.
        let (label, root_sector, root_len) = if is(82, b"FAT32   ") {
            let data = reserved + fats * self.get("BPB_FATSz32");
            let cluster = self.get("BPB_RootClus").checked_sub(2)?;
            (&self.0[71..82], data + cluster * per_cluster, per_cluster * sector)
        } else if is(54, b"FAT12   ") || is(54, b"FAT16   ") {
            (&self.0[43..54], reserved + fats * self.get("BPB_FATSz16"), self.get("BPB_RootEntCnt") * 32)
        } else {
            return None;
        };
        Some(LabelPlace { label, root_at: root_sector.checked_mul(sector)?, root_len })
    }
}
