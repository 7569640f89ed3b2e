//! A directory's slots.

use super::name::{self, ATTRIBUTES, LONG_NAME, SLOT};
use std::ops::Range;

/// Slots that a directory may have.
pub(super) const MAX_SLOTS: usize = 65536;
/// Slots of the longest long name.
const MAX_LONG: usize = 20;
const DELETED: u8 = 0xe5;
const VOLUME_LABEL: u8 = 0x08;
const IS_DIRECTORY: u8 = 0x10;
const CLUSTER_HIGH: usize = 20;
const CLUSTER_LOW: usize = 26;
const SIZE: usize = 28;
/// The attribute "archive", which every new file has.
const NEW_FILE: u8 = 0x20;
/// Date of a new file, 1980-01-01: a host's clock may not be set yet.
const DATE: [u8; 2] = [0x21, 0];
const DATES_AT: [usize; 3] = [16, 18, 24];

/// A directory in memory.
#[derive(Debug)]
pub(super) struct Directory {
    /// Its clusters.
    pub clusters: Vec<u32>,
    /// Their bytes; zeros from the end mark on.
    pub bytes: Vec<u8>,
    /// Number of slots before the end mark, or of all slots.
    pub end: usize,
}

/// A file or directory in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Long name, else short name.
    pub name: String,
    /// The short name.
    pub short: [u8; 11],
    /// Its slots; the short entry is the last.
    pub slots: Range<usize>,
    /// What it is.
    pub is_directory: bool,
    /// First cluster; 0 for an empty file.
    pub first: u32,
    /// Bytes of a file.
    pub size: u32,
}

impl Directory {
    pub(super) fn new(clusters: Vec<u32>, mut bytes: Vec<u8>) -> Self {
        let end = bytes.chunks_exact(SLOT).position(|slot| slot[0] == 0).unwrap_or(bytes.len() / SLOT);
        bytes[end * SLOT..].fill(0);
        Self { clusters, bytes, end }
    }

    pub(super) fn slot(&self, number: usize) -> &[u8] {
        &self.bytes[number * SLOT..(number + 1) * SLOT]
    }

    /// Entries in their order, without `.`, `..` and the label; and slots of long names that belong to no entry.
    pub(super) fn entries(&self) -> (Vec<Entry>, Vec<usize>) {
        let (mut entries, mut orphans, mut long) = (Vec::new(), Vec::new(), 0..0);
        for at in 0..self.end {
            let slot = self.slot(at);
            if slot[0] != DELETED && slot[ATTRIBUTES] & 0x3f == LONG_NAME {
                // A slot with the last part of a name begins a new name.
                if slot[0] & 0x40 != 0 || long.len() == MAX_LONG {
                    orphans.extend(long);
                    long = at..at;
                }
                long.end = at + 1;
                continue;
            }
            let mut short = [0; 11];
            short.copy_from_slice(&slot[..11]);
            let name = name::long_name(&self.bytes[long.start * SLOT..long.end * SLOT], &short);
            let is_entry = slot[0] != DELETED && slot[ATTRIBUTES] & VOLUME_LABEL == 0;
            if name.is_none() || !is_entry {
                orphans.extend(long);
                long = at..at;
            }
            if is_entry && !slot.starts_with(b". ") && !slot.starts_with(b".. ") {
                let word = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
                entries.push(Entry {
                    name: name.unwrap_or_else(|| name::short_name(slot)),
                    short,
                    slots: long.start..at + 1,
                    is_directory: slot[ATTRIBUTES] & IS_DIRECTORY != 0,
                    first: (word(CLUSTER_HIGH) & 0x0fff) << 16 | word(CLUSTER_LOW),
                    size: word(SIZE) | word(SIZE + 2) << 16,
                });
            }
            long = at + 1..at + 1;
        }
        orphans.extend(long);
        (entries, orphans)
    }

    /// The entry of this name, long or short.
    pub(super) fn find(&self, name: &str) -> Option<Entry> {
        let (entries, _) = self.entries();
        entries.into_iter().find(|entry| {
            name::same(&entry.name, name) || name::same(&name::short_name(self.slot(entry.slots.end - 1)), name)
        })
    }

    /// Whether a slot can be written to.
    fn is_free(&self, number: usize) -> bool {
        number >= self.end || self.slot(number)[0] == DELETED
    }

    /// The first `count` free slots that are adjacent and in one sector, among those in `within`; `freed` count as free.
    pub(super) fn room(
        &self,
        count: usize,
        per_sector: usize,
        within: Range<usize>,
        freed: &Range<usize>,
    ) -> Option<usize> {
        let mut run = 0;
        for at in within {
            if at.is_multiple_of(per_sector) {
                run = 0;
            }
            run = if self.is_free(at) || freed.contains(&at) { run + 1 } else { 0 };
            if run == count {
                return Some(at + 1 - count);
            }
        }
        None
    }

    /// Marks slots as deleted.
    pub(super) fn delete(&mut self, slots: impl IntoIterator<Item = usize>) {
        slots.into_iter().for_each(|slot| self.bytes[slot * SLOT] = DELETED);
    }

    /// Writes slots at `at`, and moves the end mark after them if needed.
    pub(super) fn put(&mut self, at: usize, slots: &[[u8; SLOT]]) {
        self.bytes[at * SLOT..(at + slots.len()) * SLOT].copy_from_slice(slots.as_flattened());
        self.end = self.end.max(at + slots.len());
    }
}

/// The slots of a new file.
pub(super) fn new_file(name: &str, short: &[u8; 11], first: u32, size: u32) -> Vec<[u8; SLOT]> {
    let mut slot = [0; SLOT];
    slot[ATTRIBUTES] = NEW_FILE;
    DATES_AT.iter().for_each(|&at| slot[at..at + 2].copy_from_slice(&DATE));
    let first = first.to_le_bytes();
    slot[CLUSTER_LOW..CLUSTER_LOW + 2].copy_from_slice(&first[..2]);
    slot[CLUSTER_HIGH..CLUSTER_HIGH + 2].copy_from_slice(&first[2..]);
    slot[SIZE..].copy_from_slice(&size.to_le_bytes());
    renamed(name, short, slot)
}

/// The slots of a file whose short entry is `slot`, with another name.
pub(super) fn renamed(name: &str, short: &[u8; 11], mut slot: [u8; SLOT]) -> Vec<[u8; SLOT]> {
    slot[..11].copy_from_slice(short);
    // The long name keeps upper and lower case, so these two bits are not needed.
    slot[12] = 0;
    let mut slots = name::long_slots(name, short);
    slots.push(slot);
    slots
}
