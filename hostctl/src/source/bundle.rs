//! A repository as one file: a plain tar (POSIX.1-2001: ustar, or pax where a name is long) with `metadata/` and `targets/`.
//!
//! The headers are read once. After that, the bytes of each file are read directly from the bundle.

use super::SourceError;
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};
use tar::{EntryType, Header};

const BLOCK: u64 = 512;
/// Most files in a bundle. No repository has as many.
const MAX_FILES: usize = 1 << 16;
/// Longest file name, in bytes.
const MAX_NAME: usize = 1 << 10;
/// Longest pax header, in bytes.
const MAX_PAX: u64 = 1 << 16;

#[derive(Debug)]
pub(super) struct Bundle {
    path: PathBuf,
    file: File,
    /// Offset and size of each file.
    files: BTreeMap<String, (u64, u64)>,
}

impl Bundle {
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        let (mut files, mut at, mut long_name) = (BTreeMap::new(), 0, None);
        let bad = |at: u64, fault: &str| SourceError::Bundle { path: path.to_owned(), at, fault: fault.to_owned() };
        // Two blocks of zeros end the archive. Like other tar readers, stop at the first.
        while at < len {
            if len - at < BLOCK {
                return Err(bad(at, "expected a whole tar header: the bundle is truncated"));
            }
            let mut bytes = [0; 512];
            file.read_exact_at(&mut bytes, at).map_err(failed)?;
            if bytes.iter().all(|&byte| byte == 0) {
                break;
            }
            let header = Header::from_byte_slice(&bytes);
            if header.cksum().ok() != Some(checksum(&bytes)) {
                return Err(bad(at, "expected a tar header, found none (wrong checksum)"));
            }
            let size = header.entry_size().map_err(|_| bad(at, "the size of a file cannot be read"))?;
            let data = at + BLOCK;
            let next = data.checked_add(size).and_then(|end| end.checked_next_multiple_of(BLOCK));
            let Some(next) = next.filter(|_| size <= len - data) else {
                return Err(bad(at, "expected a whole file: the bundle is truncated"));
            };
            match header.entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let plain = String::from_utf8_lossy(&header.path_bytes()).into_owned();
                    let name = long_name.take().unwrap_or(plain);
                    if name.len() > MAX_NAME {
                        return Err(bad(at, "a file name of more than 1024 bytes"));
                    }
                    // As in every tar, a later file replaces an earlier one of the same name.
                    files.insert(name.strip_prefix("./").unwrap_or(&name).to_owned(), (data, size));
                    if files.len() > MAX_FILES {
                        return Err(bad(at, "more than 65536 files"));
                    }
                }
                EntryType::Directory => long_name = None,
                kind @ (EntryType::XHeader | EntryType::GNULongName) => {
                    if size > MAX_PAX {
                        return Err(bad(at, "an extended header of more than 65536 bytes"));
                    }
                    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
                    file.read_exact_at(&mut text, data).map_err(failed)?;
                    long_name = if kind == EntryType::XHeader {
                        pax_path(&text).map_err(|fault| bad(at, fault))?
                    } else {
                        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
                        Some(String::from_utf8_lossy(&text[..end]).into_owned())
                    };
                }
                EntryType::XGlobalHeader => {}
                _ => return Err(bad(at, "expected a file or folder, found another type of entry")),
            }
            at = next;
        }
        if !files.keys().any(|name| name.starts_with("metadata/")) {
            return Err(SourceError::NoRepository { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), file, files })
    }

    /// The bundle file, with offset and size of the requested file in it.
    pub(super) fn find(&self, path: &str) -> Result<(File, u64, u64), SourceError> {
        let Some(&(first, size)) = self.files.get(path) else {
            return Err(SourceError::NotFound { name: format!("{}/{path}", self.path.display()) });
        };
        let file = self.file.try_clone().map_err(|source| SourceError::Io { path: self.path.clone(), source })?;
        Ok((file, first, size))
    }
}

/// The sum of a header's bytes, with its own field counted as blanks.
fn checksum(header: &[u8; 512]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    sum(&header[..148]) + 8 * 32 + sum(&header[156..])
}

/// The `path` of a pax extended header: records of `LENGTH KEY=VALUE\n`, where LENGTH includes the whole record.
fn pax_path(mut text: &[u8]) -> Result<Option<String>, &'static str> {
    const FAULT: &str = "an extended header that cannot be read";
    let mut path = None;
    while !text.is_empty() {
        let blank = text.iter().position(|&byte| byte == b' ').ok_or(FAULT)?;
        let length: usize = str::from_utf8(&text[..blank]).ok().and_then(|n| n.parse().ok()).ok_or(FAULT)?;
        let record = text.get(blank + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or(FAULT)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(FAULT)?;
        match &record[..equals] {
            b"path" => path = Some(String::from_utf8_lossy(&record[equals + 1..]).into_owned()),
            b"size" => return Err("a file of more than 8 GiB"),
            _ => {}
        }
        text = &text[length..];
    }
    Ok(path)
}
