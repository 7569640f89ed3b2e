use super::{
    ARRAY_SECTORS, GptError, SECTOR, Which,
    copy::{Copy, read_at},
    ends,
};
use berth_contract::disk::ALIGNMENT;
use std::{fs::File, os::unix::fs::FileExt};

/// Result of growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    /// The last partition was as large as possible already. (A missing or misplaced copy of the table was corrected.)
    Already,
    /// The last partition has grown to this size.
    To {
        /// Bytes.
        size: u64,
    },
}

/// Makes the table fit a device of `device_size` bytes: the backup moves to the device's end, and the last partition grows
/// to the last full MiB before the backup. All other entries stay as they are. Nothing is written if nothing changes. The
/// caller must tell the kernel the partition's new size.
///
/// Works on block devices (their size is an argument for that reason), and on disks whose backup is missing because an
/// image was copied to a larger disk, or was cut off.
///
/// # Errors
/// Neither copy is valid, a partition ends after the device's end, or the device cannot be written.
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
    // Write the backup first, and flush it before the primary is changed. A power cut before that leaves the primary, which
    // every program reads, as it was. A power cut while the primary is written leaves a backup in the last sector, where
    // firmware and kernel look for it. In the other order, a half-written primary would have no backup.
    put(device, &table.placed(Which::Backup, last_lba))?;
    // Header and array of the primary are adjacent, and with up to 24 partitions they are in one page: one write is as
    // close to an atomic change as the format allows.
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

/// Writes and flushes, unless the bytes are on the device already.
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
