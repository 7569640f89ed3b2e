//! Names of the places in an EROFS image. <https://erofs.docs.kernel.org/en/latest/core_ondisk.html>, fields as in
//! fs/erofs/erofs_fs.h.

use super::{
    BLOCK,
    format::{DataLayout, SUPER_OFFSET},
    read::{Image, StoredInode},
};
use crate::{
    place::{Fields, Place},
    range::Range,
};
use std::ops;

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

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(view: &Range<'_>, at: u64) -> Option<Place> {
    let super_offset = SUPER_OFFSET as u64;
    if at < super_offset {
        return Some(Place::new("before the superblock", super_offset));
    }
    if let Some(field) = Place::field(SUPERBLOCK, super_offset, at) {
        return Some(field.within("superblock", 0));
    }
    let image = Image::open(view.file().try_clone().ok()?, view.start()).ok()?;
    let inodes = image.walk().ok()?;
    let found =
        inodes.iter().find_map(|(path, inode)| in_inode(view, &image, &path.escape_ascii().to_string(), inode, at));
    Some(found.unwrap_or(Place::new("between inodes and contents", at + 1)))
}

/// The place in an inode or in its content.
fn in_inode(view: &Range<'_>, image: &Image, path: &str, inode: &StoredInode, at: u64) -> Option<Place> {
    let raw = inode.raw();
    let start = image.offset(inode.nid())?;
    if let Some(field) = Place::field(if raw.extended { EXTENDED } else { COMPACT }, start, at) {
        return Some(field.within(format!("inode of {path}"), 0));
    }
    let xattrs = start + raw.len() as u64;
    let behind = xattrs + raw.xattr_len as u64;
    if (xattrs..behind).contains(&at) {
        return Some(Place::new(format!("extended attributes of {path}"), behind));
    }
    let mut offset = 0;
    while offset < raw.size && inode.has_content() {
        let (place, run) = image.map(inode, offset).ok()?;
        let run = run.min(raw.size - offset);
        if raw.layout == DataLayout::ChunkBased {
            let entry = behind + 4 * (offset / raw.chunk_len());
            if (entry..entry + 4).contains(&at) {
                return Some(Place::new(format!("chunk map of {path}"), entry + 4));
            }
        }
        if let Some(piece) = place.map(|start| start..start + run).filter(|piece| piece.contains(&at)) {
            return Some(match inode.is_dir() {
                true => {
                    let entry = entry(view, &piece, at).unwrap_or(Place::new("block", piece.end));
                    entry.within(format!("directory {path}"), 0)
                }
                false => Place::new(format!("content of {path}: byte {}", offset + at - piece.start), piece.end),
            });
        }
        offset += run;
    }
    None
}

/// The place in a directory's block: all dirents of a block come before their names.
fn entry(view: &Range<'_>, piece: &ops::Range<u64>, at: u64) -> Option<Place> {
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
