//! Names of the places in a FAT32 volume. The names of the fields are those of Microsoft's specification, which
//! [`super`] links.

use super::{Volume, boot_sector, directory::Directory, name::SLOT};
use crate::{
    pe,
    place::{Fields, Place},
    range::Range,
};

const FS_INFO: Fields = &[
    (0, "FSI_LeadSig"),
    (4, "FSI_Reserved1"),
    (484, "FSI_StrucSig"),
    (488, "FSI_Free_Count"),
    (492, "FSI_Nxt_Free"),
    (496, "FSI_Reserved2"),
    (508, "FSI_TrailSig"),
    (512, ""),
];
const ENTRY: Fields = &[
    (0, "DIR_Name"),
    (11, "DIR_Attr"),
    (12, "DIR_NTRes"),
    (13, "DIR_CrtTimeTenth"),
    (14, "DIR_CrtTime"),
    (16, "DIR_CrtDate"),
    (18, "DIR_LstAccDate"),
    (20, "DIR_FstClusHI"),
    (22, "DIR_WrtTime"),
    (24, "DIR_WrtDate"),
    (26, "DIR_FstClusLO"),
    (28, "DIR_FileSize"),
    (ENTRY_LEN, ""),
];
const ENTRY_LEN: u64 = SLOT as u64;
/// Levels of directories that are searched: a damaged directory may hold itself.
const DEPTH: usize = 16;

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(view: &Range<'_>, at: u64) -> Option<Place> {
    let volume = Volume::open(view.clone()).ok()?;
    let geometry = volume.geometry;
    for (which, start) in [("", 0), ("backup of the ", geometry.backup_at)] {
        let tables =
            [("boot sector", boot_sector::FIELDS, start), ("FSInfo sector", FS_INFO, start + geometry.info_at)];
        for (name, fields, start) in tables {
            if let Some(field) = Place::field(fields, start, at) {
                return Some(field.within(format!("{which}{name}"), 0));
            }
        }
    }
    if at < geometry.tables_at {
        return Some(Place::new("reserved sectors", geometry.tables_at));
    }
    let mut files = Vec::new();
    walk(&volume, "", geometry.root, 0, &mut files)?;
    let owner = |cluster: u64| files.iter().find(|file| file.clusters.iter().any(|own| u64::from(*own) == cluster));
    if at < geometry.data_at {
        let inside = at - geometry.tables_at;
        let (fat, cluster) = (inside / geometry.table + 1, inside % geometry.table / 4);
        let of = match owner(cluster) {
            Some(file) => format!("FAT {fat}: entry of cluster {cluster}, of {}", file.path),
            None => format!("FAT {fat}: entry of cluster {cluster}"),
        };
        return Some(Place::new(of, at - inside % 4 + 4));
    }
    let size = geometry.cluster as u64;
    let cluster = 2 + (at - geometry.data_at) / size;
    let end = geometry.data_at + (cluster - 1) * size;
    let Some(file) = owner(cluster) else { return Some(Place::new(format!("cluster {cluster}, which is free"), end)) };
    let index = file.clusters.iter().position(|own| u64::from(*own) == cluster)? as u64;
    let inside = index * size + at - (end - size);
    in_file(&volume, file, inside, at, end)
}

/// A file or directory of the volume.
struct File {
    path: String,
    /// Slots of a directory.
    directory: Option<Directory>,
    size: u64,
    clusters: Vec<u32>,
}

/// This directory and everything in it.
fn walk(volume: &Volume<Range<'_>>, path: &str, first: u32, depth: usize, all: &mut Vec<File>) -> Option<()> {
    let directory = volume.load(first, path).ok()?;
    let (entries, _) = directory.entries();
    let clusters = directory.clusters.clone();
    all.push(File { path: format!("{path}/"), directory: Some(directory), size: u64::MAX, clusters });
    for entry in entries {
        let path = format!("{path}/{}", entry.name);
        if !entry.is_directory {
            let clusters = if entry.first == 0 { Vec::new() } else { volume.table.chain(entry.first).ok()? };
            all.push(File { path, directory: None, size: entry.size.into(), clusters });
        } else if depth < DEPTH {
            walk(volume, &path, entry.first, depth + 1, all)?;
        }
    }
    Some(())
}

/// The byte `inside` of a file, which is the byte `at` of the volume, in a cluster that ends at `end`.
fn in_file(volume: &Volume<Range<'_>>, file: &File, inside: u64, at: u64, end: u64) -> Option<Place> {
    if let Some(directory) = &file.directory {
        return in_directory(directory, &file.path, inside, at);
    }
    if inside >= file.size {
        return Some(Place::new(format!("behind the end of {}", file.path), end));
    }
    let name = format!("file {}", file.path);
    let limit = usize::try_from(file.size).ok()?;
    let in_kernel = || pe::show::inside(&volume.read(&file.path, limit).ok()?, inside);
    Some(match file.path.ends_with(".efi").then(in_kernel).flatten() {
        Some(place) => Place::new(format!("{name}: {}", place.name), at + place.end.saturating_sub(inside).max(1)),
        None => Place::new(format!("{name}: byte {inside}"), end),
    })
}

fn in_directory(directory: &Directory, path: &str, inside: u64, at: u64) -> Option<Place> {
    let slot = usize::try_from(inside / ENTRY_LEN).ok()?;
    let start = at - inside % ENTRY_LEN;
    if slot >= directory.end {
        return Some(Place::new(format!("directory {path}: unused entries"), start + ENTRY_LEN));
    }
    let (entries, _) = directory.entries();
    let (name, is_long) = match entries.into_iter().find(|entry| entry.slots.contains(&slot)) {
        Some(entry) => (entry.name, slot + 1 < entry.slots.end),
        // The label, `.` and `..`, and what is deleted.
        None => (String::from_utf8_lossy(&directory.slot(slot)[..11]).trim_end().to_owned(), false),
    };
    let place = match is_long {
        true => Place::new("long name", start + ENTRY_LEN),
        false => Place::field(ENTRY, start, at)?,
    };
    Some(place.within(format!("directory {path}: entry {name}"), 0))
}
