//! The content of a directory: blocks of dirents, each followed by its names.
//!
//! The kernel searches by bisection, first for the block, then in the block: names ascend by their bytes over the whole
//! directory, with `.` and `..` among them. In each block the dirents come first; the name offset of the first dirent tells
//! their number. Every block except the last is filled up with zeros.

use super::format::{BLOCK, u16_at, u64_at};

/// Longest name.
pub(super) const NAME_MAX: usize = 255;
const DIRENT: usize = 12;
const BLOCK_LEN: usize = 4096;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirent {
    /// The name's bytes.
    pub name: Vec<u8>,
    /// Number of the inode that it names.
    pub nid: u64,
    /// The inode's type, as a dirent numbers them.
    pub file_type: u8,
}

/// Length in bytes of a directory with names of these lengths, in order.
pub(super) fn size(name_lens: impl Iterator<Item = usize>) -> u64 {
    let (blocks, used) = name_lens.fold((0, 0), |(full, used), len| {
        let need = DIRENT + len;
        if used + need > BLOCK_LEN { (full + 1, need) } else { (full, used + need) }
    });
    blocks * BLOCK + used as u64
}

/// Writes a directory. The entries must be in order.
pub(super) fn encode(entries: &[(&[u8], u64, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut used = 0;
        let fits = |(name, ..): &&(&[u8], u64, u8)| {
            used += DIRENT + name.len();
            used <= BLOCK_LEN
        };
        let (block, after) = rest.split_at(rest.iter().take_while(fits).count());
        out.resize(out.len().next_multiple_of(BLOCK_LEN), 0);
        let mut name_offset = DIRENT * block.len();
        for (name, nid, file_type) in block {
            out.extend(nid.to_le_bytes());
            out.extend(u16::try_from(name_offset).unwrap_or(u16::MAX).to_le_bytes());
            out.extend([*file_type, 0]);
            name_offset += name.len();
        }
        block.iter().for_each(|(name, ..)| out.extend(*name));
        rest = after;
    }
    out
}

/// Reads one block of a directory; `None` if it is damaged.
pub(super) fn decode(block: &[u8]) -> Option<Vec<Dirent>> {
    let offset = |at: usize| Some(usize::from(u16_at(block.get(at * DIRENT..(at + 1) * DIRENT)?, 8)));
    let names_from = offset(0)?;
    let count = names_from / DIRENT;
    if count == 0 || names_from % DIRENT != 0 {
        return None;
    }
    let entry = |at: usize| {
        let raw = block.get(at * DIRENT..(at + 1) * DIRENT)?;
        let end = if at + 1 < count { offset(at + 1)? } else { block.len() };
        let mut name = block.get(offset(at)?..end)?;
        if at + 1 == count {
            name = name.split(|byte| *byte == 0).next()?;
        }
        let valid = (1..=NAME_MAX).contains(&name.len()) && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        valid.then(|| Dirent { name: name.to_vec(), nid: u64_at(raw, 0), file_type: raw[10] })
    };
    (0..count).map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_filled_to_the_last_byte_and_read_back() {
        // 16 names of 244 bytes fill a block exactly; with one byte more, the last name begins the next block.
        for (lens, size_wanted, blocks) in
            [(vec![244; 16], 4096, 1), ([vec![244; 15], vec![245]].concat(), 4096 + 257, 2)]
        {
            let names: Vec<Vec<u8>> = lens.iter().map(|len| vec![b'n'; *len]).collect();
            let entries: Vec<_> = names.iter().zip(1..).map(|(name, nid)| (name.as_slice(), nid, 1)).collect();
            let bytes = encode(&entries);
            assert_eq!((bytes.len() as u64, size(lens.iter().copied())), (size_wanted, size_wanted));
            assert_eq!(bytes.chunks(BLOCK_LEN).count(), blocks);
            let read: Vec<_> = bytes.chunks(BLOCK_LEN).flat_map(|block| decode(block).unwrap()).collect();
            assert!(read.iter().map(|entry| (entry.name.as_slice(), entry.nid, entry.file_type)).eq(entries));
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let good = encode(&[(b"a", 1, 1), (b"bb", 2, 2)]);
        assert_eq!(decode(&good).unwrap().len(), 2);
        assert_eq!(decode(&[]), None);
        for at in [8, 9, 20, 21, 24, 25] {
            let mut bad = good.clone();
            bad[at] = if at >= 24 { b'/' } else { 0xff };
            assert_eq!(decode(&bad), None, "byte {at}");
        }
    }
}
