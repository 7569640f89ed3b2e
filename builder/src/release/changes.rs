//! The paths that differ between two root file systems.

use berth_contract::release::PathChanges;
use berth_formats::erofs::read::{Image, ReadError, StoredInode};
use std::{collections::BTreeMap, fs::File};

/// Bytes of a file that are compared at once.
const PIECE: usize = 1 << 20;
/// Most paths in a record. A record has a size limit, and nobody reads a longer list.
const MOST: usize = 1000;

/// Compares kind, mode, owner, extended attributes and content of every path. Times are not compared.
pub(super) fn changes(old: File, new: File) -> Result<PathChanges, ReadError> {
    let (old, new) = (Image::open(old, 0)?, Image::open(new, 0)?);
    let before: BTreeMap<Vec<u8>, StoredInode> = old.walk()?.into_iter().collect();
    let after: BTreeMap<Vec<u8>, StoredInode> = new.walk()?.into_iter().collect();
    let mut found = PathChanges::default();
    let mut list = |into: fn(&mut PathChanges) -> &mut Vec<String>, path: &[u8]| {
        if found.changed.len() + found.added.len() + found.removed.len() < MOST {
            into(&mut found).push(String::from_utf8_lossy(path).into_owned());
        } else {
            found.left_out += 1;
        }
    };
    for (path, node) in &after {
        match before.get(path) {
            None => list(|found| &mut found.added, path),
            Some(was) if differ((&old, was), (&new, node))? => list(|found| &mut found.changed, path),
            Some(_) => {}
        }
    }
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        list(|found| &mut found.removed, path);
    }
    Ok(found)
}

fn differ((old, was): (&Image, &StoredInode), (new, is): (&Image, &StoredInode)) -> Result<bool, ReadError> {
    if (was.mode(), was.owner(), was.device()) != (is.mode(), is.owner(), is.device()) {
        return Ok(true);
    }
    if old.xattrs(was)? != new.xattrs(is)? {
        return Ok(true);
    }
    // The entries of a folder are paths of their own.
    if is.is_dir() {
        return Ok(false);
    }
    if was.size() != is.size() {
        return Ok(true);
    }
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < is.size() {
        let (read, other) = (old.read_at(was, at, &mut a)?, new.read_at(is, at, &mut b)?);
        if a[..read] != b[..other] {
            return Ok(true);
        }
        at += (read as u64).max(1);
    }
    Ok(false)
}
