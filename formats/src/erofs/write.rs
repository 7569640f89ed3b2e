//! A planned image onto disk.

use super::{
    BLOCK, Body, Error, Inode, Written,
    copy::{Jobs, put},
    directory,
    format::{
        BLOCK_DEVICE, CHAR_DEVICE, DIRECTORY, FIFO, INCOMPAT_CHUNKED_FILE, NULL_ADDR, REGULAR, RawInode, SLOT, SOCKET,
        SUPER_OFFSET, SYMLINK, Superblock, encode_device, file_type,
    },
    plan::{Place, Plan, Planned, entries},
    xattr,
};
use std::{borrow::Cow, fs::File, num::NonZeroUsize};

impl Plan<'_> {
    /// Writes the image over whatever `out` holds. `out` stays sparse where the image is zero. The bytes do not depend
    /// on the number of threads. Each thread has one source open at a time and opens none twice.
    ///
    /// # Errors
    /// When a source cannot be read or has become shorter, or `out` cannot be written.
    pub fn write(&self, out: &File, threads: NonZeroUsize) -> Result<Written, Error> {
        let size = self.size();
        let failed = |cause| Error::Output { offset: 0, len: size, cause };
        out.set_len(0).and_then(|()| out.set_len(size)).map_err(failed)?;
        let mut window = Window { out, start: 0, bytes: Vec::new() };
        window.put(&self.superblock().to_bytes(), SUPER_OFFSET as u64)?;
        let mut jobs = Jobs::default();
        let mut by_nid: Vec<_> = self.inodes.iter().collect();
        by_nid.sort_unstable_by_key(|inode| self.nids[inode.index.0]);
        for inode in by_nid {
            self.write_inode(inode, &mut window, &mut jobs)?;
        }
        // Inodes first: their window also writes the zeros between them, where tails will lie.
        window.flush()?;
        jobs.run(out, threads)?;
        Ok(Written { size })
    }

    fn superblock(&self) -> Superblock {
        let chunked = self.inodes.iter().any(|inode| matches!(inode.place, Place::Chunked(_)));
        let mut volume_name = [0; 16];
        volume_name[..self.fs.label.len()].copy_from_slice(self.fs.label.as_bytes());
        Superblock {
            feature_incompat: if chunked { INCOMPAT_CHUNKED_FILE } else { 0 },
            root_nid: u16::try_from(self.nids[self.fs.root.0]).unwrap_or(0),
            inos: self.inodes.len() as u64,
            build_time: self.fs.epoch,
            blocks: self.blocks(),
            meta_blkaddr: 0,
            uuid: self.fs.uuid,
            volume_name,
        }
    }

    fn write_inode<'a>(&'a self, planned: &Planned, window: &mut Window<'_>, jobs: &mut Jobs<'a>) -> Result<(), Error> {
        let inode = &self.fs.inodes[planned.index.0];
        let at = self.nids[planned.index.0] * SLOT;
        let (behind, start) = (at + planned.header, planned.start * BLOCK);
        window.put(&self.header(planned, inode), at)?;
        let content = match &inode.body {
            Body::Directory(names) => {
                let entries = entries(names, planned.index, planned.parent);
                let typed = entries.map(|(name, to)| (name, self.nids[to.0], file_type(mode(&self.fs.inodes[to.0]))));
                Cow::Owned(directory::encode(&typed.collect::<Vec<_>>()))
            }
            Body::Symlink(target) => Cow::Borrowed(target.as_slice()),
            Body::File(data) => {
                if let Place::Chunked(chunks) = &planned.place {
                    for (from, len, block) in chunks.places().flatten() {
                        jobs.add(data, from, len, start + block * BLOCK);
                    }
                    let address =
                        |(.., block): (u64, u64, u64)| u32::try_from(planned.start + block).unwrap_or(NULL_ADDR);
                    let map = chunks.places().flat_map(|place| place.map_or(NULL_ADDR, address).to_le_bytes());
                    window.put(&map.collect::<Vec<_>>(), behind)?;
                } else {
                    let in_blocks = planned.in_blocks();
                    jobs.add(data, 0, in_blocks, start);
                    jobs.add(data, in_blocks, planned.size - in_blocks, behind);
                }
                Cow::default()
            }
            _ => Cow::default(),
        };
        let (blocks, tail) = content.split_at(usize::try_from(planned.in_blocks()).unwrap_or(0).min(content.len()));
        put(window.out, blocks, start)?;
        window.put(tail, behind)
    }

    /// An inode and its attributes.
    fn header(&self, planned: &Planned, inode: &Inode) -> Vec<u8> {
        // Both have been checked by the plan.
        let mut xattrs = xattr::encode(&inode.meta.xattrs).unwrap_or_default();
        let union = match (&inode.body, &planned.place) {
            (Body::CharDevice { major, minor } | Body::BlockDevice { major, minor }, _) => {
                encode_device(*major, *minor).unwrap_or_default()
            }
            (_, Place::Chunked(chunks)) => chunks.format(),
            _ => u32::try_from(planned.start).unwrap_or(NULL_ADDR),
        };
        let raw = RawInode {
            layout: planned.layout(),
            extended: RawInode::needs_extended(inode.meta.uid, inode.meta.gid, planned.nlink, planned.size),
            mode: mode(inode),
            uid: inode.meta.uid,
            gid: inode.meta.gid,
            nlink: planned.nlink,
            size: planned.size,
            union,
            mtime: self.fs.epoch,
            xattr_len: xattrs.len(),
        };
        let mut bytes = raw.to_bytes();
        bytes.append(&mut xattrs);
        bytes
    }
}

fn mode(inode: &Inode) -> u16 {
    let kind = match &inode.body {
        Body::Directory(_) => DIRECTORY,
        Body::File(_) => REGULAR,
        Body::Symlink(_) => SYMLINK,
        Body::CharDevice { .. } => CHAR_DEVICE,
        Body::BlockDevice { .. } => BLOCK_DEVICE,
        Body::Fifo => FIFO,
        Body::Socket => SOCKET,
    };
    kind | inode.meta.mode
}

/// Collects small writes, which come in ascending order, and fills the gaps between them with zeros.
struct Window<'a> {
    out: &'a File,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    const LEN: usize = 1 << 20;

    fn put(&mut self, bytes: &[u8], at: u64) -> Result<(), Error> {
        let ahead = at.checked_sub(self.start).and_then(|ahead| usize::try_from(ahead).ok());
        let ahead = match ahead.filter(|ahead| ahead + bytes.len() <= Self::LEN) {
            Some(ahead) => ahead,
            None => {
                self.flush()?;
                self.start = at;
                0
            }
        };
        let end = ahead + bytes.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[ahead..end].copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        put(self.out, &self.bytes, self.start)?;
        self.bytes.clear();
        Ok(())
    }
}
