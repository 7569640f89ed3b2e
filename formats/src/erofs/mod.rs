//! EROFS, the read-only root file system, uncompressed: <https://erofs.docs.kernel.org/en/latest/core_ondisk.html>, and
//! fs/erofs/erofs_fs.h of the kernel.
//!
//! Linux 5.15 and later mount what is written here. The layout is made for updates: a host that has one version fetches only
//! those 4 KiB blocks of the next version that it does not have at any place.
//!
//! | blocks | content |
//! |---|---|
//! | 0 | superblock, at byte 1024 |
//! | then | *referring* inodes: directories and files with blocks of their own, whose bytes hold numbers of blocks and inodes |
//! | then | *self-contained* inodes: links, devices, files small enough to lie after their inode; no such numbers in them |
//! | then | full blocks of directories, then of files of 8 MiB and more, then of the others, each in the order of the tree |
//!
//! - A file's content begins at a block boundary, so an unchanged file has unchanged blocks.
//! - Referring inodes change with every version, because the addresses in them do. Few bytes of content should be among
//!   them: a file's tail is put after its inode only up to [`TAIL_MAX`]. That costs 0.4 % of size (measured on Debian's files),
//!   compared to putting all tails there.
//! - Self-contained inodes are packed in tree order, and only the last few blocks are tried (`pack`): a change moves only its
//!   neighbours; some blocks later the packing is as before.
//! - Large files are placed together, so that one compressed stream over the image finds what they have in common. In tree
//!   order, all modules of the kernel would be between engine, client and shims: more than a window of 128 MiB. A docker host
//!   as zstd -19 --long=27 is 3 % smaller for that.
//! - Pieces of zeros in large files are left out (`chunks`). When mounted, they are holes.

mod chunks;
mod copy;
mod directory;
mod format;
mod pack;
mod plan;
/// Reading an image.
pub mod read;
pub mod show;
mod tree;
mod write;
mod xattr;

use crate::{
    data::Data,
    node::{Kind, Meta},
};
use std::{collections::BTreeMap, fs::File, io, path::PathBuf};

pub use directory::Dirent;
pub use format::{BLOCK, BadSuperblock, Superblock};
pub use plan::Plan;
pub use tree::Wrong;
pub use xattr::BadXattr;

/// Longest tail that is put after the inode of a file that also has blocks.
pub const TAIL_MAX: u64 = 1024;

/// A file system to be written.
#[derive(Clone, Debug)]
pub struct FileSystem {
    /// All inodes, in any order. Inodes that no directory names are left out.
    pub inodes: Vec<Inode>,
    /// The root directory.
    pub root: InodeIndex,
    /// Modification time of every inode, in seconds since 1970.
    pub epoch: u64,
    /// UUID of the file system.
    pub uuid: [u8; 16],
    /// Label, at most 16 bytes.
    pub label: String,
}

/// Index into [`FileSystem::inodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeIndex(pub usize);

/// One inode. The number of its links is counted when the image is written.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Mode, owner, and extended attributes: `user.`, `trusted.`, `security.` and POSIX ACLs (values as the system calls
    /// have them).
    pub meta: Meta,
    /// Type and content.
    pub body: Body,
}

/// What an inode is: a [`Kind`] in an inode table, where a directory names its inodes and a hard link is a second name.
#[derive(Clone, Debug)]
pub enum Body {
    /// Names of 1 to 255 bytes without `/` and NUL, not `.` or `..`. Two names of one inode are hard links.
    Directory(BTreeMap<Vec<u8>, InodeIndex>),
    /// Regular file.
    File(Data),
    /// Symbolic link: 1 to 4095 bytes.
    Symlink(Vec<u8>),
    /// Character device: major below 2^12, minor below 2^20.
    CharDevice {
        /// Driver.
        major: u32,
        /// Device.
        minor: u32,
    },
    /// Block device: major below 2^12, minor below 2^20.
    BlockDevice {
        /// Driver.
        major: u32,
        /// Device.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
}

/// A hard link has no inode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hard link is no inode")]
pub struct IsHardLink;

impl TryFrom<&Kind> for Body {
    type Error = IsHardLink;

    /// The body of an inode of this kind; a directory is empty.
    fn try_from(kind: &Kind) -> Result<Self, IsHardLink> {
        Ok(match kind {
            Kind::Directory => Self::Directory(BTreeMap::new()),
            Kind::File(data) => Self::File(data.clone()),
            Kind::Symlink(target) => Self::Symlink(target.clone()),
            Kind::HardLink(_) => return Err(IsHardLink),
            Kind::CharDevice { major, minor } => Self::CharDevice { major: *major, minor: *minor },
            Kind::BlockDevice { major, minor } => Self::BlockDevice { major: *major, minor: *minor },
            Kind::Fifo => Self::Fifo,
        })
    }
}

/// A written image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes, a multiple of [`BLOCK`].
    pub size: u64,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An inode that EROFS cannot hold.
    #[error("{path}: {wrong}")]
    Tree {
        /// Path of the inode in the tree, or its number if it has none.
        path: String,
        /// What is wrong with this copy.
        wrong: Wrong,
    },
    /// The superblock has 16 bytes for the label.
    #[error("label {label:?}: expected at most 16 bytes, found {}", label.len())]
    Label {
        /// As given.
        label: String,
    },
    /// Block numbers have 32 bits.
    #[error("image of {blocks} blocks of 4096 bytes: EROFS counts up to {}", u32::MAX)]
    TooLarge {
        /// Blocks needed.
        blocks: u64,
    },
    /// A file's content cannot be read.
    #[error("{}: cannot read {len} bytes at {offset}", path.display())]
    Source {
        /// File on disk that holds the content.
        path: PathBuf,
        /// Where in that file.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The image cannot be written.
    #[error("cannot write the image's {len} bytes at {offset}")]
    Output {
        /// Where in the image.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// Writes an image over whatever `out` holds: [`Plan::new`] and [`Plan::write`] with a thread for each CPU.
///
/// # Errors
/// EROFS cannot hold the tree, a source cannot be read, or `out` cannot be written.
pub fn write(fs: &FileSystem, out: &File) -> Result<Written, Error> {
    Plan::new(fs)?.write(out, crate::workers::per_cpu())
}
