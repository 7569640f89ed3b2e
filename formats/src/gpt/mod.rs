//! GUID partition table with 512-byte sectors and 128 entries of 128 bytes. UEFI specification 2.10, chapter 5:
//! <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>.
//!
//! The builder creates tables with the `gpt` crate ([`write`]). PID 1 reads and grows tables of foreign disks with our own
//! code ([`read`], [`grow_last`]): that crate panics on foreign entry sizes, allocates as much memory as a header asks for,
//! and writes headers in an order of its own.

mod copy;
mod create;
mod grow;
pub mod show;
mod table;

pub use create::write;
pub use grow::{Grown, grow_last};
pub use table::{Which, Wrong, read};

use std::io;

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

/// Why a partition table cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GptError {
    /// A read, write or flush of the device failed.
    #[error("partition table: cannot {action} {len} bytes at byte {offset}")]
    Io {
        /// read, write, flush ...
        action: &'static str,
        /// Where.
        offset: u64,
        /// Number of bytes.
        len: usize,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// One copy of the table is not valid.
    #[error("{which} partition table at sector {lba}: {wrong}")]
    Broken {
        /// Which copy.
        which: Which,
        /// Sector of its header.
        lba: u64,
        /// What is wrong with this copy.
        wrong: Wrong,
    },
    /// Neither copy is valid.
    #[error("no usable partition table: {primary}; {backup}")]
    NoTable {
        /// What is wrong with the primary.
        primary: Box<GptError>,
        /// What is wrong with the backup.
        backup: Box<GptError>,
    },
    /// The caller's partitions do not form a valid table.
    #[error("partition {number} ({label:?}): {reason}")]
    Layout {
        /// Its number.
        number: u32,
        /// Its label.
        label: String,
        /// What is wrong.
        reason: String,
    },
    /// The disk cannot hold the table.
    #[error("a disk of {size} bytes is too small for its partition table: {reason}")]
    TooSmall {
        /// Its size.
        size: u64,
        /// The cause.
        reason: String,
    },
    /// The `gpt` crate refused to write.
    #[error("cannot write the partition table")]
    Create(#[source] gpt::GptError),
    /// The `gpt` crate could not write the protective MBR.
    #[error("cannot write the protective MBR")]
    Mbr(#[source] gpt::mbr::MBRError),
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
