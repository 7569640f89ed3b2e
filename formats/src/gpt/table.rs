use super::{GptError, SECTOR, Table, Which, Wrong, copy::Copy};
use std::io::{Read, Seek, SeekFrom};

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
