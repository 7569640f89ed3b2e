/// Where the superblock begins, in bytes from the start of the file system.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// Bytes of the superblock.
pub const SUPERBLOCK_SIZE: usize = 1024;

const MAGIC: u16 = 0xef53;
const COMPAT_HAS_JOURNAL: u32 = 0x4;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_64BIT: u32 = 0x80;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const STATE_CLEAN: u16 = 1;
const STATE_ERRORS: u16 = 2;

/// The fields of an ext4 superblock that init needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Blocks of the file system.
    pub block_count: u64,
    /// Blocks that are free.
    pub free_blocks: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Its UUID, in printed order.
    pub uuid: [u8; 16],
    /// Its label.
    pub label: String,
    /// Whether it has a journal.
    pub has_journal: bool,
    /// Whether the journal must be replayed, because the file system was not unmounted. The kernel does that at mount.
    pub needs_recovery: bool,
    /// Whether it was unmounted cleanly, or never mounted.
    pub clean: bool,
    /// Whether the kernel found errors in it. Then e2fsck must be run.
    pub has_errors: bool,
}

/// Why bytes are not a valid ext4 superblock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSuperblock {
    /// Too few bytes.
    #[error("an ext4 superblock has {SUPERBLOCK_SIZE} bytes, found {found}")]
    Short {
        /// How many there are.
        found: usize,
    },
    /// Not ext4.
    #[error("no ext4 superblock: the magic number is {found:#06x}, expected {MAGIC:#06x}")]
    Magic {
        /// The value found.
        found: u16,
    },
    /// The checksum is wrong.
    #[error("ext4 superblock: the checksum is {found:#010x}, expected {wanted:#010x}")]
    Checksum {
        /// As stored.
        found: u32,
        /// As computed.
        wanted: u32,
    },
    /// A field with an invalid value.
    #[error("ext4 superblock: {field} is {found}")]
    Field {
        /// Its name in the kernel.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl Superblock {
    /// Parses the [`SUPERBLOCK_SIZE`] bytes at [`SUPERBLOCK_OFFSET`] of the file system, as `struct ext4_super_block`.
    ///
    /// # Errors
    /// They are not a superblock, or its checksum (if it has one) is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadSuperblock> {
        let Some(bytes) = bytes.first_chunk::<SUPERBLOCK_SIZE>() else {
            return Err(BadSuperblock::Short { found: bytes.len() });
        };
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        if u16_at(0x38) != MAGIC {
            return Err(BadSuperblock::Magic { found: u16_at(0x38) });
        }
        let (compat, incompat, ro_compat) = (u32_at(0x5c), u32_at(0x60), u32_at(0x64));
        if ro_compat & RO_COMPAT_METADATA_CSUM != 0 {
            let (found, wanted) = (u32_at(0x3fc), mkext4::csum::superblock(bytes));
            if found != wanted {
                return Err(BadSuperblock::Checksum { found, wanted });
            }
        }
        let log_block_size = u32_at(0x18);
        if log_block_size > 6 {
            return Err(BadSuperblock::Field { field: "s_log_block_size", found: log_block_size.into() });
        }
        let wide = |low: usize, high: usize| match incompat & INCOMPAT_64BIT {
            0 => u64::from(u32_at(low)),
            _ => u64::from(u32_at(low)) | u64::from(u32_at(high)) << 32,
        };
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[0x68..0x78]);
        let label = bytes[0x78..0x88].split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Self {
            block_count: wide(0x4, 0x150),
            free_blocks: wide(0xc, 0x158),
            block_size: 1024 << log_block_size,
            uuid,
            label: String::from_utf8_lossy(label).into_owned(),
            has_journal: compat & COMPAT_HAS_JOURNAL != 0,
            needs_recovery: incompat & INCOMPAT_RECOVER != 0,
            clean: u16_at(0x3a) & STATE_CLEAN != 0,
            has_errors: u16_at(0x3a) & STATE_ERRORS != 0,
        })
    }
}
