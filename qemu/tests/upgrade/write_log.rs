//! The possible contents of a disk after a power cut. QEMU logs every write and flush of a run (driver blklogwrites, the format of Linux's
//! dm-log-writes). The log is enough to make every state that a disk with a volatile cache can have after the cut: all data that was
//! flushed is on the disk, and any part of the later writes.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

/// Bytes of a sector of the log: QEMU's default.
const SECTOR: u64 = 512;
const MAGIC: u64 = 0x6a_7366_7773_6872;
const FLUSH: u64 = 1;
const FORCED: u64 = 2;
const DISCARD: u64 = 4;

/// The log of one run.
#[derive(Debug)]
pub(crate) struct WriteLog {
    log: File,
    sector: u64,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position of the data in the log, in bytes.
    at: u64,
    /// Position of the data on the disk, in bytes.
    offset: u64,
    size: u64,
    flags: u64,
}

impl WriteLog {
    /// Makes an empty file for QEMU's log.
    pub(crate) fn prepare(path: &Path) -> io::Result<()> {
        File::create(path)?.set_len(16 << 30)
    }

    /// Reads the entries that QEMU has logged so far.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let mut log = File::open(path)?;
        let mut head = [0; 28];
        log.read_exact(&mut head)?;
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        // QEMU writes the head of the log with the first entry.
        let is_empty = head == [0; 28];
        assert!(is_empty || number(&head[..8]) == MAGIC, "the file is not a log of writes");
        let sector = if is_empty { SECTOR } else { u64::from(u32::from_le_bytes(head[24..28].try_into().unwrap())) };
        let mut entries = Vec::new();
        let mut at = sector;
        loop {
            let mut entry = [0; 32];
            log.seek(SeekFrom::Start(at))?;
            log.read_exact(&mut entry)?;
            let (offset, size) = (number(&entry[..8]) * sector, number(&entry[8..16]) * sector);
            let flags = number(&entry[16..24]);
            // A zero entry ends the log. A flush has no data either, but its flag is set.
            if size == 0 && flags == 0 {
                return Ok(Self { log, sector, entries });
            }
            at += sector;
            entries.push(Entry { at, offset, size, flags });
            if flags & DISCARD == 0 {
                at += size;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Changes `disk` from its state before the run to a possible state after a power cut, which came after `cut` entries. `random` decides
    /// for each write that was not flushed: all of it is on the disk, none of it, or only its first sectors.
    pub(crate) fn apply(&self, disk: &File, cut: usize, random: &mut impl FnMut() -> u64) -> io::Result<()> {
        let entries = &self.entries[..cut];
        let flushed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.flags & DISCARD == 0) {
            let sectors = entry.size / self.sector;
            let kept = match (index <= flushed || entry.flags & FORCED != 0, random() % 4) {
                (true, _) | (false, 0 | 1) => sectors,
                (false, 2) => random() % (sectors + 1),
                (false, _) => 0,
            };
            let mut bytes = vec![0; usize::try_from(kept * self.sector).unwrap()];
            self.log.read_exact_at(&mut bytes, entry.at)?;
            disk.write_all_at(&bytes, entry.offset)?;
        }
        Ok(())
    }
}
