//! Reading and writing of superblock and inodes: fs/erofs/erofs_fs.h, all numbers little endian.

/// Bytes of a block, the only size that we write or read.
pub const BLOCK: u64 = 4096;
pub(super) const BLOCK_BITS: u8 = 12;
/// Inodes begin at multiples of this. An inode's number (nid) is its byte offset divided by this.
pub(super) const SLOT: u64 = 32;
/// Offset of the superblock in block 0, after space for a boot sector.
pub(super) const SUPER_OFFSET: usize = 1024;
/// Bytes that its checksum covers: from there to the block's end.
pub(super) const SUPER_AREA: usize = 4096 - SUPER_OFFSET;
const DIRBLKBITS: usize = 90;
const MAGIC: u32 = 0xe0f5_e1e2;

const COMPAT_SB_CHKSUM: u32 = 1;
/// The superblock's time is a modification time.
const COMPAT_MTIME: u32 = 2;
pub(super) const INCOMPAT_CHUNKED_FILE: u32 = 4;

/// "No address": a chunk that is a hole.
pub(super) const NULL_ADDR: u32 = u32::MAX;
/// Low bits of a chunk-based inode's format: the chunk size as a power of two of blocks.
pub(super) const CHUNK_BITS_MASK: u32 = 0x1f;
/// Chunk map of 8-byte entries with device numbers, which we do not use.
pub(super) const CHUNK_INDEXES: u32 = 0x20;

pub(super) const COMPACT_INODE: usize = 32;
pub(super) const EXTENDED_INODE: usize = 64;
/// Bytes before an inode's first extended attribute.
pub(super) const XATTR_HEADER: usize = 12;

/// Types as in `stat`'s mode; a dirent has a number of its own for each.
pub(super) const TYPE_MASK: u16 = 0o17_0000;
pub(super) const REGULAR: u16 = 0o10_0000;
pub(super) const DIRECTORY: u16 = 0o04_0000;
pub(super) const SYMLINK: u16 = 0o12_0000;
pub(super) const CHAR_DEVICE: u16 = 0o02_0000;
pub(super) const BLOCK_DEVICE: u16 = 0o06_0000;
pub(super) const FIFO: u16 = 0o01_0000;
pub(super) const SOCKET: u16 = 0o14_0000;

/// A dirent's `file_type` for a mode.
pub(super) fn file_type(mode: u16) -> u8 {
    match mode & TYPE_MASK {
        REGULAR => 1,
        DIRECTORY => 2,
        CHAR_DEVICE => 3,
        BLOCK_DEVICE => 4,
        FIFO => 5,
        SOCKET => 6,
        SYMLINK => 7,
        _ => 0,
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The fields of the superblock that an uncompressed image on one device uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Features that a reader must support.
    pub feature_incompat: u32,
    /// Inode number of the root directory.
    pub root_nid: u16,
    /// Number of inodes.
    pub inos: u64,
    /// The modification time of every compact inode, in seconds.
    pub build_time: u64,
    /// Size of the image in blocks.
    pub blocks: u32,
    /// Block from which inode numbers count.
    pub meta_blkaddr: u32,
    /// UUID of the file system.
    pub uuid: [u8; 16],
    /// Its label, filled up with zeros.
    pub volume_name: [u8; 16],
}

/// A superblock that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("superblock: {field}: expected {wanted:#x}, found {found:#x}")]
pub struct BadSuperblock {
    /// The field's name in the kernel.
    pub field: &'static str,
    /// The value expected.
    pub wanted: u64,
    /// What it is.
    pub found: u64,
}

impl Superblock {
    /// From its offset to the end of block 0, with the checksum set.
    pub(super) fn to_bytes(&self) -> [u8; SUPER_AREA] {
        let mut out = [0; SUPER_AREA];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC.to_le_bytes());
        put(8, &(COMPAT_SB_CHKSUM | COMPAT_MTIME).to_le_bytes());
        put(12, &[BLOCK_BITS]);
        put(14, &self.root_nid.to_le_bytes());
        put(16, &self.inos.to_le_bytes());
        put(24, &self.build_time.to_le_bytes());
        put(36, &self.blocks.to_le_bytes());
        put(40, &self.meta_blkaddr.to_le_bytes());
        put(48, &self.uuid);
        put(64, &self.volume_name);
        put(80, &self.feature_incompat.to_le_bytes());
        let checksum = crc32c(&out);
        out[4..8].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what [`Self::to_bytes`] writes, and what other tools write with the same features.
    pub(super) fn parse(area: &[u8; SUPER_AREA]) -> Result<Self, BadSuperblock> {
        let mut array = [0; 16];
        let mut bytes16 = |at: usize| {
            array.copy_from_slice(&area[at..at + 16]);
            array
        };
        let superblock = Self {
            feature_incompat: u32_at(area, 80),
            root_nid: u16_at(area, 14),
            inos: u64_at(area, 16),
            build_time: u64_at(area, 24),
            blocks: u32_at(area, 36),
            meta_blkaddr: u32_at(area, 40),
            uuid: bytes16(48),
            volume_name: bytes16(64),
        };
        let mut unsigned = *area;
        unsigned[4..8].fill(0);
        let checksum = if u32_at(area, 8) & COMPAT_SB_CHKSUM == 0 { u32_at(area, 4) } else { crc32c(&unsigned) };
        let fields = [
            ("magic", u64::from(MAGIC), u64::from(u32_at(area, 0))),
            ("checksum", checksum.into(), u32_at(area, 4).into()),
            ("blkszbits", BLOCK_BITS.into(), area[12].into()),
            (
                "feature_incompat",
                INCOMPAT_CHUNKED_FILE.into(),
                (superblock.feature_incompat | INCOMPAT_CHUNKED_FILE).into(),
            ),
            ("dirblkbits", 0, area[DIRBLKBITS].into()),
        ];
        match fields.into_iter().find(|(_, wanted, found)| wanted != found) {
            Some((field, wanted, found)) => Err(BadSuperblock { field, wanted, found }),
            None => Ok(superblock),
        }
    }
}

/// CRC-32C as the kernel's `crc32c(~0, ..)`: without the usual inversion at the end. A table is not worth its memory for
/// 3 KiB.
fn crc32c(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x82f6_3b78 };
    bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// Where an inode's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// In consecutive blocks.
    FlatPlain = 0,
    /// The same, but the last block's bytes follow the inode and its attributes.
    FlatInline = 2,
    /// In chunks, whose addresses follow the inode and its attributes.
    ChunkBased = 4,
}

/// An inode on disk, in the compact or the extended form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RawInode {
    pub(super) layout: DataLayout,
    pub(super) extended: bool,
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    pub(super) size: u64,
    /// First block, device number or chunk format.
    pub(super) union: u32,
    /// Seconds; a compact inode has the superblock's.
    pub(super) mtime: u64,
    /// Bytes of attributes after the inode.
    pub(super) xattr_len: usize,
}

impl RawInode {
    /// Whether the numbers do not fit into the compact form.
    pub(super) fn needs_extended(uid: u32, gid: u32, nlink: u32, size: u64) -> bool {
        uid.max(gid).max(nlink) > u16::MAX.into() || size > u32::MAX.into()
    }

    /// Size of a chunk of a chunk-based inode, as a power of two of bytes.
    pub(super) fn chunk_bits(&self) -> u32 {
        (self.union & CHUNK_BITS_MASK) + u32::from(BLOCK_BITS)
    }

    /// Bytes of a chunk of a chunk-based inode.
    pub(super) fn chunk_len(&self) -> u64 {
        1 << self.chunk_bits()
    }

    /// Bytes of the inode itself.
    pub(super) fn len(&self) -> usize {
        if self.extended { EXTENDED_INODE } else { COMPACT_INODE }
    }

    /// The bytes on disk. A compact inode holds the low halves of its numbers: check [`Self::needs_extended`] before.
    ///
    /// `i_ino` (for 32-bit `stat`, read by no kernel) stays 0, so that an inode's bytes do not depend on its number.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(EXTENDED_INODE);
        let format = u16::from(self.extended) | (self.layout as u16) << 1;
        let icount = match self.xattr_len.checked_sub(XATTR_HEADER) {
            Some(rest) => u16::try_from(rest / 4 + 1).unwrap_or(u16::MAX),
            None => 0,
        };
        for field in [format, icount, self.mode] {
            out.extend(field.to_le_bytes());
        }
        if self.extended {
            out.extend([0; 2]);
            out.extend(self.size.to_le_bytes());
            out.extend(self.union.to_le_bytes());
            out.extend([0; 4]);
            out.extend(self.uid.to_le_bytes());
            out.extend(self.gid.to_le_bytes());
            out.extend(self.mtime.to_le_bytes());
            out.extend([0; 4]);
            out.extend(self.nlink.to_le_bytes());
        } else {
            out.extend(&self.nlink.to_le_bytes()[..2]);
            out.extend(&self.size.to_le_bytes()[..4]);
            out.extend([0; 4]);
            out.extend(self.union.to_le_bytes());
            out.extend([0; 4]);
            out.extend(&self.uid.to_le_bytes()[..2]);
            out.extend(&self.gid.to_le_bytes()[..2]);
        }
        out.resize(self.len(), 0);
        out
    }

    /// Reads an inode. `bytes` are as long as an extended inode, whichever form it has. `build_time` is for compact inodes.
    pub(super) fn parse(bytes: &[u8; EXTENDED_INODE], build_time: u64) -> Option<Self> {
        let format = u16_at(bytes, 0);
        let layout = match format >> 1 {
            0 => DataLayout::FlatPlain,
            2 => DataLayout::FlatInline,
            4 => DataLayout::ChunkBased,
            _ => return None,
        };
        let extended = format & 1 == 1;
        let (size, uid, gid, mtime, nlink) = if extended {
            (u64_at(bytes, 8), u32_at(bytes, 24), u32_at(bytes, 28), u64_at(bytes, 32), u32_at(bytes, 44))
        } else {
            let short = |at| u32::from(u16_at(bytes, at));
            (u32_at(bytes, 8).into(), short(24), short(26), build_time, short(6))
        };
        let xattr_len = match usize::from(u16_at(bytes, 2)) {
            0 => 0,
            icount => XATTR_HEADER + 4 * (icount - 1),
        };
        let (mode, union) = (u16_at(bytes, 4), u32_at(bytes, 16));
        Some(Self { layout, extended, mode, uid, gid, nlink, size, union, mtime, xattr_len })
    }
}

/// A device number as the kernel's `new_encode_dev`: 12 bits of major, 20 of minor.
pub(super) fn encode_device(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// Major and minor of a device number.
pub(super) fn decode_device(rdev: u32) -> (u32, u32) {
    (rdev >> 8 & 0xfff, rdev & 0xff | rdev >> 12 & 0xfff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_and_devices_read_as_written() {
        let compact = RawInode {
            layout: DataLayout::FlatInline,
            extended: false,
            mode: REGULAR | 0o4755,
            uid: 65535,
            gid: 7,
            nlink: 3,
            size: u32::MAX.into(),
            union: 0x1234_5678,
            mtime: 99,
            xattr_len: 16,
        };
        let extended =
            RawInode { extended: true, uid: 1 << 20, nlink: 70_000, size: 1 << 33, mtime: 5, ..compact.clone() };
        for inode in [compact, extended] {
            let mut bytes = inode.to_bytes();
            assert_eq!(bytes.len(), inode.len());
            bytes.resize(EXTENDED_INODE, 0xee);
            assert_eq!(RawInode::parse(&bytes.try_into().unwrap(), 99).unwrap(), inode);
        }
        for (major, minor) in [(1, 3), (4095, 0xf_ffff), (259, 256), (0, 0)] {
            assert_eq!(decode_device(encode_device(major, minor).unwrap()), (major, minor));
        }
        assert_eq!(encode_device(4096, 0), None);
        assert_eq!(encode_device(0, 1 << 20), None);
    }

    #[test]
    fn crc32c_is_the_castagnoli_one() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }
}
