use super::error::DebError;
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};
use tar::{Archive, EntryType};

/// An entry of a package's data.tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path without leading `./` or trailing slash; empty for the root.
    pub path: String,
    /// Permission bits, at most 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by full name (`security.capability`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// What it is.
    pub kind: EntryKind,
}

/// The kinds of entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, whose bytes stand in the tar.
    File {
        /// First byte, from the beginning of the tar.
        offset: u64,
        /// Bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link, with its target as it stands there.
    Symlink(String),
    /// Another name for the file at this path, which is written like [`Entry::path`].
    Hardlink(String),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// All entries of a data.tar, in its order, reading it to its end.
///
/// # Errors
/// When it cannot be read, or is no tar, or has an entry with a path that leads outside, that is not UTF-8, or of a type
/// that no package should have.
pub fn entries(mut tar: impl Read) -> Result<Vec<Entry>, DebError> {
    let entries = collect(Archive::new(&mut tar).entries())?;
    // What a writer put behind the end of the archive belongs to the member, and its checksums to us.
    io::copy(&mut tar, &mut io::sink()).map_err(failed)?;
    Ok(entries)
}

/// As [`entries`], for a tar that lies in a file: contents are skipped, not read.
///
/// # Errors
/// As [`entries`]; also when the file ends before the content of an entry does.
pub fn entries_seekable(mut tar: impl Read + Seek) -> Result<Vec<Entry>, DebError> {
    let len = tar.seek(SeekFrom::End(0)).map_err(failed)?;
    tar.rewind().map_err(failed)?;
    let entries = collect(Archive::new(&mut tar).entries_with_seek())?;
    for Entry { path, kind, .. } in &entries {
        if let EntryKind::File { offset, size } = kind
            && offset.checked_add(*size).is_none_or(|end| end > len)
        {
            return Err(refused(path, format!("{size} bytes at {offset} lie behind the end of the tar at {len}")));
        }
    }
    Ok(entries)
}

fn failed(source: io::Error) -> DebError {
    DebError::Read { what: "data.tar".to_owned(), source }
}

fn refused(path: &str, reason: String) -> DebError {
    DebError::Entry { path: path.to_owned(), reason }
}

fn collect<'a, R: Read + 'a>(entries: io::Result<tar::Entries<'a, R>>) -> Result<Vec<Entry>, DebError> {
    entries.map_err(failed)?.map(|it| entry(&mut it.map_err(failed)?)).collect()
}

fn entry<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Entry, DebError> {
    let path = normalised(&entry.path_bytes())?;
    let header = entry.header();
    let target = || {
        let name = entry.link_name_bytes().ok_or_else(|| refused(&path, "a link without a target".to_owned()))?;
        String::from_utf8(name.into_owned()).map_err(|_| refused(&path, "the link's target is not UTF-8".to_owned()))
    };
    let device = || {
        let (major, minor) = (header.device_major().map_err(failed)?, header.device_minor().map_err(failed)?);
        major.zip(minor).ok_or_else(|| refused(&path, "a device without numbers".to_owned()))
    };
    let kind = match header.entry_type() {
        EntryType::Regular => EntryKind::File { offset: entry.raw_file_position(), size: entry.size() },
        EntryType::Directory => EntryKind::Directory,
        EntryType::Symlink => EntryKind::Symlink(target()?),
        EntryType::Link => EntryKind::Hardlink(normalised(target()?.as_bytes())?),
        EntryType::Char => device().map(|(major, minor)| EntryKind::CharDevice { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| EntryKind::BlockDevice { major, minor })?,
        EntryType::Fifo => EntryKind::Fifo,
        other => {
            return Err(refused(&path, format!("type {:?} does not belong into a package", other.as_byte() as char)));
        }
    };
    let id = |what: &str, value: io::Result<u64>| {
        let value = value.map_err(failed)?;
        u32::try_from(value).map_err(|_| refused(&path, format!("{what} {value} has more than 32 bits")))
    };
    let (uid, gid) = (id("owner", header.uid())?, id("group", header.gid())?);
    let mode = u16::try_from(header.mode().map_err(failed)? & 0o7777).unwrap_or(0);
    let xattrs = xattrs(entry, &path)?;
    Ok(Entry { path, mode, uid, gid, xattrs, kind })
}

fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    let mut xattrs = BTreeMap::new();
    for extension in entry.pax_extensions().map_err(failed)?.into_iter().flatten() {
        let extension = extension.map_err(failed)?;
        let key = extension.key().map_err(|_| refused(path, "the name of an attribute is not UTF-8".to_owned()))?;
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
        }
    }
    Ok(xattrs)
}

/// A tar's path without what means nothing; an error if it leads outside.
pub(super) fn normalised(path: &[u8]) -> Result<String, DebError> {
    let bad = |reason: &str| refused(&String::from_utf8_lossy(path), reason.to_owned());
    let text = str::from_utf8(path).map_err(|_| bad("the path is not UTF-8"))?;
    if text.starts_with('/') {
        return Err(bad("the path is absolute"));
    }
    if text.contains('\0') {
        return Err(bad("the path has a zero byte"));
    }
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(bad("the path has a `..`"));
    }
    Ok(names.join("/"))
}
