//! A repository in one file, for a stick or an offline site: a tar (POSIX.1-2001) with its metadata and some of its targets.
//!
//! The order is fixed, the metadata first; the same releases give the same bytes. Chunks and their index are left out: they
//! save transfers, and a file is there as a whole.

use super::{
    error::ReleaseError,
    file,
    listing::{self, Listed, name_of, owns},
    repository::{Repository, target_file},
};
use crate::scratch::Scratch;
use berth_contract::release::{METADATA, RecordCustom, TARGETS, Target as Kind};
use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};
use tough::{TargetName, schema::Target};

/// Whether hosts could use a bundle with the releases `own`, made where `before` is listed already.
///
/// # Errors
/// A newer release is listed: hosts would look for that one.
pub(super) fn check(before: &HashMap<TargetName, Target>, own: &[RecordCustom]) -> Result<(), ReleaseError> {
    let alike = |a: &RecordCustom, b: &RecordCustom| a.id == b.id && a.arch == b.arch && a.channel == b.channel;
    for listed in listing::releases(before) {
        let newest = own.iter().filter(|one| alike(one, &listed.custom)).max_by_key(|one| &one.version);
        if let Some(one) = newest.filter(|one| one.version < listed.custom.version) {
            return Err(ReleaseError::NotNewest {
                release: format!("{} {} {}", one.id, one.version, one.arch),
                channel: one.channel.clone(),
                newest: listed.to_string(),
            });
        }
    }
    Ok(())
}

/// Writes the bundle `to` with `releases` of the repository.
pub(super) fn write(repository: &Repository, releases: &[Listed], to: &Path) -> Result<(), ReleaseError> {
    let mut name = OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".partial");
    let partial = Scratch::new(to.with_file_name(name));
    let file = File::create(partial.path()).map_err(ReleaseError::io("make", partial.path()))?;
    let mut tar = BufWriter::with_capacity(1 << 20, file);
    for (name, path) in members(repository, releases) {
        append(&mut tar, &name, &path).map_err(ReleaseError::io("bundle", &path))?;
    }
    // Two blocks of zeros are the end (POSIX, pax Interchange Format).
    let finished = tar.write_all(&[0; 1024]).and_then(|()| tar.into_inner().map_err(io::IntoInnerError::into_error));
    finished.and_then(|file| file.sync_all()).map_err(ReleaseError::io("write", partial.path()))?;
    fs::rename(partial.path(), to).map_err(ReleaseError::io("write", to))?;
    file::sync_parent(to)
}

/// Name in the bundle and path of each file, in order.
fn members(repository: &Repository, releases: &[Listed]) -> Vec<(String, PathBuf)> {
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata = repository.metadata_files().into_iter();
    let mut all: Vec<_> = metadata.map(|path| (format!("{METADATA}/{}", file_name(&path)), path)).collect();
    let targets = repository.targets();
    for Listed { custom, .. } in releases {
        let left_out = [Kind::Chunks, Kind::Index, Kind::Root].map(|kind| name_of(custom, kind));
        let mut own: Vec<_> = targets.iter().filter(|(name, _)| owns(custom, name.raw())).collect();
        own.retain(|(name, _)| !left_out.iter().any(|out| out == name.raw()));
        // The record first: it says what the others are.
        let record = name_of(custom, Kind::Record);
        own.sort_by_key(|(name, _)| (name.raw() != record, name.raw().to_owned()));
        for (name, target) in own {
            let place = format!("{TARGETS}/{}", target_file(name.raw(), target));
            all.push((place, repository.target_path(name.raw(), target)));
        }
    }
    all
}

/// One file, as owned by nobody in particular and made in 1970.
fn append(tar: &mut impl Write, name: &str, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut header = header(tar::EntryType::Regular, size);
    if header.set_path(name).is_err() {
        // Longer than the header has room for: an extended header says it.
        let record = pax_record("path", name);
        let mut extended = self::header(tar::EntryType::XHeader, record.len() as u64);
        extended.set_path("pax")?;
        extended.set_cksum();
        put(tar, &extended, record.as_bytes(), record.len() as u64)?;
        header.set_path("long")?;
    }
    header.set_cksum();
    put(tar, &header, file, size)
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// "LENGTH KEY=VALUE\n", where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let digits = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap_or(1);
    format!("{} {key}={value}\n", rest + digits)
}

fn put(tar: &mut impl Write, header: &tar::Header, mut content: impl Read, size: u64) -> io::Result<()> {
    tar.write_all(header.as_bytes())?;
    let copied = io::copy(&mut content, tar)?;
    if copied != size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("expected {size} bytes, found {copied}")));
    }
    let padding = usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0);
    tar.write_all(&[0; 512][..padding])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_extended_header_counts_its_own_length() {
        assert_eq!(pax_record("path", "a"), "9 path=a\n");
        assert_eq!(pax_record("path", ""), "8 path=\n");
        let long = pax_record("path", &"x".repeat(200));
        assert_eq!(long.split_once(' ').unwrap().0, long.len().to_string());
        for len in 0..2000 {
            let record = pax_record("path", &"x".repeat(len));
            assert_eq!(record.split_once(' ').unwrap().0, record.len().to_string());
        }
    }
}
