//! The file allocation table: which cluster follows which.

use super::{disk::Disk, error::VolumeError, geometry::Geometry};

/// Bits of an entry that hold the number. The other bits are kept as they are.
const NUMBER: u32 = 0x0fff_ffff;
/// This value and higher ones mean the end of a chain.
const END: u32 = 0x0fff_fff8;
const BAD: u32 = 0x0fff_fff7;
/// Bytes that are compared at once.
const WINDOW: usize = 64 << 10;

/// FSInfo: its signatures, and the offsets of its two fields.
const SIGNATURES: [(usize, u32); 3] = [(0, 0x4161_5252), (484, 0x6141_7272), (508, 0xaa55_0000)];
const FREE_COUNT: usize = 488;
const NEXT_FREE: usize = 492;

/// The table in memory, as it will be on the disk.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    end: u32,
}

/// A damaged chain of clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The clusters before the damage.
    pub clusters: Vec<u32>,
    /// What is wrong after these clusters.
    pub why: &'static str,
}

impl Table {
    /// Reads the first copy of the table.
    pub(super) fn load<D: Disk>(disk: &D, geometry: &Geometry) -> Result<Self, VolumeError> {
        let used = usize::try_from(geometry.end).unwrap_or(usize::MAX).saturating_mul(4);
        let mut bytes = vec![0; used.next_multiple_of(geometry.sector)];
        let len = bytes.len();
        disk.read_at(&mut bytes, geometry.tables_at).map_err(VolumeError::io("read", geometry.tables_at, len))?;
        Ok(Self { bytes, end: geometry.end })
    }

    fn raw(&self, cluster: u32) -> u32 {
        let at = usize::try_from(cluster).unwrap_or(usize::MAX).saturating_mul(4);
        let four = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        four.map_or(BAD, |four| u32::from_le_bytes(*four))
    }

    fn put(&mut self, cluster: u32, next: u32) {
        let value = self.raw(cluster) & !NUMBER | next;
        let at = usize::try_from(cluster).unwrap_or(usize::MAX).saturating_mul(4);
        if let Some(four) = self.bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
            *four = value.to_le_bytes();
        }
    }

    /// Whether the cluster is free.
    pub(super) fn is_free(&self, cluster: u32) -> bool {
        self.raw(cluster) & NUMBER == 0
    }

    /// Whether the cluster is marked as unusable.
    pub(super) fn is_bad(&self, cluster: u32) -> bool {
        self.raw(cluster) & NUMBER == BAD
    }

    /// All clusters of the chain that begins with `first`.
    pub(super) fn chain(&self, first: u32) -> Result<Vec<u32>, Broken> {
        let (mut clusters, mut at) = (Vec::new(), first);
        loop {
            if !(2..self.end).contains(&at) {
                return Err(Broken { clusters, why: "its chain leads to a cluster that does not exist" });
            }
            if clusters.len() >= self.bytes.len() / 4 {
                clusters.sort_unstable();
                clusters.dedup();
                return Err(Broken { clusters, why: "its chain has no end" });
            }
            clusters.push(at);
            match self.raw(at) & NUMBER {
                END..=NUMBER => return Ok(clusters),
                0 => return Err(Broken { clusters, why: "its chain leads to a cluster that is marked as free" }),
                next => at = next,
            }
        }
    }

    /// Links `clusters` into a chain.
    pub(super) fn link(&mut self, clusters: &[u32]) {
        for (at, &cluster) in clusters.iter().enumerate() {
            self.put(cluster, clusters.get(at + 1).copied().unwrap_or(NUMBER));
        }
    }

    /// Frees `clusters`.
    pub(super) fn release(&mut self, clusters: &[u32]) {
        clusters.iter().for_each(|&cluster| self.put(cluster, 0));
    }

    /// Number of free clusters.
    pub(super) fn free(&self) -> u32 {
        let count = (2..self.end).filter(|&cluster| self.is_free(cluster)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Chooses `count` free clusters: the first adjacent ones, which firmware reads faster, or else the first ones.
    pub(super) fn choose(&self, count: usize) -> Option<Vec<u32>> {
        let mut run = Vec::new();
        for cluster in 2..self.end {
            if run.len() == count {
                break;
            }
            if self.is_free(cluster) { run.push(cluster) } else { run.clear() }
        }
        if run.len() < count {
            run = (2..self.end).filter(|&cluster| self.is_free(cluster)).take(count).collect();
        }
        (run.len() == count).then_some(run)
    }

    /// Writes the sectors of both copies, the first copy first, and of FSInfo that differ from this table. Does not flush.
    /// Returns the number of sectors written.
    pub(super) fn store<D: Disk>(&self, disk: &D, geometry: &Geometry) -> Result<usize, VolumeError> {
        let mut written = 0;
        let mut found = vec![0; WINDOW];
        for copy in 0..geometry.copies {
            let mut at = geometry.tables_at + copy * geometry.table;
            for wanted in self.bytes.chunks(WINDOW) {
                let found = &mut found[..wanted.len()];
                disk.read_at(found, at).map_err(VolumeError::io("read", at, wanted.len()))?;
                for (wanted, found) in wanted.chunks(geometry.sector).zip(found.chunks(geometry.sector)) {
                    if wanted != found {
                        disk.write_at(wanted, at).map_err(VolumeError::io("write", at, wanted.len()))?;
                        written += 1;
                    }
                    at += wanted.len() as u64;
                }
            }
        }
        Ok(written + self.store_info(disk, geometry)?)
    }

    /// Updates FSInfo, if it is valid. Not every volume has a valid one; it holds only hints.
    fn store_info<D: Disk>(&self, disk: &D, geometry: &Geometry) -> Result<usize, VolumeError> {
        let (mut sector, at) = (vec![0; geometry.sector], geometry.info_at);
        disk.read_at(&mut sector, at).map_err(VolumeError::io("read", at, geometry.sector))?;
        let is_one = SIGNATURES.iter().all(|&(at, value)| sector[at..at + 4] == value.to_le_bytes());
        let (free, next) = (self.free().to_le_bytes(), self.first_free().to_le_bytes());
        if !is_one || sector[FREE_COUNT..FREE_COUNT + 4] == free {
            return Ok(0);
        }
        sector[FREE_COUNT..FREE_COUNT + 4].copy_from_slice(&free);
        sector[NEXT_FREE..NEXT_FREE + 4].copy_from_slice(&next);
        disk.write_at(&sector, at).map_err(VolumeError::io("write", at, geometry.sector))?;
        Ok(1)
    }

    fn first_free(&self) -> u32 {
        (2..self.end).find(|&cluster| self.is_free(cluster)).unwrap_or(u32::MAX)
    }
}
