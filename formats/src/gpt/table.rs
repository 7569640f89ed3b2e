use super::{GptError, SECTOR, Table, copy::Copy};
use std::{
    fmt,
    io::{Read, Seek, SeekFrom},
};

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

/// Reads the table and checks both copies. The backup is read from where the primary says, or from the device's end if the
/// primary is damaged.
///
/// # Errors
/// Neither copy is valid, or the device cannot be read.
pub fn read(device: &mut (impl Read + Seek)) -> Result<Table, GptError> {
    let size = device.seek(SeekFrom::End(0)).map_err(|source| GptError::Io {
        action: "seek to the end of",
        offset: 0,
        len: 0,
        source,
    })?;
    let last = (size / SECTOR).saturating_sub(1);
    let (copy, damage) = match Copy::read(device, Which::Primary, 1) {
        Ok(primary) => {
            let damage = match Copy::read(device, Which::Backup, primary.alternate()) {
                Ok(backup) if backup.meaning() == primary.meaning() => None,
                Ok(_) => {
                    Some(GptError::Broken { which: Which::Backup, lba: primary.alternate(), wrong: Wrong::Differs })
                }
                Err(error) => Some(error),
            };
            (primary, damage)
        }
        Err(primary) => match Copy::read(device, Which::Backup, last) {
            Ok(backup) => (backup, Some(primary)),
            Err(backup) => return Err(GptError::NoTable { primary: primary.into(), backup: backup.into() }),
        },
    };
    Ok(Table { disk_guid: copy.disk_guid(), partitions: copy.partitions(), damage })
}
