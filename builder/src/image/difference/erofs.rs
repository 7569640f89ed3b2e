//! The root file system: fs/erofs/erofs_fs.h.

use super::{
    place::{Fields, Place},
    view::View,
};
use berth_formats::erofs::{BLOCK, read::Image};
use std::ops::Range;

const SUPER_OFFSET: u64 = 1024;
const SUPERBLOCK: Fields = &[
    (0, "magic"),
    (4, "checksum"),
    (8, "feature_compat"),
    (12, "blkszbits"),
    (13, "sb_extslots"),
    (14, "root_nid"),
    (16, "inos"),
    (24, "build_time"),
    (32, "build_time_nsec"),
    (36, "blocks"),
    (40, "meta_blkaddr"),
    (44, "xattr_blkaddr"),
    (48, "uuid"),
    (64, "volume_name"),
    (80, "feature_incompat"),
    (84, "fields of features that are not used"),
    (128, ""),
];
const COMPACT: Fields = &[
    (0, "i_format"),
    (2, "i_xattr_icount"),
    (4, "i_mode"),
    (6, "i_nlink"),
    (8, "i_size"),
    (12, "i_reserved"),
    (16, "i_u"),
    (20, "i_ino"),
    (24, "i_uid"),
    (26, "i_gid"),
    (28, "i_reserved2"),
    (32, ""),
];
const EXTENDED: Fields = &[
    (0, "i_format"),
    (2, "i_xattr_icount"),
    (4, "i_mode"),
    (6, "i_reserved"),
    (8, "i_size"),
    (16, "i_u"),
    (20, "i_ino"),
    (24, "i_uid"),
    (28, "i_gid"),
    (32, "i_mtime"),
    (40, "i_mtime_nsec"),
    (44, "i_nlink"),
    (48, "i_reserved2"),
    (64, ""),
];
const DIRENT: Fields = &[(0, "nid"), (8, "nameoff"), (10, "file_type"), (11, "reserved"), (DIRENT_LEN, "")];
const DIRENT_LEN: u64 = 12;
/// An inode's number is its offset divided by this.
const SLOT: u64 = 32;
/// Layouts of an inode's content.
const FLAT_INLINE: u64 = 2;
const CHUNK_BASED: u64 = 4;

pub(super) fn place(view: &View, at: u64) -> Option<Place> {
    if at < SUPER_OFFSET {
        return Some(Place::new("before the superblock", SUPER_OFFSET));
    }
    if let Some(field) = Place::field(SUPERBLOCK, SUPER_OFFSET, at) {
        return Some(field.within("superblock", 0));
    }
    let image = Image::open(view.file.try_clone().ok()?, view.start).ok()?;
    let base = u64::from(image.superblock().meta_blkaddr) * BLOCK;
    let nodes = image.walk().ok()?;
    let found = nodes.iter().find_map(|(path, node)| {
        let path = path.escape_ascii();
        let inode = Inode::read(view, base + node.nid() * SLOT)?;
        if let Some(field) = Place::field(inode.fields, inode.start, at) {
            return Some(field.within(format!("inode of {path}"), 0));
        }
        if inode.xattrs().contains(&at) {
            return Some(Place::new(format!("extended attributes of {path}"), inode.xattrs().end));
        }
        if let Some(chunk) = inode.chunk_map().filter(|map| map.contains(&at)) {
            return Some(Place::new(format!("chunk map of {path}"), chunk.end));
        }
        let (piece, offset) = inode.pieces(view).into_iter().find(|(piece, _)| piece.contains(&at))?;
        Some(match node.is_dir() {
            true => {
                entry(view, &piece, at).unwrap_or(Place::new("block", piece.end)).within(format!("directory {path}"), 0)
            }
            false => Place::new(format!("content of {path}: byte {}", offset + at - piece.start), piece.end),
        })
    });
    Some(found.unwrap_or(Place::new("between inodes and contents", at + 1)))
}

/// What of an inode says where its parts are.
struct Inode {
    start: u64,
    fields: Fields,
    layout: u64,
    xattr_len: u64,
    size: u64,
    union: u64,
}

impl Inode {
    fn read(view: &View, start: u64) -> Option<Self> {
        let format = view.u16(start)?;
        let extended = format & 1 == 1;
        let xattr_len = match view.u16(start + 2)? {
            0 => 0,
            count => 12 + 4 * (count - 1),
        };
        let high = if extended { view.u32(start + 12)? } else { 0 };
        Some(Self {
            start,
            fields: if extended { EXTENDED } else { COMPACT },
            layout: format >> 1,
            xattr_len,
            size: view.u32(start + 8)? | high << 32,
            union: view.u32(start + 16)?,
        })
    }

    fn xattrs(&self) -> Range<u64> {
        let end = self.start + self.fields.last().map_or(0, |(len, _)| *len);
        end..end + self.xattr_len
    }

    fn chunk_len(&self) -> u64 {
        BLOCK << (self.union & 0x1f)
    }

    fn chunk_map(&self) -> Option<Range<u64>> {
        let start = self.xattrs().end;
        (self.layout == CHUNK_BASED).then(|| start..start + 4 * self.size.div_ceil(self.chunk_len()))
    }

    /// Where the content lies, and which byte of it comes first there.
    fn pieces(&self, view: &View) -> Vec<(Range<u64>, u64)> {
        let start = self.union * BLOCK;
        match self.layout {
            CHUNK_BASED => {
                let numbers = 0..self.size.div_ceil(self.chunk_len());
                let piece = |number: u64| {
                    let block = view.u32(self.xattrs().end + 4 * number)?;
                    let offset = number * self.chunk_len();
                    let (start, len) = (block * BLOCK, self.chunk_len().min(self.size - offset));
                    (block != u64::from(u32::MAX)).then_some((start..start + len, offset))
                };
                numbers.filter_map(piece).collect()
            }
            FLAT_INLINE => {
                let whole = self.size.saturating_sub(1) / BLOCK * BLOCK;
                let behind = self.xattrs().end;
                vec![(start..start + whole, 0), (behind..behind + self.size - whole, whole)]
            }
            _ => vec![(start..start + self.size, 0)],
        }
    }
}

/// The entry in a directory's blocks: all entries of a block stand before their names.
fn entry(view: &View, piece: &Range<u64>, at: u64) -> Option<Place> {
    let block = piece.start + (at - piece.start) / BLOCK * BLOCK;
    let end = piece.end.min(block + BLOCK);
    let name_offset = |number: u64| view.u16(block + number * DIRENT_LEN + 8);
    let count = name_offset(0)? / DIRENT_LEN;
    let span = |number: u64| {
        let name_end = if number + 1 < count { block + name_offset(number + 1)? } else { end };
        Some(block + name_offset(number)?..name_end)
    };
    let name = |number: u64| {
        let span = span(number)?;
        let bytes = view.bytes(span.start, span.end.checked_sub(span.start)?)?;
        Some(bytes.split(|byte| *byte == 0).next()?.escape_ascii().to_string())
    };
    let number = (at - block) / DIRENT_LEN;
    if number < count {
        let field = Place::field(DIRENT, block + number * DIRENT_LEN, at)?;
        return Some(field.within(format!("entry {}", name(number)?), 0));
    }
    let number = (0..count).find(|number| span(*number).is_some_and(|span| span.contains(&at)))?;
    Some(Place::new(format!("entry {}: name", name(number)?), span(number)?.end))
}
