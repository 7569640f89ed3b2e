//! One of the two copies of the table: a header sector and the entry array, as checked raw bytes.

use super::{ARRAY_SECTORS, ENTRIES, ENTRY, FIRST_USABLE, GptError, Guid, Partition, SECTOR, Which, Wrong};
use std::io::{Read, Seek, SeekFrom};
use uuid::Uuid;

/// Bytes of the header: a sector. Its fields end after 92 bytes; zeros follow.
const HEADER_SECTOR: usize = 512;
const HEADER: usize = 92;
const HEADER_CRC: usize = 16;
const MY_LBA: usize = 24;
const ALTERNATE_LBA: usize = 32;
const LAST_USABLE: usize = 48;
const DISK_GUID: usize = 56;
const ARRAY_LBA: usize = 72;
const ARRAY_CRC: usize = 88;
const ENTRY_FIRST: usize = 32;
const ENTRY_LAST: usize = 40;

/// A valid copy. Only the fields that [`Copy::placed`] names are changed; all other bytes stay as they were read.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    header: [u8; HEADER_SECTOR],
    array: Vec<u8>,
}

/// The part of a copy that must be equal in primary and backup.
#[derive(PartialEq, Eq)]
pub(super) struct Meaning<'a> {
    guid: Guid,
    last_usable: u64,
    array: &'a [u8],
}

impl Copy {
    /// Reads the copy whose header is at sector `lba`.
    pub(super) fn read(device: &mut (impl Read + Seek), which: Which, lba: u64) -> Result<Self, GptError> {
        let broken = |wrong| GptError::Broken { which, lba, wrong };
        let mut header = [0; HEADER_SECTOR];
        read_at(device, lba.saturating_mul(SECTOR), &mut header)?;
        if &header[..8] != b"EFI PART" {
            return Err(broken(Wrong::Signature));
        }
        let size = usize::try_from(u32_at(&header, 12)).unwrap_or(usize::MAX);
        if size != HEADER {
            return Err(broken(Wrong::Field { field: "HeaderSize", wanted: HEADER as u64, found: size as u64 }));
        }
        if header_crc(&header) != u32_at(&header, HEADER_CRC) {
            return Err(broken(Wrong::HeaderCrc));
        }
        let fields = [
            ("MyLBA", lba, u64_at(&header, MY_LBA)),
            ("FirstUsableLBA", FIRST_USABLE, u64_at(&header, 40)),
            ("NumberOfPartitionEntries", ENTRIES.into(), u32_at(&header, 80).into()),
            ("SizeOfPartitionEntry", ENTRY as u64, u32_at(&header, 84).into()),
        ];
        for (field, wanted, found) in fields {
            // A larger space before the first partition is allowed and common.
            if wanted != found && !(field == "FirstUsableLBA" && found > wanted) {
                return Err(broken(Wrong::Field { field, wanted, found }));
            }
        }
        let mut array = vec![0; ENTRIES as usize * ENTRY];
        read_at(device, u64_at(&header, ARRAY_LBA).saturating_mul(SECTOR), &mut array)?;
        if crc32fast::hash(&array) != u32_at(&header, ARRAY_CRC) {
            return Err(broken(Wrong::ArrayCrc));
        }
        let copy = Self { header, array };
        copy.check_entries().map_err(broken)?;
        Ok(copy)
    }

    fn check_entries(&self) -> Result<(), Wrong> {
        let mut spans = Vec::new();
        for (number, entry) in self.used() {
            let (first, last) = (u64_at(entry, ENTRY_FIRST), u64_at(entry, ENTRY_LAST));
            if first > last || first < FIRST_USABLE || last > self.last_usable() {
                return Err(Wrong::Span { number, first, last, last_usable: self.last_usable() });
            }
            spans.push((first, last, number));
        }
        spans.sort_unstable();
        match spans.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
            Some(pair) => Err(Wrong::Overlap { one: pair[0].2, other: pair[1].2 }),
            None => Ok(()),
        }
    }

    /// Number and raw entry of each partition.
    fn used(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (1..).zip(self.array.chunks_exact(ENTRY)).filter(|(_, entry)| entry[..16] != [0; 16])
    }

    pub(super) fn alternate(&self) -> u64 {
        u64_at(&self.header, ALTERNATE_LBA)
    }

    fn last_usable(&self) -> u64 {
        u64_at(&self.header, LAST_USABLE)
    }

    pub(super) fn disk_guid(&self) -> Guid {
        guid_at(&self.header, DISK_GUID)
    }

    pub(super) fn meaning(&self) -> Meaning<'_> {
        Meaning { guid: self.disk_guid(), last_usable: self.last_usable(), array: &self.array }
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.used().map(|(number, entry)| partition(number, entry)).collect()
    }

    /// Number, first and last sector of the last partition on the disk.
    pub(super) fn last_partition(&self) -> Option<(u32, u64, u64)> {
        let spans = self.used().map(|(number, entry)| (u64_at(entry, ENTRY_FIRST), u64_at(entry, ENTRY_LAST), number));
        spans.max().map(|(first, last, number)| (number, first, last))
    }

    /// Moves the end of partition `number`.
    pub(super) fn set_last_lba(&mut self, number: u32, last: u64) {
        let at = (number as usize - 1) * ENTRY + ENTRY_LAST;
        self.array[at..at + 8].copy_from_slice(&last.to_le_bytes());
    }

    /// The same table as primary or backup of a disk with that last sector, with new checksums. Returns the first sector and
    /// the bytes from there on: header and array are adjacent, so that one write is enough.
    pub(super) fn placed(&self, which: Which, last_lba: u64) -> (u64, Vec<u8>) {
        let (mine, alternate, array_lba) = match which {
            Which::Primary => (1, last_lba, 2),
            Which::Backup => (last_lba, 1, last_lba - ARRAY_SECTORS),
        };
        let mut header = self.header;
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(MY_LBA, &mine.to_le_bytes());
        put(ALTERNATE_LBA, &alternate.to_le_bytes());
        put(LAST_USABLE, &(last_lba - ARRAY_SECTORS - 1).to_le_bytes());
        put(ARRAY_LBA, &array_lba.to_le_bytes());
        put(ARRAY_CRC, &crc32fast::hash(&self.array).to_le_bytes());
        let crc = header_crc(&header);
        header[HEADER_CRC..HEADER_CRC + 4].copy_from_slice(&crc.to_le_bytes());
        match which {
            Which::Primary => (1, [&header, self.array.as_slice()].concat()),
            Which::Backup => (array_lba, [self.array.as_slice(), &header].concat()),
        }
    }
}

/// Reads exactly `buf` at a byte of the device.
pub(super) fn read_at(device: &mut (impl Read + Seek), offset: u64, buf: &mut [u8]) -> Result<(), GptError> {
    let len = buf.len();
    let read = device.seek(SeekFrom::Start(offset)).and_then(|_| device.read_exact(buf));
    read.map_err(|source| GptError::Io { action: "read", offset, len, source })
}

fn header_crc(header: &[u8; HEADER_SECTOR]) -> u32 {
    let mut bare = [0; HEADER];
    bare.copy_from_slice(&header[..HEADER]);
    bare[HEADER_CRC..HEADER_CRC + 4].fill(0);
    crc32fast::hash(&bare)
}

fn partition(number: u32, entry: &[u8]) -> Partition {
    let (first, last) = (u64_at(entry, ENTRY_FIRST), u64_at(entry, ENTRY_LAST));
    let units: Vec<u16> = entry[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let name = units.split(|&unit| unit == 0).next().unwrap_or_default();
    Partition {
        number,
        type_guid: guid_at(entry, 0),
        guid: guid_at(entry, 16),
        start: first.saturating_mul(SECTOR),
        size: (last - first + 1).saturating_mul(SECTOR),
        attributes: u64_at(entry, 48),
        label: String::from_utf16_lossy(name),
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Uuid::from_bytes_le(array_at(bytes, at)).into_bytes()
}
