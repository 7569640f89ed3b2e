use super::{
    ARRAY_SECTORS, GptError, SECTOR, Which,
    copy::{Copy, read_at},
    ends,
};
use berth_contract::disk::ALIGNMENT;
use std::{fs::File, os::unix::fs::FileExt};

/// What growing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    /// The last partition was as large as it can be. (A missing or misplaced copy of the table was put right.)
    Already,
    /// The last partition has this many bytes now.
    To {
        /// Bytes.
        size: u64,
    },
}

/// Makes the table fit a device of `device_size` bytes: the backup moves to the device's end, and the partition that
/// lies last grows to the last full MiB before it. All else in the table stays as it was. Nothing is written where
/// nothing is to be done. The kernel must be told of the partition's new size by the caller.
///
/// Works on block devices (whence the size as an argument), and on disks whose backup is missing because an image was
/// copied to a larger disk, or was cut off.
///
/// # Errors
/// When neither copy is valid, a partition ends behind the device's end, or the device cannot be written.
pub fn grow_last(device: &mut File, device_size: u64) -> Result<Grown, GptError> {
    let (last_lba, last_usable) = ends(device_size)?;
    let primary = Copy::read(device, Which::Primary, 1);
    let at_end = Copy::read(device, Which::Backup, last_lba);
    let mut table = match (primary, at_end) {
        (Ok(primary), _) => primary,
        (Err(_), Ok(backup)) => backup,
        (Err(primary), Err(backup)) => {
            return Err(GptError::NoTable { primary: primary.into(), backup: backup.into() });
        }
    };
    let mut grown = Grown::Already;
    if let Some((number, first, last)) = table.last_partition() {
        if last > last_usable {
            let reason = format!("partition {number} ends with sector {last}, the last usable one is {last_usable}");
            return Err(GptError::TooSmall { size: device_size, reason });
        }
        let aligned = (last_usable + 1) / (ALIGNMENT / SECTOR) * (ALIGNMENT / SECTOR);
        if aligned > last + 1 {
            table.set_last_lba(number, aligned - 1);
            grown = Grown::To { size: (aligned - first) * SECTOR };
        }
    }
    // The backup first, and on the medium before the primary is touched. A cut before that leaves the primary, which is
    // the one everybody reads, as it was; a cut while the primary is written leaves a backup where firmware and
    // kernel look for it: in the last sector. The other way round, a torn primary would point to nothing.
    put(device, &table.placed(Which::Backup, last_lba))?;
    // Header and array of the primary lie in one run, and those of 24 partitions in one page: one write is as near to
    // an atomic change as the format allows.
    let (lba, bytes) = table.placed(Which::Primary, last_lba);
    let mut mbr = vec![0; 512];
    read_at(device, 0, &mut mbr)?;
    let protective = 446..462;
    if mbr[510..] == [0x55, 0xaa] && mbr[protective.start + 4] == 0xee {
        let sectors = u32::try_from(last_lba).unwrap_or(u32::MAX);
        mbr[protective.start + 12..protective.end].copy_from_slice(&sectors.to_le_bytes());
    }
    mbr.extend_from_slice(&bytes);
    put(device, &(lba - 1, mbr))?;
    Ok(grown)
}

/// Writes and flushes, unless the bytes are there already.
fn put(device: &mut File, (lba, bytes): &(u64, Vec<u8>)) -> Result<(), GptError> {
    let (offset, len) = (lba * SECTOR, bytes.len());
    let mut found = vec![0; len];
    read_at(device, offset, &mut found)?;
    if found == *bytes {
        return Ok(());
    }
    device.write_all_at(bytes, offset).map_err(|source| GptError::Io { action: "write", offset, len, source })?;
    device.sync_all().map_err(|source| GptError::Io { action: "flush", offset, len, source })
}

const _: () = assert!(ARRAY_SECTORS * SECTOR == (super::ENTRIES as u64) * (super::ENTRY as u64));
