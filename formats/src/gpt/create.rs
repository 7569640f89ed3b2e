use super::{ENTRIES, FIRST_USABLE, GptError, Guid, Partition, SECTOR, ends};
use gpt::{GptConfig, disk::LogicalBlockSize, mbr::ProtectiveMBR, partition_types};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom},
};
use uuid::Uuid;

/// Writes protective MBR, primary and backup table to a disk whose length is that of `disk`. Nothing else is written, so
/// that a sparse file stays sparse.
///
/// `partitions` are numbered 1, 2, 3 ... in order, since the `gpt` crate leaves no gaps. `disk_guid` and all GUIDs are
/// bytes in printed order.
///
/// # Errors
/// Partitions that overlap, are outside of the usable space, are not whole sectors, or have names that are too long; or the
/// disk cannot be written.
pub fn write(disk: &mut File, disk_guid: Guid, partitions: &[Partition]) -> Result<(), GptError> {
    let size =
        disk.seek(SeekFrom::End(0)).map_err(|source| GptError::Io { action: "seek to", offset: 0, len: 0, source })?;
    let (last, last_usable) = ends(size)?;
    let mut map = BTreeMap::new();
    for (number, partition) in (1..).zip(partitions) {
        check(partition, number, last_usable)?;
        if let Some(other) = partitions.iter().find(|other| other.number != number && overlap(other, partition)) {
            return Err(layout(partition, format!("overlaps partition {} ({:?})", other.number, other.label)));
        }
        map.insert(
            number,
            gpt::partition::Partition {
                part_type_guid: partition_types::Type {
                    guid: Uuid::from_bytes(partition.type_guid),
                    os: partition_types::OperatingSystem::None,
                },
                part_guid: Uuid::from_bytes(partition.guid),
                first_lba: partition.start / SECTOR,
                last_lba: (partition.start + partition.size) / SECTOR - 1,
                flags: partition.attributes,
                name: partition.label.clone(),
            },
        );
    }
    // The MBR's field has 32 bits; the specification requires all ones for a larger disk.
    ProtectiveMBR::with_lb_size(u32::try_from(last).unwrap_or(u32::MAX)).overwrite_lba0(disk).map_err(GptError::Mbr)?;
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(disk, Some(Uuid::from_bytes(disk_guid)))
        .map_err(GptError::Create)?;
    table.update_partitions(map).map_err(GptError::Create)?;
    table.write().map_err(GptError::Create)?;
    Ok(())
}

fn layout(partition: &Partition, reason: String) -> GptError {
    GptError::Layout { number: partition.number, label: partition.label.clone(), reason }
}

fn overlap(a: &Partition, b: &Partition) -> bool {
    a.start < b.start.saturating_add(b.size) && b.start < a.start.saturating_add(a.size)
}

fn check(partition: &Partition, number: u32, last_usable: u64) -> Result<(), GptError> {
    let (first, end) = (FIRST_USABLE * SECTOR, (last_usable + 1) * SECTOR);
    let units = partition.label.encode_utf16().count();
    let reason = if partition.number != number || number > ENTRIES {
        format!("expected number {number} of at most {ENTRIES}")
    } else if partition.type_guid == [0; 16] {
        "its type is that of an unused entry".to_owned()
    } else if partition.size == 0 || !partition.start.is_multiple_of(SECTOR) || !partition.size.is_multiple_of(SECTOR) {
        format!("start {} and size {} must be multiples of {SECTOR}, size not 0", partition.start, partition.size)
    } else if partition.start < first || partition.start.checked_add(partition.size).is_none_or(|it| it > end) {
        format!("{} bytes at {} lie outside the usable {first} to {end}", partition.size, partition.start)
    } else if units > 36 {
        format!("the label has {units} UTF-16 units, at most 36 fit")
    } else {
        return Ok(());
    };
    Err(layout(partition, reason))
}
