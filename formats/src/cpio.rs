//! cpio archives in the "newc" format, which the kernel unpacks into its initial root:
//! <https://docs.kernel.org/driver-api/early-userspace/buffer-format.html>.

use crate::{
    data::Data,
    node::{Kind, Meta, Node},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// What can go wrong in writing an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpioError {
    /// A node that the archive cannot hold, or that the kernel would not unpack as meant.
    #[error("cpio path {path:?}: {reason}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A file's content cannot be read.
    #[error("cpio path {path:?}: cannot read the content")]
    Content {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the cpio archive at {path:?}")]
    Write {
        /// The node that was being written.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

const TRAILER: &str = "TRAILER!!!";

/// The fields of a header that differ between nodes.
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: (u32, u32),
}

/// Writes an archive of `nodes`, by `/`-separated path without a leading slash, in the order of the map. All times are
/// `epoch` (seconds since 1970, up to 2106). Inode numbers count from 1. Extended attributes are left out: the format has
/// none.
///
/// # Errors
/// A hard link or a named pipe; a path that is not plain or has no directory (the kernel makes none); a file of 4 GiB or
/// more; a content that cannot be read; a failed write to `out`.
pub fn write(out: &mut impl Write, epoch: u64, nodes: &BTreeMap<String, Node>) -> Result<(), CpioError> {
    let mtime = u32::try_from(epoch).unwrap_or(u32::MAX);
    for (inode, (path, node)) in (1..).zip(nodes) {
        check(path, nodes)?;
        let content = match &node.kind {
            Kind::File(data) => data.clone(),
            Kind::Symlink(target) => target.clone().into(),
            _ => Data::empty(),
        };
        let (kind, links, device) = match node.kind {
            Kind::Directory => (0o040_000, 2, (0, 0)),
            Kind::File(_) => (0o100_000, 1, (0, 0)),
            Kind::Symlink(_) => (0o120_000, 1, (0, 0)),
            Kind::CharDevice { major, minor } => (0o020_000, 1, (major, minor)),
            Kind::BlockDevice { major, minor } => (0o060_000, 1, (major, minor)),
            Kind::HardLink(_) | Kind::Fifo => {
                return Err(CpioError::Path { path: path.clone(), reason: "a hard link or a named pipe" });
            }
        };
        let Meta { mode, uid, gid, .. } = node.meta;
        let size = u32::try_from(content.len())
            .map_err(|_| CpioError::Path { path: path.clone(), reason: "the file has 4 GiB or more" })?;
        let mode = kind | u32::from(mode & 0o7777);
        let header = Header { inode, mode, uid, gid, links, mtime, size, device };
        let failed = |source| CpioError::Write { path: path.clone(), source };
        put_header(out, path, &header).map_err(failed)?;
        let unread = |source| CpioError::Content { path: path.clone(), source };
        let bytes = content.to_bytes().map_err(unread)?;
        out.write_all(&bytes).and_then(|()| pad(out, bytes.len())).map_err(failed)?;
    }
    let end = Header { inode: 0, mode: 0, uid: 0, gid: 0, links: 1, mtime: 0, size: 0, device: (0, 0) };
    put_header(out, TRAILER, &end).map_err(|source| CpioError::Write { path: TRAILER.to_owned(), source })
}

fn check(path: &str, nodes: &BTreeMap<String, Node>) -> Result<(), CpioError> {
    let bad = |reason| Err(CpioError::Path { path: path.to_owned(), reason });
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) || path.contains('\0') {
        return bad("an empty name, a dot name, or a zero byte");
    }
    if path == TRAILER || path.len() > 4095 {
        return bad("the name that ends an archive, or one longer than 4095 bytes");
    }
    match path.rsplit_once('/') {
        Some((parent, _)) if !nodes.get(parent).is_some_and(|node| node.kind == Kind::Directory) => {
            bad("there is no directory to hold it")
        }
        _ => Ok(()),
    }
}

fn put_header(out: &mut impl Write, path: &str, header: &Header) -> io::Result<()> {
    let Header { inode, mode, uid, gid, links, mtime, size, device: (major, minor) } = *header;
    let name_size = u32::try_from(path.len() + 1).map_err(io::Error::other)?;
    let fields = [inode, mode, uid, gid, links, mtime, size, 0, 0, major, minor, name_size, 0];
    let mut bytes = b"070701".to_vec();
    for field in fields {
        write!(bytes, "{field:08X}")?;
    }
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    out.write_all(&bytes)?;
    pad(out, bytes.len())
}

/// Fills up to a multiple of four.
fn pad(out: &mut impl Write, len: usize) -> io::Result<()> {
    out.write_all(&[0; 3][..len.next_multiple_of(4) - len])
}
