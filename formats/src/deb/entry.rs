use super::error::DebError;
use crate::node::{Kind, Meta, Xattrs};
use std::io::{self, Read, Seek, SeekFrom};
use tar::{Archive, EntryType};

/// An entry of a package's data.tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path without leading `./` or trailing slash; empty for the root.
    pub path: String,
    /// Mode, owner, attributes.
    pub meta: Meta,
    /// Name of the owner. Empty if there is none. dpkg takes the number of [`Self::meta`] only if the system has no such user.
    pub user: String,
    /// Name of the group.
    pub group: String,
    /// What it is.
    pub kind: Kind<Span>,
}

/// Where the bytes of a regular file are in the tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte, from the beginning of the tar.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// All entries of a data.tar, in its order, reading it to its end.
///
/// # Errors
/// It cannot be read or is not a tar; or an entry has a path that leads outside or is not UTF-8, or a type that no package
/// should have.
pub fn entries(mut tar: impl Read) -> Result<Vec<Entry>, DebError> {
    let entries = collect(Archive::new(&mut tar).entries())?;
    // A writer may put bytes after the end of the archive. They belong to the member: read them, so that its checksum is
    // verified.
    io::copy(&mut tar, &mut io::sink()).map_err(failed)?;
    Ok(entries)
}

/// The same as [`entries`] for a tar in a file: contents are skipped, not read.
///
/// # Errors
/// As for [`entries`]; also if the file ends before the content of an entry does.
pub fn entries_seekable(mut tar: impl Read + Seek) -> Result<Vec<Entry>, DebError> {
    let len = tar.seek(SeekFrom::End(0)).map_err(failed)?;
    tar.rewind().map_err(failed)?;
    let entries = collect(Archive::new(&mut tar).entries_with_seek())?;
    for Entry { path, kind, .. } in &entries {
        if let Kind::File(Span { offset, size }) = kind
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
        EntryType::Regular => Kind::File(Span { offset: entry.raw_file_position(), size: entry.size() }),
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target()?.into_bytes()),
        EntryType::Link => Kind::HardLink(normalised(target()?.as_bytes())?.into_bytes()),
        EntryType::Char => device().map(|(major, minor)| Kind::CharDevice { major, minor })?,
        EntryType::Block => device().map(|(major, minor)| Kind::BlockDevice { major, minor })?,
        EntryType::Fifo => Kind::Fifo,
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
    let name = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (user, group) = (name(header.username_bytes()), name(header.groupname_bytes()));
    let xattrs = xattrs(entry, &path)?;
    Ok(Entry { path, meta: Meta { mode, uid, gid, xattrs }, user, group, kind })
}

fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>, path: &str) -> Result<Xattrs, DebError> {
    let mut xattrs = Xattrs::new();
    for extension in entry.pax_extensions().map_err(failed)?.into_iter().flatten() {
        let extension = extension.map_err(failed)?;
        let key = extension.key().map_err(|_| refused(path, "the name of an attribute is not UTF-8".to_owned()))?;
        if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
            xattrs.insert(name.as_bytes().to_vec(), extension.value_bytes().to_vec());
        }
    }
    Ok(xattrs)
}

/// A path of a tar without empty names and `.`. A path that leads outside is an error.
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
