//! EROFS: the read-only root file system, uncompressed. <https://erofs.docs.kernel.org>, fs/erofs/erofs_fs.h.
//!
//! Everything written here is mounted by Linux 5.15 and later. The layout is made for updates: a host that has one
//! version fetches only the 4 KiB blocks of the next that it does not have, wherever they lie.
//!
//! | blocks | content |
//! |---|---|
//! | 0 | superblock, at byte 1024 |
//! | then | *referring* inodes: directories and files with blocks of their own, whose bytes hold numbers of blocks and inodes |
//! | then | *self-contained* inodes: links, devices, files small enough to lie behind their inode; no such numbers in them |
//! | then | full blocks of directories, then of files of 8 MiB and more, then of the others, each in the order of the tree |
//!
//! - A file's content begins at a block boundary, so an unchanged file has unchanged blocks.
//! - Referring inodes change with every version, since the addresses in them do. Few bytes of content should lie among
//!   them: a file's tail is put behind its inode only up to [`TAIL_MAX`], which costs 0.4 % of size against putting all (Debian's files).
//! - Self-contained inodes are packed in tree order with a short memory (`pack`): a change moves its neighbours
//!   only, some blocks later all is as before.
//! - Large files stand together, so that one compressed stream over the image finds what they share: engine, client and
//!   shims in their folders have all modules of the kernel between them, more than a window of 128 MiB. A docker host as
//!   zstd -19 --long=27 is 3 % smaller for it.
//! - Zeros: pieces of large files are left out (`chunks`), and are a hole when mounted.

mod chunks;
mod copy;
mod directory;
mod format;
mod pack;
mod plan;
/// Reading an image.
pub mod read;
mod tree;
mod write;
mod xattr;

use crate::data::Data;
use std::{collections::BTreeMap, fs::File, io, path::PathBuf};

pub use directory::Dirent;
pub use format::{BLOCK, BadSuperblock, Superblock};
pub use plan::Plan;
pub use tree::Wrong;
pub use xattr::{BadXattr, Xattrs};

/// Bytes of a tail that may lie behind the inode of a file that has blocks too.
pub const TAIL_MAX: u64 = 1024;

/// A file system to be written.
#[derive(Clone, Debug)]
pub struct FileSystem {
    /// All inodes, in any order. Those that no directory names are left out.
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

/// Which of [`FileSystem::inodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeIndex(pub usize);

/// One inode. The number of links to it is counted, not given.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Permissions with setuid, setgid and sticky: the low 12 bits. The type is the body's.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes: `user.`, `trusted.`, `security.` and POSIX ACLs (value as the system calls have it).
    pub xattrs: Xattrs,
    /// Type and content.
    pub body: Body,
}

/// What an inode is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Names of 1 to 255 bytes without `/` and NUL, not `.` or `..`. Two names of one inode are hard links.
    Dir(BTreeMap<Vec<u8>, InodeIndex>),
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
    /// Block device, likewise.
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

/// An image on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes, a multiple of [`BLOCK`].
    pub size: u64,
}

/// Why no image was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that EROFS cannot hold.
    #[error("{path}: {wrong}")]
    Tree {
        /// Path of the inode in the tree, or its number if it has none.
        path: String,
        /// What is wrong with it.
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
    /// A file's content is not there.
    #[error("{}: cannot read {len} bytes at {offset}", path.display())]
    Source {
        /// File on disk that holds the content.
        path: PathBuf,
        /// Where in that file.
        offset: u64,
        /// How much of it.
        len: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// The image cannot be written.
    #[error("cannot write the image's {len} bytes at {offset}")]
    Output {
        /// Where in the image.
        offset: u64,
        /// How much of it.
        len: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
}

/// Writes an image over whatever `out` holds: [`Plan::new`] and [`Plan::write`] with a thread for each CPU.
///
/// # Errors
/// When the tree is not one that EROFS can hold, a source cannot be read, or `out` not written.
pub fn write(fs: &FileSystem, out: &File) -> Result<Written, Error> {
    Plan::new(fs)?.write(out, crate::workers::per_cpu())
}
