//! Names of the places in an ext4 file system. <https://docs.kernel.org/filesystems/ext4/index.html>

use crate::{
    place::{Fields, Place},
    range::Range,
};
use std::collections::BTreeMap;

const SUPERBLOCK: Fields = &[
    (0x0, "s_inodes_count"),
    (0x4, "s_blocks_count_lo"),
    (0x8, "s_r_blocks_count_lo"),
    (0xc, "s_free_blocks_count_lo"),
    (0x10, "s_free_inodes_count"),
    (0x14, "s_first_data_block"),
    (0x18, "s_log_block_size"),
    (0x1c, "s_log_cluster_size"),
    (0x20, "s_blocks_per_group"),
    (0x24, "s_clusters_per_group"),
    (0x28, "s_inodes_per_group"),
    (0x2c, "s_mtime"),
    (0x30, "s_wtime"),
    (0x34, "s_mnt_count"),
    (0x36, "s_max_mnt_count"),
    (0x38, "s_magic"),
    (0x3a, "s_state"),
    (0x3c, "s_errors"),
    (0x3e, "s_minor_rev_level"),
    (0x40, "s_lastcheck"),
    (0x44, "s_checkinterval"),
    (0x48, "s_creator_os"),
    (0x4c, "s_rev_level"),
    (0x50, "s_def_resuid"),
    (0x52, "s_def_resgid"),
    (0x54, "s_first_ino"),
    (0x58, "s_inode_size"),
    (0x5a, "s_block_group_nr"),
    (0x5c, "s_feature_compat"),
    (0x60, "s_feature_incompat"),
    (0x64, "s_feature_ro_compat"),
    (0x68, "s_uuid"),
    (0x78, "s_volume_name"),
    (0x88, "s_last_mounted"),
    (0xc8, "fields of the journal and of hashed directories"),
    (0x108, "s_mkfs_time"),
    (0x10c, "s_jnl_blocks"),
    (0x150, "fields of 64-bit and other features"),
    (0x3fc, "s_checksum"),
    (0x400, ""),
];
const GROUP: Fields = &[
    (0x0, "bg_block_bitmap_lo"),
    (0x4, "bg_inode_bitmap_lo"),
    (0x8, "bg_inode_table_lo"),
    (0xc, "bg_free_blocks_count_lo"),
    (0xe, "bg_free_inodes_count_lo"),
    (0x10, "bg_used_dirs_count_lo"),
    (0x12, "bg_flags"),
    (0x14, "bg_exclude_bitmap_lo"),
    (0x18, "bg_block_bitmap_csum_lo"),
    (0x1a, "bg_inode_bitmap_csum_lo"),
    (0x1c, "bg_itable_unused_lo"),
    (0x1e, "bg_checksum"),
    (0x20, "high halves"),
    (0x40, ""),
];
const INODE: Fields = &[
    (0x0, "i_mode"),
    (0x2, "i_uid"),
    (0x4, "i_size_lo"),
    (0x8, "i_atime"),
    (0xc, "i_ctime"),
    (0x10, "i_mtime"),
    (0x14, "i_dtime"),
    (0x18, "i_gid"),
    (0x1a, "i_links_count"),
    (0x1c, "i_blocks_lo"),
    (0x20, "i_flags"),
    (0x24, "i_version"),
    (0x28, "i_block"),
    (0x64, "i_generation"),
    (0x68, "i_file_acl_lo"),
    (0x6c, "i_size_high"),
    (0x70, "i_obso_faddr"),
    (0x74, "high halves"),
    (0x7c, "i_checksum_lo"),
    (0x7e, "i_reserved"),
    (0x80, "i_extra_isize"),
    (0x82, "i_checksum_hi"),
    (0x84, "i_ctime_extra"),
    (0x88, "i_mtime_extra"),
    (0x8c, "i_atime_extra"),
    (0x90, "i_crtime"),
    (0x94, "i_crtime_extra"),
    (0x98, "i_version_hi"),
    (0x9c, "i_projid"),
    (0xa0, "extended attributes"),
    (0x400, ""),
];
const SUPER_OFFSET: u64 = 1024;
const ROOT: u64 = 2;
const JOURNAL: u64 = 8;
const DIRECTORY: u64 = 0o4;
const EXTENT_MAGIC: u64 = 0xf30a;

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(view: &Range<'_>, at: u64) -> Option<Place> {
    if at < SUPER_OFFSET {
        return Some(Place::new("before the superblock", SUPER_OFFSET));
    }
    if let Some(field) = Place::field(SUPERBLOCK, SUPER_OFFSET, at) {
        return Some(field.within("superblock", 0));
    }
    let fs = FileSystem::read(view)?;
    let paths = fs.paths();
    let inode_name = |number: u64| match (paths.get(&number), number) {
        (Some(path), _) => format!("inode of {path}"),
        (None, JOURNAL) => "inode of the journal".to_owned(),
        (None, _) => format!("inode {number}"),
    };
    let (block, inside) = (at / fs.block, at % fs.block);
    let end = (block + 1) * fs.block;
    for group in 0..fs.groups {
        let first = group * fs.blocks_per_group;
        // Groups with copies of superblock and descriptors: 1 and the powers of 3, 5 and 7.
        if fs.has_copy(group) && block >= first && block - first <= fs.descriptor_blocks {
            let descriptors = (first + 1) * fs.block;
            let which = if group == 0 { String::new() } else { format!("group {group}: copy of ") };
            return match at.checked_sub(descriptors) {
                None => Some(Place::new(format!("{which}superblock"), descriptors)),
                Some(inside) => {
                    let number = inside / fs.descriptor;
                    let field = Place::field(GROUP, descriptors + number * fs.descriptor, at)?;
                    Some(field.within(format!("{which}descriptor of group {number}"), 0))
                }
            };
        }
        let [blocks, inodes, table] = fs.tables(group)?;
        for (name, bitmap) in [("block bitmap", blocks), ("inode bitmap", inodes)] {
            if block == bitmap {
                return Some(Place::new(format!("group {group}: {name}: byte {inside}"), end));
            }
        }
        let table = table * fs.block;
        if (table..table + fs.inodes_per_group * fs.inode).contains(&at) {
            let index = (at - table) / fs.inode;
            let field = Place::field(INODE, table + index * fs.inode, at)?;
            let name = inode_name(group * fs.inodes_per_group + index + 1);
            return Some(field.within(format!("group {group}: inode table: {name}"), 0));
        }
    }
    let known = paths.iter().map(|(number, path)| (*number, path.as_str())).chain([(JOURNAL, "the journal")]);
    for (number, path) in known {
        for (file_block, start, len) in fs.extents(number).unwrap_or_default() {
            if (start..start + len).contains(&block) {
                let offset = (file_block + block - start) * fs.block + inside;
                return Some(Place::new(format!("content of {path}: byte {offset}"), end));
            }
        }
    }
    Some(Place::new(format!("block {block}, which no file has"), end))
}

struct FileSystem<'a> {
    view: &'a Range<'a>,
    block: u64,
    blocks_per_group: u64,
    inodes_per_group: u64,
    inode: u64,
    descriptor: u64,
    groups: u64,
    descriptor_blocks: u64,
}

impl<'a> FileSystem<'a> {
    fn read(view: &'a Range<'a>) -> Option<Self> {
        let field = |at: u64| view.u32(SUPER_OFFSET + at);
        let block = 1024 << field(0x18).filter(|log| *log <= 6)?;
        let blocks_per_group = field(0x20).filter(|count| *count > 0)?;
        let descriptor = view.u16(SUPER_OFFSET + 0xfe)?.max(32);
        let groups = field(0x4)?.div_ceil(blocks_per_group);
        Some(Self {
            view,
            block,
            blocks_per_group,
            inodes_per_group: field(0x28).filter(|count| *count > 0)?,
            inode: view.u16(SUPER_OFFSET + 0x58)?.max(128),
            descriptor,
            groups,
            descriptor_blocks: (groups * descriptor).div_ceil(block),
        })
    }

    fn has_copy(&self, group: u64) -> bool {
        group <= 1 || [3_u64, 5, 7].iter().any(|base| (1..=20).any(|power| base.checked_pow(power) == Some(group)))
    }

    /// Blocks of the block bitmap, the inode bitmap and the inode table.
    fn tables(&self, group: u64) -> Option<[u64; 3]> {
        let start = self.block + group * self.descriptor;
        Some([self.view.u32(start)?, self.view.u32(start + 4)?, self.view.u32(start + 8)?])
    }

    fn inode(&self, number: u64) -> Option<u64> {
        let (group, index) = ((number - 1) / self.inodes_per_group, (number - 1) % self.inodes_per_group);
        Some(self.tables(group)?[2] * self.block + index * self.inode)
    }

    /// Block of the file, block of the disk, number of blocks.
    fn extents(&self, inode: u64) -> Option<Vec<(u64, u64, u64)>> {
        let mut all = Vec::new();
        self.extents_at(self.inode(inode)? + 0x28, 5, &mut all)?;
        Some(all)
    }

    fn extents_at(&self, node: u64, depth_left: u64, all: &mut Vec<(u64, u64, u64)>) -> Option<()> {
        let depth = self.view.u16(node + 6)?;
        if self.view.u16(node)? != EXTENT_MAGIC || depth > depth_left {
            return None;
        }
        for number in 0..self.view.u16(node + 2)? {
            let entry = node + 12 * (number + 1);
            if depth == 0 {
                let (from, len) = (self.view.u32(entry)?, self.view.u16(entry + 4)?);
                all.push((from, self.view.u32(entry + 8)?, len));
            } else {
                self.extents_at(self.view.u32(entry + 4)? * self.block, depth - 1, all)?;
            }
        }
        Some(())
    }

    /// The paths of all inodes that have a name, by inode number.
    fn paths(&self) -> BTreeMap<u64, String> {
        let (mut paths, mut folders) = (BTreeMap::from([(ROOT, "/".to_owned())]), vec![(ROOT, String::new())]);
        while let Some((folder, path)) = folders.pop() {
            for (_, start, len) in self.extents(folder).unwrap_or_default() {
                for block in start..start + len {
                    for (inode, name) in self.names(block * self.block) {
                        let child = format!("{path}/{name}");
                        let mode = self.inode(inode).and_then(|at| self.view.u16(at)).unwrap_or(0);
                        if !paths.contains_key(&inode) && mode >> 12 == DIRECTORY {
                            folders.push((inode, child.clone()));
                        }
                        paths.entry(inode).or_insert(child);
                    }
                }
            }
        }
        paths
    }

    fn names(&self, block: u64) -> Vec<(u64, String)> {
        let (mut all, mut at) = (Vec::new(), block);
        while at + 8 <= block + self.block {
            let (Some(inode), Some(len), Some(name_len)) =
                (self.view.u32(at), self.view.u16(at + 4), self.view.u8(at + 6))
            else {
                break;
            };
            let name = self.view.bytes(at + 8, name_len).unwrap_or_default();
            if inode != 0 && name_len > 0 && name != b"." && name != b".." {
                all.push((inode, name.escape_ascii().to_string()));
            }
            at += len.max(8);
        }
        all
    }
}
