//! Reads an image that any program may have written. Nothing in it is trusted.

use super::{
    BLOCK, BadSuperblock, Dirent, Superblock, directory,
    format::{
        CHUNK_INDEXES, DIRECTORY, DataLayout, EXTENDED_INODE, NULL_ADDR, REGULAR, RawInode, SLOT, SUPER_AREA,
        SUPER_OFFSET, SYMLINK, TYPE_MASK, decode_device, u32_at,
    },
    xattr,
};
use crate::node::Xattrs;
use std::{collections::BTreeSet, fs::File, io, ops::Range, os::unix::fs::FileExt};

/// Longest path, as Linux's PATH_MAX. An image with longer paths could make a walk endless.
const PATH_MAX: usize = 4096;

/// An open image.
#[derive(Debug)]
pub struct Image {
    file: File,
    start: u64,
    superblock: Superblock,
}

/// An inode, as it was read from an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredInode {
    nid: u64,
    raw: RawInode,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not EROFS, or an image with features that are not supported.
    #[error(transparent)]
    Superblock(#[from] BadSuperblock),
    /// The image is damaged.
    #[error("inode {nid}: {what}")]
    Damaged {
        /// Number of the inode.
        nid: u64,
        /// The damage.
        what: &'static str,
    },
    /// The file cannot be read, or ends too early.
    #[error("cannot read the image's {len} bytes at {offset}")]
    Io {
        /// Where in the image.
        offset: u64,
        /// Number of bytes.
        len: usize,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

impl StoredInode {
    /// Its number.
    #[must_use]
    pub fn nid(&self) -> u64 {
        self.nid
    }

    /// Type and permissions, as `stat` has them.
    #[must_use]
    pub fn mode(&self) -> u16 {
        self.raw.mode
    }

    /// Owner and group.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.raw.uid, self.raw.gid)
    }

    /// Number of links.
    #[must_use]
    pub fn nlink(&self) -> u32 {
        self.raw.nlink
    }

    /// Length of the content in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.raw.size
    }

    /// Modification time in seconds.
    #[must_use]
    pub fn mtime(&self) -> u64 {
        self.raw.mtime
    }

    /// Major and minor number, of a device.
    #[must_use]
    pub fn device(&self) -> (u32, u32) {
        decode_device(self.raw.union)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.raw.mode & TYPE_MASK == DIRECTORY
    }

    /// Whether it is a symbolic link, whose content is its target.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.raw.mode & TYPE_MASK == SYMLINK
    }

    pub(super) fn raw(&self) -> &RawInode {
        &self.raw
    }

    /// Whether the inode's size is that of a content in the image. A device has none.
    pub(super) fn has_content(&self) -> bool {
        matches!(self.raw.mode & TYPE_MASK, REGULAR | DIRECTORY | SYMLINK)
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::Damaged { nid: self.nid, what }
    }
}

impl Image {
    /// Opens the image that begins at byte `start` of a file.
    ///
    /// # Errors
    /// There is no supported superblock.
    pub fn open(file: File, start: u64) -> Result<Self, ReadError> {
        let mut area = [0; SUPER_AREA];
        read(&file, start, SUPER_OFFSET as u64, &mut area)?;
        Ok(Self { file, start, superblock: Superblock::parse(&area)? })
    }

    /// The superblock.
    #[must_use]
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The inode with this number.
    ///
    /// # Errors
    /// There is no valid inode with this number.
    pub fn node(&self, nid: u64) -> Result<StoredInode, ReadError> {
        let damaged = |what| ReadError::Damaged { nid, what };
        let offset = self.offset(nid).ok_or_else(|| damaged("lies outside of the image"))?;
        let mut bytes = [0; EXTENDED_INODE];
        // A compact inode may be the last bytes of the image.
        let len = usize::try_from((self.len() - offset).min(EXTENDED_INODE as u64)).unwrap_or(EXTENDED_INODE);
        self.read(offset, &mut bytes[..len])?;
        let raw = RawInode::parse(&bytes, self.superblock.build_time).ok_or_else(|| damaged("unknown format"))?;
        Ok(StoredInode { nid, raw })
    }

    /// The root directory.
    ///
    /// # Errors
    /// The superblock names no valid inode.
    pub fn root(&self) -> Result<StoredInode, ReadError> {
        self.node(self.superblock.root_nid.into())
    }

    /// The extended attributes of an inode.
    ///
    /// # Errors
    /// They cannot be read, or are shared between inodes, as other programs write them.
    pub fn xattrs(&self, node: &StoredInode) -> Result<Xattrs, ReadError> {
        let mut bytes = vec![0; node.raw.xattr_len];
        let behind = self.offset(node.nid).map(|offset| offset + node.raw.len() as u64);
        self.read(behind.ok_or_else(|| node.damaged("lies outside of the image"))?, &mut bytes)?;
        xattr::decode(&bytes).ok_or_else(|| node.damaged("extended attributes damaged or shared"))
    }

    /// Reads content, a link's target or a directory's blocks from `offset` on, until `buf` is full or the content ends.
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// The content is outside of the image, or cannot be read.
    pub fn read_at(&self, node: &StoredInode, offset: u64, buf: &mut [u8]) -> Result<usize, ReadError> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset.saturating_add(done as u64);
            if at >= node.raw.size {
                break;
            }
            let (place, run) = self.map(node, at)?;
            let want = usize::try_from(run.min(node.raw.size - at)).unwrap_or(usize::MAX).min(buf.len() - done);
            let piece = &mut buf[done..done + want];
            match place {
                Some(place) => self.read(place, piece)?,
                None => piece.fill(0),
            }
            done += want;
        }
        Ok(done)
    }

    /// Where the byte at `at` of the content is in the image (`None` for zeros), and how many bytes are adjacent from there.
    pub(super) fn map(&self, node: &StoredInode, at: u64) -> Result<(Option<u64>, u64), ReadError> {
        let raw = &node.raw;
        let header = (raw.len() + raw.xattr_len) as u64;
        let behind = self.offset(node.nid).map(|offset| offset + header);
        let behind = behind.ok_or_else(|| node.damaged("lies outside of the image"))?;
        let start = u64::from(raw.union) * BLOCK;
        let whole_blocks = raw.size.saturating_sub(1) / BLOCK * BLOCK;
        match raw.layout {
            DataLayout::FlatInline if at >= whole_blocks => {
                Ok((Some(behind.saturating_add(at - whole_blocks)), raw.size - at))
            }
            DataLayout::FlatInline => Ok((Some(start.saturating_add(at)), whole_blocks - at)),
            DataLayout::FlatPlain => Ok((Some(start.saturating_add(at)), raw.size - at)),
            DataLayout::ChunkBased if raw.union & CHUNK_INDEXES != 0 => Err(node.damaged("chunks on other devices")),
            DataLayout::ChunkBased => {
                let bits = raw.chunk_bits();
                let mut bytes = [0; 4];
                self.read(behind.saturating_add(4 * (at >> bits)), &mut bytes)?;
                let (block, inside) = (u32_at(&bytes, 0), at & ((1 << bits) - 1));
                let place = (block != NULL_ADDR).then(|| u64::from(block) * BLOCK + inside);
                Ok((place, (1 << bits) - inside))
            }
        }
    }

    /// The blocks of the image that hold only content of this inode, as byte ranges in the order of the content. Adjacent
    /// blocks are one range. A tail after the inode is not included.
    ///
    /// # Errors
    /// They are outside of the image, or the image cannot be read.
    pub fn extents(&self, node: &StoredInode) -> Result<Vec<Range<u64>>, ReadError> {
        let raw = &node.raw;
        let len = match raw.layout {
            _ if !node.has_content() => 0,
            DataLayout::FlatInline => raw.size.saturating_sub(1) / BLOCK * BLOCK,
            DataLayout::FlatPlain | DataLayout::ChunkBased => raw.size,
        };
        let (mut extents, mut at): (Vec<Range<u64>>, u64) = (Vec::new(), 0);
        while at < len {
            let (place, run) = self.map(node, at)?;
            let run = run.min(len - at);
            if let Some(start) = place {
                let end = run.checked_next_multiple_of(BLOCK).and_then(|run| start.checked_add(run));
                let end = end.filter(|end| *end <= self.len());
                let end = end.ok_or_else(|| node.damaged("content lies outside of the image"))?;
                match extents.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => extents.push(start..end),
                }
            }
            at += run;
        }
        Ok(extents)
    }

    /// The names in a directory, without `.` and `..`.
    ///
    /// # Errors
    /// It is not a directory, or is damaged.
    pub fn entries(&self, dir: &StoredInode) -> Result<Vec<Dirent>, ReadError> {
        if !dir.is_dir() {
            return Err(dir.damaged("not a directory"));
        }
        if dir.raw.size > self.len() {
            return Err(dir.damaged("directory larger than the image"));
        }
        let mut entries = Vec::new();
        let mut block = [0; 4096];
        for at in (0..dir.raw.size.div_ceil(BLOCK)).map(|number| number * BLOCK) {
            let len = self.read_at(dir, at, &mut block)?;
            let read = directory::decode(&block[..len]).ok_or_else(|| dir.damaged("directory block damaged"))?;
            entries.extend(read.into_iter().filter(|entry| !matches!(entry.name.as_slice(), b"." | b"..")));
        }
        Ok(entries)
    }

    /// All inodes of the image with their paths, which begin with `/`. Parents come first.
    ///
    /// # Errors
    /// The image is damaged, or a directory has two names.
    pub fn walk(&self) -> Result<Vec<(Vec<u8>, StoredInode)>, ReadError> {
        let root = self.root()?;
        let mut seen = BTreeSet::from([root.nid]);
        let mut all = vec![(b"/".to_vec(), root)];
        let mut next = 0;
        while let Some((path, node)) = all.get(next).cloned() {
            next += 1;
            if !node.is_dir() {
                continue;
            }
            let prefix = path.strip_suffix(b"/").unwrap_or(&path);
            for entry in self.entries(&node)? {
                let child = self.node(entry.nid)?;
                let path = [prefix, b"/", &entry.name].concat();
                if path.len() > PATH_MAX {
                    return Err(node.damaged("path longer than 4096 bytes"));
                }
                if child.is_dir() && !seen.insert(child.nid) {
                    return Err(child.damaged("directory with two names"));
                }
                all.push((path, child));
            }
        }
        Ok(all)
    }

    /// Bytes of the image, from the superblock.
    fn len(&self) -> u64 {
        u64::from(self.superblock.blocks) * BLOCK
    }

    /// Byte offset of an inode. `None` if it is outside of the image.
    pub(super) fn offset(&self, nid: u64) -> Option<u64> {
        let base = u64::from(self.superblock.meta_blkaddr) * BLOCK;
        nid.checked_mul(SLOT)?.checked_add(base).filter(|offset| *offset < self.len())
    }

    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len()) {
            let cause = io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the size in the superblock");
            return Err(ReadError::Io { offset, len: buf.len(), cause });
        }
        read(&self.file, self.start, offset, buf)
    }
}

fn read(file: &File, start: u64, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
    let at = start.checked_add(offset).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
    let len = buf.len();
    at.and_then(|at| file.read_exact_at(buf, at)).map_err(|cause| ReadError::Io { offset, len, cause })
}
