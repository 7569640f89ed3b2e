//! ext4 file systems for persistent state: <https://docs.kernel.org/filesystems/ext4/index.html>. Written by the `mkext4`
//! crate; one version of the crate makes the same bytes from the same input.

pub mod show;
mod superblock;

pub use superblock::{BadSuperblock, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock};

use crate::{
    node::{Kind, Node},
    range::Range,
};
use berth_contract::disk::BLOCK;
use mkext4::{FsBuilder, InodeHandle, Meta, Options, ROOT, RegionSink};
use std::{collections::BTreeMap, io};

/// The smallest file system: the journal takes an eighth of it.
pub const MIN_SIZE: u64 = 512 << 20;
/// Blocks of the journal: 64 MiB. It does not grow with the file system, so its size is that for a large file system.
const JOURNAL_BLOCKS: u32 = 16384;
/// Per cent reserved for the superuser. All programs that write here are the superuser's; the reserve keeps the allocator
/// working when the file system is nearly full.
const RESERVED_PERCENT: u8 = 1;

/// Why an ext4 file system cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ext4Error {
    /// An invalid size.
    #[error("an ext4 file system needs {MIN_SIZE} bytes (512 MiB) at least and a multiple of {BLOCK}, found {size}")]
    Size {
        /// As given.
        size: u64,
    },
    /// The directory of a node is missing.
    #[error("ext4 path {path:?}: there is no directory {parent:?} to hold it")]
    NoParent {
        /// The node.
        path: String,
        /// The directory it needs.
        parent: String,
    },
    /// A kind of node that is not supported here.
    #[error("ext4 path {path:?}: expected a folder, file or symbolic link, found a {found}")]
    Kind {
        /// The node.
        path: String,
        /// Its kind.
        found: &'static str,
    },
    /// A symbolic link whose target is not UTF-8.
    #[error("ext4 path {path:?}: the target of the symbolic link is not UTF-8")]
    Target {
        /// The node.
        path: String,
    },
    /// A node that the file system cannot hold.
    #[error("ext4 path {path:?}")]
    Node {
        /// The node.
        path: String,
        /// The cause.
        #[source]
        source: mkext4::Error,
    },
    /// One file's content cannot be read, or written.
    #[error("cannot put {path:?} into the ext4 file system")]
    Content {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file system cannot be made or written.
    #[error("cannot make the ext4 file system")]
    Make(#[source] mkext4::Error),
}

/// Makes an ext4 file system that fills `out`: 4096-byte blocks, a journal of 64 MiB, checksums of all metadata. The kernel
/// can grow it while it is mounted. `out` must read as zeros; unused space is not written, so that a sparse file stays sparse.
///
/// `uuid` is in printed order; `label` has at most 16 bytes; `epoch` (seconds since 1970, up to 2106) is the value of all
/// timestamps. `nodes` are by `/`-separated path without a leading slash; each directory comes before its content, as in the
/// order of the map. The root (mode 0755) and `lost+found` are made in any case. Extended attributes are left out.
///
/// # Errors
/// An invalid size, label, epoch, path or kind; a content that cannot be read; or `out` cannot be written.
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
        let handle = declare(&mut builder, directory, name, node, time, path)?;
        match &node.kind {
            Kind::Directory => drop(directories.insert(path.as_str(), handle)),
            Kind::File(data) if !data.is_empty() => files.push((path, handle, data)),
            _ => {}
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
    path: &str,
) -> Result<InodeHandle, Ext4Error> {
    let meta = Meta::new(node.meta.mode & 0o7777, node.meta.uid, node.meta.gid, (time, 0));
    let made = match &node.kind {
        Kind::Directory => builder.mkdir(directory, name, meta),
        Kind::File(data) => builder.file(directory, name, meta, data.len()),
        Kind::Symlink(target) => {
            let target = str::from_utf8(target).map_err(|_| Ext4Error::Target { path: path.to_owned() })?;
            builder.symlink(directory, name, target, meta)
        }
        other => return Err(Ext4Error::Kind { path: path.to_owned(), found: other.word() }),
    };
    made.map_err(|source| Ext4Error::Node { path: path.to_owned(), source })
}

/// Does not write zeros: the journal's body, inode tables, free space.
struct Window<'a, 'file>(&'a Range<'file>);

impl RegionSink for Window<'_, '_> {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn zeros(&mut self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}
