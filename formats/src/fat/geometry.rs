//! Where the parts of a FAT32 volume are, from its boot sector.

use super::{
    boot_sector::{BOOT, BootSector, SIGNATURE},
    error::VolumeError,
};

/// Largest table that is read into memory, in bytes: that of 16 GiB in clusters of 4 KiB.
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
    /// Number of the last cluster plus 1.
    pub end: u32,
    /// First cluster of the root directory.
    pub root: u32,
    /// The FSInfo sector.
    pub info_at: u64,
    /// The copy of the boot sector; 0 if there is none.
    pub backup_at: u64,
}

impl Geometry {
    pub(super) fn parse(boot: &[u8; BOOT]) -> Result<Self, VolumeError> {
        let boot = BootSector(boot);
        let check = |field, good: &dyn Fn(u64) -> bool, wanted| match boot.get(field) {
            found if good(found) => Ok(found),
            found => Err(VolumeError::Field { field, wanted, found }),
        };
        check("Signature_word", &|found| found == SIGNATURE, "0xaa55")?;
        let sector =
            check("BPB_BytsPerSec", &|found| matches!(found, 512 | 1024 | 2048 | 4096), "512, 1024, 2048 or 4096")?;
        let fits = |found: u64| found.is_power_of_two() && sector * found <= 1 << 16;
        let size = sector * check("BPB_SecPerClus", &fits, "a power of 2")?;
        let reserved = check("BPB_RsvdSecCnt", &|found| found > 1, "2 or more")?;
        let copies = check("BPB_NumFATs", &|found| matches!(found, 1 | 2), "1 or 2")?;
        check("BPB_RootEntCnt", &|found| found == 0, "0 (FAT32)")?;
        check("BPB_FATSz16", &|found| found == 0, "0 (FAT32)")?;
        check("BPB_ExtFlags", &|found| found & 0x80 == 0, "tables that mirror each other")?;
        check("BPB_FSVer", &|found| found == 0, "0")?;
        let is_table = |found: u64| (1..=MAX_TABLE).contains(&(found * sector));
        let table = sector * check("BPB_FATSz32", &is_table, "a table of 16 MiB at most")?;
        let before = reserved * sector + copies * table;
        let clusters = |total: u64| (total * sector).saturating_sub(before) / size;
        // The last numbers of 28 bits have other meanings.
        let room = (table / 4 - 2).min(0x0fff_fff0);
        let is_total = |found| clusters(found) >= 1 && clusters(found) <= room;
        let total = check("BPB_TotSec32", &is_total, "some clusters, and no more than the table has")?;
        let end = u32::try_from(clusters(total) + 2).unwrap_or(0);
        let root = check("BPB_RootClus", &|found| (2..u64::from(end)).contains(&found), "a cluster of the volume")?;
        let info = check("BPB_FSInfo", &|found| found > 0 && found < reserved, "a reserved sector")?;
        Ok(Self {
            sector: usize::try_from(sector).unwrap_or(BOOT),
            cluster: usize::try_from(size).unwrap_or(BOOT),
            tables_at: reserved * sector,
            table,
            copies,
            data_at: before,
            end,
            root: u32::try_from(root).unwrap_or(0),
            info_at: info * sector,
            backup_at: boot.get("BPB_BkBootSec") * sector,
        })
    }

    /// Where a cluster is; `number` is that of a cluster of the volume.
    pub(super) fn cluster_at(&self, number: u32) -> u64 {
        self.data_at + (u64::from(number) - 2) * self.cluster as u64
    }
}
