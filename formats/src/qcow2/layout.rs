//! The places of all clusters in the file, and the tables with these places. All numbers are big endian.

/// Bytes of a cluster.
pub const CLUSTER: u64 = 1 << 16;
pub(super) const CLUSTER_LEN: usize = 1 << 16;

const MAGIC: &[u8; 4] = b"QFI\xfb";
const VERSION: u32 = 3;
const CLUSTER_BITS: u32 = 16;
/// Refcounts of 2^4 bits.
const REFCOUNT_ORDER: u32 = 4;
/// Bytes of a version 3 header without extensions.
const HEADER: u32 = 104;
/// Entries of a table in a cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// Clusters that a refcount block counts.
const COUNTED: u64 = CLUSTER / 2;
/// Mark of an L1 or L2 entry whose cluster is used once and may be written in place.
const COPIED: u64 = 1 << 63;

/// The layout of a file. Positions are in clusters.
pub(super) struct Layout {
    disk_size: u64,
    /// Clusters of the disk that are stored, in order.
    data: Vec<u64>,
    /// For each L2 table: whether it is stored.
    l2: Vec<bool>,
    refcount_blocks: u64,
}

impl Layout {
    /// The layout for a disk of `disk_size` bytes, of which these clusters hold data.
    pub(super) fn new(disk_size: u64, holds_data: &[bool]) -> Self {
        let data: Vec<u64> = (0..).zip(holds_data).filter(|(_, holds)| **holds).map(|(number, _)| number).collect();
        let covered = |table: &[bool]| table.contains(&true);
        let l2 = holds_data.chunks(CLUSTER_LEN / 8).map(covered).collect();
        let mut layout = Self { disk_size, data, l2, refcount_blocks: 0 };
        // Refcount blocks are counted themselves: with one more block, yet another may be needed.
        while layout.refcount_blocks * COUNTED < layout.clusters() {
            layout.refcount_blocks += 1;
        }
        layout
    }

    fn refcount_table_clusters(&self) -> u64 {
        self.refcount_blocks.div_ceil(ENTRIES).max(1)
    }

    fn refcount_blocks_at(&self) -> u64 {
        1 + self.refcount_table_clusters()
    }

    fn l1_at(&self) -> u64 {
        self.refcount_blocks_at() + self.refcount_blocks
    }

    fn l2_at(&self) -> u64 {
        self.l1_at() + (self.l2.len() as u64).div_ceil(ENTRIES)
    }

    fn data_at(&self) -> u64 {
        self.l2_at() + self.l2.iter().filter(|stored| **stored).count() as u64
    }

    fn clusters(&self) -> u64 {
        self.data_at() + self.data.len() as u64
    }

    pub(super) fn file_size(&self) -> u64 {
        self.clusters() * CLUSTER
    }

    pub(super) fn data(&self) -> &[u64] {
        &self.data
    }

    /// Byte offset in the file of the `number`th stored cluster.
    pub(super) fn data_offset(&self, number: usize) -> u64 {
        (self.data_at() + number as u64) * CLUSTER
    }

    /// Passes all tables with their byte offsets to `put`.
    pub(super) fn tables<E>(&self, mut put: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        put(&self.header(), 0)?;
        let mut table = |at: u64, entries: &mut dyn Iterator<Item = u64>| {
            put(&entries.flat_map(u64::to_be_bytes).collect::<Vec<_>>(), at * CLUSTER)
        };
        let blocks = self.refcount_blocks_at();
        table(1, &mut (blocks..blocks + self.refcount_blocks).map(|cluster| cluster * CLUSTER))?;
        let mut next_l2 = (self.l2_at()..).peekable();
        let mut l1 = self.l2.iter().map(|stored| match next_l2.next_if(|_| *stored) {
            Some(cluster) => (cluster * CLUSTER) | COPIED,
            None => 0,
        });
        table(self.l1_at(), &mut l1)?;
        let mut data = (0..).zip(&self.data).peekable();
        for (at, first) in (self.l2_at()..self.data_at()).zip(stored(&self.l2)) {
            let mut entry = |cluster| {
                let found = data.next_if(|(_, found)| **found == cluster);
                found.map_or(0, |(number, _)| self.data_offset(number) | COPIED)
            };
            table(at, &mut (first * ENTRIES..(first + 1) * ENTRIES).map(&mut entry))?;
        }
        // Every cluster of the file is used once.
        for block in 0..self.refcount_blocks {
            let used = (self.clusters() - block * COUNTED).min(COUNTED);
            let counts: Vec<u8> = (0..used).flat_map(|_| 1_u16.to_be_bytes()).collect();
            put(&counts, (blocks + block) * CLUSTER)?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let mut fields = |words: &[u32]| words.iter().for_each(|word| out.extend(word.to_be_bytes()));
        let high_low = |value: u64| {
            let bytes = value.to_be_bytes();
            let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            [word(0), word(4)]
        };
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        // No backing file.
        fields(&[VERSION, 0, 0, 0, CLUSTER_BITS]);
        fields(&high_low(self.disk_size));
        // No encryption.
        fields(&[0, small(self.l2.len() as u64)]);
        fields(&high_low(self.l1_at() * CLUSTER));
        fields(&high_low(CLUSTER));
        // No snapshots, no features.
        fields(&[small(self.refcount_table_clusters()), 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        fields(&[REFCOUNT_ORDER, HEADER]);
        // The end of the header extensions: there are none.
        fields(&[0, 0]);
        out
    }
}

fn stored(tables: &[bool]) -> impl Iterator<Item = u64> {
    (0..).zip(tables).filter(|(_, stored)| **stored).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::FileExt, process::Command};

    /// More than 2 GiB of data, or the tables of a large disk, need a second refcount block. Only tables are written here, which
    /// needs little space.
    #[test]
    fn qemu_counts_every_cluster_once() {
        for (stored, refcount_blocks) in [(32_760, 1), (32_761, 2), (33_000, 2), (65_523, 2), (65_524, 3)] {
            let layout = Layout::new(stored * CLUSTER, &vec![true; usize::try_from(stored).unwrap()]);
            assert_eq!(layout.refcount_blocks, refcount_blocks, "{stored}: {}", layout.clusters());
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(layout.file_size()).unwrap();
            layout.tables(|bytes, at| file.as_file().write_all_at(bytes, at)).unwrap();
            let run = Command::new("qemu-img").args(["check", "-f", "qcow2"]).arg(file.path()).output();
            let run = run.unwrap_or_else(|error| panic!("qemu-img: {error}; run ci/setup"));
            let text = String::from_utf8_lossy(&run.stdout);
            assert!(run.status.success() && text.contains("No errors were found on the image."), "{text}");
            assert!(text.contains(&format!("{stored}/{stored} = 100.00% allocated")), "{text}");
        }
    }
}
