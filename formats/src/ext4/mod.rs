//! ext4 file systems for persistent state, after the kernel's Documentation/filesystems/ext4. Written by the `mkext4`
//! crate, whose bytes are the same for the same input as long as its version is.

mod superblock;

pub use superblock::{BadSuperblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock};

use crate::{data::Data, range::Range};
use berth_contract::disk::BLOCK;
use mkext4::{FsBuilder, InodeHandle, Meta, Options, ROOT, RegionSink};
use std::{collections::BTreeMap, io};

/// The smallest file system: the journal takes an eighth of it.
pub const MIN_SIZE: u64 = 512 << 20;
/// Blocks of the journal, 64 MiB. It does not grow with the file system, so it is chosen for what that grows to.
const JOURNAL_BLOCKS: u32 = 16384;
/// Per cent kept for the superuser. Everything that writes here is one; a little keeps the allocator out of trouble.
const RESERVED_PERCENT: u8 = 1;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Permission bits, at most 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Directory or file.
    pub kind: Kind,
}

/// The kinds of node that a fresh file system may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Data),
    /// A symbolic link to this target.
    Symlink(String),
}

/// What can go wrong in making an ext4 file system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ext4Error {
    /// No size for a file system.
    #[error("an ext4 file system needs {MIN_SIZE} bytes (512 MiB) at least and a multiple of {BLOCK}, found {size}")]
    Size {
        /// As given.
        size: u64,
    },
    /// The directory that a node lies in is not there.
    #[error("ext4 path {path:?}: there is no directory {parent:?} to hold it")]
    NoParent {
        /// The node.
        path: String,
        /// The directory it needs.
        parent: String,
    },
    /// A node that cannot be had.
    #[error("ext4 path {path:?}")]
    Node {
        /// The node.
        path: String,
        /// Why.
        #[source]
        source: mkext4::Error,
    },
    /// One file's content cannot be read, or written.
    #[error("cannot put {path:?} into the ext4 file system")]
    Content {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file system as a whole cannot be had, or not be written.
    #[error("cannot make the ext4 file system")]
    Make(#[source] mkext4::Error),
}

/// Makes an ext4 file system that fills `out`: 4096-byte blocks, a journal of 64 MiB, checksums of all metadata, fit to
/// be grown online. `out` must read as zeros; unused space is not written, so that a sparse file stays sparse.
///
/// `uuid` is in printed order; `label` has at most 16 bytes; `epoch` (seconds since 1970, up to 2106) is every time in
/// it. `nodes` are by `/`-separated path without a leading slash, each directory named before what is in it (as the
/// order of the map gives); the root and `lost+found` come by themselves, the root with mode 0755.
///
/// # Errors
/// When size, label, epoch or a path cannot be had, and when contents cannot be read or `out` not be written.
pub fn write(
    out: &Range<'_>,
    uuid: [u8; 16],
    label: &str,
    epoch: u64,
    nodes: &BTreeMap<String, Node>,
) -> Result<(), Ext4Error> {
    let size = out.len();
    if size < MIN_SIZE || !size.is_multiple_of(BLOCK) {
        return Err(Ext4Error::Size { size });
    }
    let time = i64::try_from(epoch).unwrap_or(i64::MAX);
    let mut options = Options::new(size, uuid, time);
    options.label = Some(label.to_owned());
    options.journal_blocks = Some(JOURNAL_BLOCKS);
    options.reserved_percent = RESERVED_PERCENT;
    let mut builder = FsBuilder::new(options).map_err(Ext4Error::Make)?;

    let mut directories = BTreeMap::new();
    let mut files = Vec::new();
    for (path, node) in nodes {
        let (directory, name) = match path.rsplit_once('/') {
            None => (ROOT, path.as_str()),
            Some((parent, name)) => match directories.get(parent) {
                Some(&directory) => (directory, name),
                None => return Err(Ext4Error::NoParent { path: path.clone(), parent: parent.to_owned() }),
            },
        };
        let handle = declare(&mut builder, directory, name, node, time)
            .map_err(|source| Ext4Error::Node { path: path.clone(), source })?;
        match &node.kind {
            Kind::Directory => drop(directories.insert(path.as_str(), handle)),
            Kind::File(data) if !data.is_empty() => files.push((path, handle, data)),
            Kind::File(_) | Kind::Symlink(_) => {}
        }
    }
    let layout = builder.seal().map_err(Ext4Error::Make)?;
    let mut writer = layout.writer(Window(out)).map_err(Ext4Error::Make)?;
    for (path, handle, data) in files {
        let failed = |source| Ext4Error::Content { path: path.clone(), source };
        let mut reader = data.reader().map_err(failed)?;
        writer.fill(handle, &mut reader).map_err(|error| failed(io::Error::other(error)))?;
    }
    writer.finish().map_err(Ext4Error::Make)?;
    Ok(())
}

fn declare(
    builder: &mut FsBuilder,
    directory: InodeHandle,
    name: &str,
    node: &Node,
    time: i64,
) -> mkext4::Result<InodeHandle> {
    let meta = Meta::new(node.mode & 0o7777, node.uid, node.gid, (time, 0));
    match &node.kind {
        Kind::Directory => builder.mkdir(directory, name, meta),
        Kind::File(data) => builder.file(directory, name, meta, data.len()),
        Kind::Symlink(target) => builder.symlink(directory, name, target, meta),
    }
}

/// Leaves out what is zero: the journal's body, inode tables, free space.
struct Window<'a, 'file>(&'a Range<'file>);

impl RegionSink for Window<'_, '_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn zeros(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}
