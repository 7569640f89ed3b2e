//! Writes a bundle: one file with a repository's metadata and some of its targets, as a tar (POSIX.1-2001). It is for USB
//! sticks and sites without a network.
//!
//! The order is fixed, metadata first, so the same releases give the same bytes. Chunks and their index are not included: they
//! only reduce downloads, and the bundle is a local file.

use super::{
    error::ReleaseError,
    listing::{self, Listed, name_of, owns},
    repository::{Repository, target_file},
};
use crate::scratch;
use berth_contract::release::{METADATA, RecordCustom, TARGETS, Target as Kind};
use berth_file::Flush;
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};
use tough::{TargetName, schema::Target};

/// Checks that hosts can use a bundle with the releases `own` from a repository that lists `before`.
///
/// # Errors
/// The repository lists a newer release: hosts would look for the newer release in the bundle and not find it.
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
    scratch::replace(to, 0o666, Flush::ContentAndName, |file| {
        let mut tar = BufWriter::with_capacity(1 << 20, file);
        for (name, path) in members(repository, releases) {
            append(&mut tar, &name, &path).map_err(ReleaseError::io("bundle", &path))?;
        }
        // Two blocks of zeros end the archive (POSIX, pax Interchange Format).
        tar.write_all(&[0; 1024]).and_then(|()| tar.flush()).map_err(ReleaseError::io("write", to))
    })
}

/// The files of the bundle in order: name in the bundle, and path.
fn members(repository: &Repository, releases: &[Listed]) -> Vec<(String, PathBuf)> {
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let metadata = repository.metadata_files().into_iter();
    let mut all: Vec<_> = metadata.map(|path| (format!("{METADATA}/{}", file_name(&path)), path)).collect();
    let targets = repository.targets();
    for Listed { custom, .. } in releases {
        let left_out = [Kind::Chunks, Kind::Index, Kind::Root].map(|kind| name_of(custom, kind));
        let mut own: Vec<_> = targets.iter().filter(|(name, _)| owns(custom, name.raw())).collect();
        own.retain(|(name, _)| !left_out.iter().any(|out| out == name.raw()));
        // The record comes first: it describes the other targets.
        let record = name_of(custom, Kind::Record);
        own.sort_by_key(|(name, _)| (name.raw() != record, name.raw().to_owned()));
        for (name, target) in own {
            let place = format!("{TARGETS}/{}", target_file(name.raw(), target));
            all.push((place, repository.target_path(name.raw(), target)));
        }
    }
    all
}

/// Appends one file, with the owner 0:0 and the time 1970-01-01.
fn append(tar: &mut impl Write, name: &str, path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut header = header(tar::EntryType::Regular, size);
    if header.set_path(name).is_err() {
        // The name is longer than the field of the header: put it into an extended header.
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

/// Makes a pax record "LENGTH KEY=VALUE\n". LENGTH is the length of the whole record, including LENGTH itself.
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
    fn the_length_of_a_pax_record_includes_itself() {
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
