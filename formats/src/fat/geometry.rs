//! The boot sector (BPB) of a FAT32 volume, and what follows from it.

use super::error::VolumeError;

/// Boot sector, as far as it is read.
pub(super) const BOOT: usize = 512;
/// Largest table that is taken into memory, in bytes: 16 GiB of 4 KiB clusters.
const MAX_TABLE: u64 = 16 << 20;

/// Where things are, in bytes from the volume's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of a sector: what is written at once.
    pub sector: usize,
    /// Bytes of a cluster.
    pub cluster: usize,
    /// First table.
    pub tables_at: u64,
    /// Bytes of a table.
    pub table: u64,
    /// Copies of the table, 1 or 2.
    pub copies: u64,
    /// Cluster 2.
    pub data_at: u64,
    /// Number behind the last cluster's.
    pub end: u32,
    /// First cluster of the root directory.
    pub root: u32,
    /// The FSInfo sector.
    pub info_at: u64,
}

impl Geometry {
    pub(super) fn parse(boot: &[u8; BOOT]) -> Result<Self, VolumeError> {
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        let check = |field, found: u64, good: bool, wanted| match good {
            true => Ok(()),
            false => Err(VolumeError::Field { field, wanted, found }),
        };
        check("Signature_word", u16_at(510), u16_at(510) == 0xaa55, "0xaa55")?;
        let (sector, per_cluster) = (u16_at(11), u64::from(boot[13]));
        check("BPB_BytsPerSec", sector, matches!(sector, 512 | 1024 | 2048 | 4096), "512, 1024, 2048 or 4096")?;
        let size = sector * per_cluster;
        check("BPB_SecPerClus", per_cluster, per_cluster.is_power_of_two() && size <= 1 << 16, "a power of 2")?;
        let (reserved, copies) = (u16_at(14), u64::from(boot[16]));
        check("BPB_RsvdSecCnt", reserved, reserved > 1, "2 or more")?;
        check("BPB_NumFATs", copies, matches!(copies, 1 | 2), "1 or 2")?;
        check("BPB_RootEntCnt", u16_at(17), u16_at(17) == 0, "0 (FAT32)")?;
        check("BPB_FATSz16", u16_at(22), u16_at(22) == 0, "0 (FAT32)")?;
        check("BPB_ExtFlags", u16_at(40), u16_at(40) & 0x80 == 0, "tables that mirror each other")?;
        check("BPB_FSVer", u16_at(42), u16_at(42) == 0, "0")?;
        let (total, table) = (u32_at(32), u32_at(36) * sector);
        check("BPB_FATSz32", table / sector, (1..=MAX_TABLE).contains(&table), "a table of 16 MiB at most")?;
        let before = reserved * sector + copies * table;
        let clusters = (total * sector).saturating_sub(before) / size;
        // The last numbers of 28 bits have other meanings.
        let room = (table / 4 - 2).min(0x0fff_fff0);
        check(
            "BPB_TotSec32",
            total,
            clusters >= 1 && clusters <= room,
            "some clusters, and no more than the table has",
        )?;
        let end = u32::try_from(clusters + 2).unwrap_or(0);
        let root = u32::try_from(u32_at(44)).unwrap_or(0);
        check("BPB_RootClus", root.into(), (2..end).contains(&root), "a cluster of the volume")?;
        let info = u16_at(48);
        check("BPB_FSInfo", info, info > 0 && info < reserved, "a reserved sector")?;
        Ok(Self {
            sector: usize::try_from(sector).unwrap_or(BOOT),
            cluster: usize::try_from(size).unwrap_or(BOOT),
            tables_at: reserved * sector,
            table,
            copies,
            data_at: before,
            end,
            root,
            info_at: info * sector,
        })
    }

    /// Where a cluster lies; `number` is one of the volume's.
    pub(super) fn cluster_at(&self, number: u32) -> u64 {
        self.data_at + (u64::from(number) - 2) * self.cluster as u64
    }
}
