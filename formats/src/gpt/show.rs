//! Names of the places in the protective MBR and in both copies of the partition table.
//! <https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html>

use super::SECTOR;
use crate::{
    place::{Fields, Place},
    range::Range,
};

const MBR: Fields =
    &[(0, "boot code"), (440, "UniqueMBRDiskSignature"), (446, "PartitionRecord"), (510, "Signature"), (512, "")];
const HEADER: Fields = &[
    (0, "Signature"),
    (8, "Revision"),
    (12, "HeaderSize"),
    (16, "HeaderCRC32"),
    (20, "Reserved"),
    (24, "MyLBA"),
    (32, "AlternateLBA"),
    (40, "FirstUsableLBA"),
    (48, "LastUsableLBA"),
    (56, "DiskGUID"),
    (72, "PartitionEntryLBA"),
    (80, "NumberOfPartitionEntries"),
    (84, "SizeOfPartitionEntry"),
    (88, "PartitionEntryArrayCRC32"),
    (92, "Reserved"),
    (512, ""),
];
const ENTRY: Fields = &[
    (0, "PartitionTypeGUID"),
    (16, "UniquePartitionGUID"),
    (32, "StartingLBA"),
    (40, "EndingLBA"),
    (48, "Attributes"),
    (56, "PartitionName"),
    (ENTRY_LEN, ""),
];
const ENTRY_LEN: u64 = 128;
const ARRAY_LEN: u64 = 128 * ENTRY_LEN;

/// The place of the byte `at`. `None` if it is not in the table. `labels` are those of the partitions, in order.
#[must_use]
pub fn place(disk: &Range<'_>, labels: &[String], at: u64) -> Option<Place> {
    if let Some(field) = Place::field(MBR, 0, at) {
        return Some(field.within("protective MBR", 0));
    }
    let last = disk.len().checked_sub(SECTOR)?;
    for (which, header, array) in [("primary", SECTOR, 2 * SECTOR), ("backup", last, last.checked_sub(ARRAY_LEN)?)] {
        if let Some(field) = Place::field(HEADER, header, at) {
            return Some(field.within(format!("{which} GPT header"), 0));
        }
        if (array..array + ARRAY_LEN).contains(&at) {
            let index = (at - array) / ENTRY_LEN;
            let label = usize::try_from(index).ok().and_then(|index| labels.get(index));
            let label = label.map_or("unused".to_owned(), String::clone);
            let field = Place::field(ENTRY, array + index * ENTRY_LEN, at)?;
            return Some(field.within(format!("{which} GPT: entry {} ({label})", index + 1), 0));
        }
    }
    None
}
