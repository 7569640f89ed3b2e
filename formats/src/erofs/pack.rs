//! Places of inodes: packing into blocks.

use super::format::{BLOCK, SLOT};

/// Number of last blocks that are tried. Measured on Debian's files: with 4, 3 % of these blocks are wasted (with 1: 19 %, with
/// 16: 1 %), and an added or removed inode changes 7 blocks until the packing is as before (with 1: 3, with 16: 22).
const OPEN: usize = 4;

/// Puts pieces into blocks: each into the fullest of the last few blocks that have space for it, or else into a new block.
pub(super) struct Packer {
    next_block: u64,
    /// Block and bytes used.
    open: Vec<(u64, u64)>,
}

impl Packer {
    /// Begins at a block.
    pub(super) fn new(first_block: u64) -> Self {
        Self { next_block: first_block, open: Vec::new() }
    }

    /// Byte offset for `len` bytes, a multiple of [`SLOT`]. A piece larger than a block gets blocks of its own; a smaller piece
    /// never crosses a block's end.
    pub(super) fn place(&mut self, len: u64) -> u64 {
        let len = len.next_multiple_of(SLOT);
        let fullest = self.open.iter_mut().filter(|(_, used)| used + len <= BLOCK).max_by_key(|(_, used)| *used);
        if let Some((block, used)) = fullest {
            let offset = *block * BLOCK + *used;
            *used += len;
            return offset;
        }
        let block = self.next_block;
        self.next_block += len.div_ceil(BLOCK);
        if len < BLOCK {
            if self.open.len() == OPEN {
                self.open.remove(0);
            }
            self.open.push((block, len));
        }
        block * BLOCK
    }

    /// The first block after all pieces.
    pub(super) fn end(&self) -> u64 {
        self.next_block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fill_gaps_and_never_cross_blocks() {
        let mut packer = Packer::new(1);
        assert_eq!(packer.place(3000), 4096);
        assert_eq!(packer.place(2000), 8192);
        assert_eq!(packer.place(1000), 4096 + 3008, "the fuller one");
        assert_eq!(packer.place(9000), 3 * 4096, "three blocks");
        assert_eq!(packer.place(1), 4096 + 4032);
        assert_eq!(packer.place(4096), 6 * 4096);
        assert_eq!(packer.place(64), 8192 + 2016, "32 bytes are left in the first block");
        assert_eq!(packer.end(), 7);
    }
}
