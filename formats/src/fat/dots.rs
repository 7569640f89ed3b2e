//! Corrects two faults of fatfs 0.3.6. It begins a directory with a long name for `.`, `.`, a long name for `..`, and `..`;
//! and in a directory of the root, `..` points to cluster 2. The specification requires `.` and `..` as the first two
//! entries, without long names, and cluster 0 for the root. (Fixed upstream after 0.3.6, the last release.)

use super::{SECTOR, pages::Pages};
use std::io::{self, Read, Seek, SeekFrom, Write};

const SLOT: usize = 32;
const ATTRIBUTES: usize = 11;
const LONG_NAME: u8 = 0x0f;
const CLUSTER_HIGH: std::ops::Range<usize> = 20..22;
const CLUSTER_LOW: std::ops::Range<usize> = 26..28;
const DELETED: u8 = 0xe5;

/// Corrects `.` and `..` in a volume that holds only directories: every cluster in use belongs to a directory.
pub(super) fn correct(disk: &mut Pages) -> io::Result<()> {
    let mut boot = [0; 48];
    disk.rewind()?;
    disk.read_exact(&mut boot)?;
    let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    let (cluster, reserved) = (u64::from(boot[13]) * SECTOR, u16_at(14) * SECTOR);
    let (fats, fat, root) = (u64::from(boot[16]), u32_at(36) * SECTOR, u32_at(44));
    // Clusters are allocated in order: the first free cluster ends the search.
    for number in 2.. {
        let mut next = [0; 4];
        disk.seek(SeekFrom::Start(reserved + number * 4))?;
        disk.read_exact(&mut next)?;
        if next == [0; 4] {
            break;
        }
        let at = reserved + fats * fat + (number - 2) * cluster;
        let mut slots = [0; 4 * SLOT];
        disk.seek(SeekFrom::Start(at))?;
        disk.read_exact(&mut slots)?;
        if let Some(slots) = corrected(slots, root) {
            disk.seek(SeekFrom::Start(at))?;
            disk.write_all(&slots)?;
        }
    }
    Ok(())
}

/// The first four slots of a directory, if they are as the crate writes them.
fn corrected(slots: [u8; 4 * SLOT], root: u64) -> Option<[u8; 4 * SLOT]> {
    let slot = |i: usize| &slots[i * SLOT..(i + 1) * SLOT];
    let is_dots = slot(0)[ATTRIBUTES] == LONG_NAME
        && slot(1).starts_with(b".          ")
        && slot(2)[ATTRIBUTES] == LONG_NAME
        && slot(3).starts_with(b"..         ");
    if !is_dots {
        return None;
    }
    let mut out = [0; 4 * SLOT];
    out[..SLOT].copy_from_slice(slot(1));
    out[SLOT..2 * SLOT].copy_from_slice(slot(3));
    let parent = &mut out[SLOT..2 * SLOT];
    let [low, high] =
        [CLUSTER_LOW, CLUSTER_HIGH].map(|at| u64::from(u16::from_le_bytes([parent[at.start], parent[at.start + 1]])));
    if (high << 16 | low) == root {
        parent[CLUSTER_LOW].fill(0);
        parent[CLUSTER_HIGH].fill(0);
    }
    // Mark them as deleted, not as empty: an empty slot would end the directory.
    out[2 * SLOT] = DELETED;
    out[3 * SLOT] = DELETED;
    Some(out)
}
