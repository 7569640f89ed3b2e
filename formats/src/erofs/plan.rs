//! The layout of an image. It is complete before a byte is written.

use super::{
    BLOCK, Body, Error, FileSystem, InodeIndex, TAIL_MAX, Wrong,
    chunks::Chunks,
    copy::Source,
    directory,
    format::{COMPACT_INODE, DataLayout, EXTENDED_INODE, RawInode, SLOT, encode_device},
    pack::Packer,
    tree::Tree,
    xattr,
};
use std::{collections::BTreeMap, ops::Bound};

/// Longest label.
const LABEL_MAX: usize = 16;
/// Metadata begins in the block after the superblock's. The root is its first piece, so that the root's number fits into 16
/// bits. It is not in block 0: then its number would be 0, and some programs take that for a deleted file.
const METADATA_BLOCK: u64 = 1;

/// The layout of an image.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) fs: &'a FileSystem,
    /// Inodes in the order of the tree.
    pub(super) inodes: Vec<Planned>,
    /// Number of each inode, by index.
    pub(super) nids: Vec<u64>,
    blocks: u32,
}

/// One inode of an image.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) index: InodeIndex,
    pub(super) parent: InodeIndex,
    pub(super) nlink: u32,
    /// Length of the content.
    pub(super) size: u64,
    /// Bytes of the inode with its attributes.
    pub(super) header: u64,
    pub(super) place: Place,
    /// First block of the content, if it has blocks.
    pub(super) start: u64,
}

/// Where the content is.
#[derive(Debug)]
pub(super) enum Place {
    /// All of the content is in blocks, or there is no content.
    Blocks,
    /// The last `tail` bytes are after the inode, the others in blocks.
    Inline { tail: u64 },
    /// In blocks; chunks of zeros are left out.
    Chunked(Chunks),
}

impl Planned {
    /// Bytes that must be adjacent: inode, attributes, and chunk map or tail.
    fn len(&self) -> u64 {
        self.header
            + match &self.place {
                Place::Blocks => 0,
                Place::Inline { tail } => *tail,
                Place::Chunked(chunks) => chunks.map_len(),
            }
    }

    /// Bytes of the content that are in blocks, except for chunks.
    pub(super) fn in_blocks(&self) -> u64 {
        match self.place {
            Place::Inline { tail } => self.size - tail,
            _ => self.size,
        }
    }

    fn blocks(&self) -> u64 {
        match &self.place {
            Place::Chunked(chunks) => chunks.blocks(),
            _ => self.in_blocks().div_ceil(BLOCK),
        }
    }

    pub(super) fn layout(&self) -> DataLayout {
        match self.place {
            Place::Blocks => DataLayout::FlatPlain,
            Place::Inline { .. } => DataLayout::FlatInline,
            Place::Chunked(_) => DataLayout::ChunkBased,
        }
    }
}

/// Files of this size and more are placed together: large programs of one project, from several folders, have much in
/// common.
const LARGE: u64 = 8 << 20;

impl<'a> Plan<'a> {
    /// Makes the layout of an image. Only pages of large files are read, to find zeros.
    ///
    /// # Errors
    /// EROFS cannot hold the tree, or a source cannot be read.
    pub fn new(fs: &'a FileSystem) -> Result<Self, Error> {
        if fs.label.len() > LABEL_MAX {
            return Err(Error::Label { label: fs.label.clone() });
        }
        let tree = Tree::walk(fs)?;
        let mut source = Source::default();
        let inodes = tree.order.iter().map(|index| planned(fs, &tree, *index, &mut source));
        let mut plan =
            Plan { fs, inodes: inodes.collect::<Result<_, _>>()?, nids: vec![0; fs.inodes.len()], blocks: 0 };

        let mut next = METADATA_BLOCK;
        for self_contained in [false, true] {
            let mut packer = Packer::new(next);
            for inode in &plan.inodes {
                // Content in blocks needs an address; a directory holds the numbers of other inodes.
                let refers = inode.blocks() > 0 || matches!(fs.inodes[inode.index.0].body, Body::Directory(_));
                if refers != self_contained {
                    plan.nids[inode.index.0] = packer.place(inode.len()) / SLOT;
                }
            }
            next = packer.end();
        }
        for group in [Group::Directories, Group::Large, Group::Others] {
            for inode in &mut plan.inodes {
                if group == Group::of(inode, &fs.inodes[inode.index.0].body) && inode.blocks() > 0 {
                    inode.start = next;
                    next += inode.blocks();
                }
            }
        }
        plan.blocks = u32::try_from(next).map_err(|_| Error::TooLarge { blocks: next })?;
        Ok(plan)
    }

    /// Bytes of the image, a multiple of [`BLOCK`].
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.blocks) * BLOCK
    }

    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }
}

fn planned(fs: &FileSystem, tree: &Tree<'_>, index: InodeIndex, source: &mut Source) -> Result<Planned, Error> {
    let inode = &fs.inodes[index.0];
    let wrong = |wrong| tree.wrong(index, wrong);
    let xattr_len = xattr::encode(&inode.meta.xattrs).map_err(|bad| wrong(Wrong::Xattr(bad)))?.len();
    let parent = tree.parent[index.0].unwrap_or(fs.root);
    let mut chunks = None;
    let size = match &inode.body {
        Body::Directory(names) => directory::size(entries(names, index, parent).map(|(name, _)| name.len())),
        Body::File(data) => {
            chunks = Chunks::find(data, source)?;
            data.len()
        }
        Body::Symlink(target) => target.len() as u64,
        Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } => {
            let (major, minor) = (*major, *minor);
            encode_device(major, minor).ok_or_else(|| wrong(Wrong::Device { major, minor }))?;
            0
        }
        Body::Fifo | Body::Socket => 0,
    };
    let nlink = tree.nlink[index.0];
    let extended = RawInode::needs_extended(inode.meta.uid, inode.meta.gid, nlink, size);
    let header = (xattr_len + if extended { EXTENDED_INODE } else { COMPACT_INODE }) as u64;
    let tail = if header + size <= BLOCK { size } else { size % BLOCK };
    // A tail is in the same block as its inode. Linux 6.1 expects that of symbolic links.
    let inline = match &inode.body {
        Body::File(_) if tail < size => tail <= TAIL_MAX,
        _ => true,
    };
    let place = match chunks {
        Some(chunks) => Place::Chunked(chunks),
        None if tail > 0 && inline && header + tail <= BLOCK => Place::Inline { tail },
        None => Place::Blocks,
    };
    Ok(Planned { index, parent, nlink, size, header, place, start: 0 })
}

/// Groups of contents that are placed together in blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Directories,
    Large,
    Others,
}

impl Group {
    fn of(planned: &Planned, body: &Body) -> Self {
        match body {
            Body::Directory(_) => Self::Directories,
            _ if planned.size >= LARGE => Self::Large,
            _ => Self::Others,
        }
    }
}

/// A directory's names as they are stored: in order, with `.` and `..` among them.
pub(super) fn entries(
    names: &BTreeMap<Vec<u8>, InodeIndex>,
    own: InodeIndex,
    parent: InodeIndex,
) -> impl Iterator<Item = (&[u8], InodeIndex)> {
    let (dot, dots): (&[u8], &[u8]) = (b".", b"..");
    let between = |from: Bound<&[u8]>, to: Bound<&[u8]>| {
        names.range::<[u8], _>((from, to)).map(|(name, index)| (name.as_slice(), *index))
    };
    let first = between(Bound::Unbounded, Bound::Excluded(dot)).chain([(dot, own)]);
    let second = between(Bound::Excluded(dot), Bound::Excluded(dots)).chain([(dots, parent)]);
    first.chain(second).chain(between(Bound::Excluded(dots), Bound::Unbounded))
}
