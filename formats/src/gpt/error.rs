//! What can be wrong with a partition table.

use std::{fmt, io};

/// Which of the two copies of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The copy after the MBR.
    Primary,
    /// The copy at the disk's end.
    Backup,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        })
    }
}

/// What is wrong with a copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// There is no table.
    #[error("no signature \"EFI PART\"")]
    Signature,
    /// The header is damaged.
    #[error("the header's checksum is wrong")]
    HeaderCrc,
    /// The entries are damaged.
    #[error("the checksum of the partition entries is wrong")]
    ArrayCrc,
    /// A field has a value that is not supported.
    #[error("{field} is {found}, expected {wanted}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// The value expected.
        wanted: u64,
        /// The value found.
        found: u64,
    },
    /// A partition is outside of the usable sectors.
    #[error("partition {number} spans the sectors {first} to {last}; the last usable one is {last_usable}")]
    Span {
        /// Its number.
        number: u32,
        /// Its first sector.
        first: u64,
        /// Its last sector.
        last: u64,
        /// The last usable sector.
        last_usable: u64,
    },
    /// Two partitions share sectors.
    #[error("partitions {one} and {other} overlap")]
    Overlap {
        /// The partition that begins first.
        one: u32,
        /// The other.
        other: u32,
    },
    /// Both copies are valid, but differ.
    #[error("differs from the primary")]
    Differs,
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
