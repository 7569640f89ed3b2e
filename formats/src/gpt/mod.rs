//! GUID partition table with 512-byte sectors and 128 entries of 128 bytes. UEFI specification 2.10, chapter 5:
//! <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.
//!
//! The builder creates tables with the `gpt` crate ([`write`]). PID 1 reads and grows tables of foreign disks with our own
//! code ([`read`], [`grow_last`]): that crate panics on foreign entry sizes, allocates as much memory as a header asks for,
//! and writes headers in an order of its own.

mod copy;
mod create;
mod error;
mod grow;
pub mod show;
mod table;

pub use create::write;
pub use error::{GptError, Which, Wrong};
pub use grow::{Grown, grow_last};
pub use table::read;

/// A GUID's 16 bytes in the order in which they are printed (as `Uuid::as_bytes`), not the mixed order on disk.
pub type Guid = [u8; 16];

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Number in the table, from 1.
    pub number: u32,
    /// Its type.
    pub type_guid: Guid,
    /// Its own GUID.
    pub guid: Guid,
    /// First byte on the disk, a multiple of 512.
    pub start: u64,
    /// Bytes, a multiple of 512, not 0.
    pub size: u64,
    /// Attribute bits.
    pub attributes: u64,
    /// Name, at most 36 UTF-16 code units.
    pub label: String,
}

/// A partition table as found on a disk.
#[derive(Debug)]
pub struct Table {
    /// Identity of the disk.
    pub disk_guid: Guid,
    /// Partitions in the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What is wrong with one of the two copies. The table is that of the other copy, or of the primary if both are valid and
    /// differ.
    pub damage: Option<GptError>,
}

const SECTOR: u64 = berth_contract::disk::SECTOR;
/// Entries of a table.
const ENTRIES: u32 = 128;
/// Bytes of an entry.
const ENTRY: usize = 128;
/// Sectors of the entry array.
const ARRAY_SECTORS: u64 = 32;
/// First sector that a partition may use: after MBR, header and array.
const FIRST_USABLE: u64 = 2 + ARRAY_SECTORS;

/// Sector of the backup header and last usable sector of a disk of `size` bytes.
fn ends(size: u64) -> Result<(u64, u64), GptError> {
    let last = (size / SECTOR).saturating_sub(1);
    let usable = last.saturating_sub(ARRAY_SECTORS + 1);
    if usable < FIRST_USABLE {
        return Err(GptError::TooSmall { size, reason: "less than 68 sectors".to_owned() });
    }
    Ok((last, usable))
}
