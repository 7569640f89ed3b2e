//! FAT32 volumes for the ESP: Microsoft's "FAT: General Overview of On-Disk Format" 1.03, as the UEFI specification (13.3)
//! requires it: 512-byte sectors, two FATs, long names. <https://uefi.org/specs/UEFI/2.10/13_Protocols_Media_Access.html>
//!
//! New volumes are made with the `fatfs` crate ([`write`]). Existing volumes are read ([`Volume`]) and changed ([`Editor`]) by
//! our own code, because the order in which sectors are written matters: a power cut must leave the old or the new state.

pub(crate) mod boot_sector;
mod clock;
mod directory;
mod disk;
mod dots;
mod edit;
mod error;
mod geometry;
mod name;
mod pages;
mod repair;
pub mod show;
mod table;
mod volume;

pub use disk::Disk;
pub use edit::Editor;
pub use error::VolumeError;
pub use volume::{Content, Item, Volume};

use crate::{data::Data, range::Range};
use clock::Clock;
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};
use pages::Pages;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Seek, Write},
};

/// Why a FAT volume cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// FAT32 needs 65525 clusters; with fewer, firmware takes the volume for FAT16.
    #[error("a FAT32 volume needs {MIN_SIZE} bytes (33 MiB) at least and 32 GiB at most, found {size}")]
    Size {
        /// The size asked for.
        size: u64,
    },
    /// An invalid label.
    #[error("FAT label {label:?}: at most 11 of A-Z, 0-9, blank, - and _")]
    Label {
        /// As given.
        label: String,
    },
    /// A name that FAT cannot hold.
    #[error("FAT path {path:?}: {reason}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// Two paths that FAT cannot tell apart.
    #[error("FAT cannot hold both {one:?} and {other:?}: they are the same but for upper and lower case")]
    Clash {
        /// The first.
        one: String,
        /// The second.
        other: String,
    },
    /// The files do not fit.
    #[error("the files need {wanted} bytes of the FAT volume, which has {free} left")]
    Full {
        /// Whole clusters of all files.
        wanted: u64,
        /// Bytes that the volume has for files.
        free: u64,
    },
    /// One file cannot be read or placed.
    #[error("cannot put {path:?} into the FAT volume")]
    File {
        /// Its path in the volume.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The volume cannot be made or written.
    #[error("cannot make the FAT volume: {step}")]
    Volume {
        /// The step that failed.
        step: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// The smallest volume: 65525 clusters of one sector, a few to spare, and their FATs.
const MIN_SIZE: u64 = 33 << 20;
const MAX_SIZE: u64 = 32 << 30;
const SECTOR: u64 = 512;
/// The specification asks for a distance of 16 from the limit of 65525.
const MIN_CLUSTERS: u64 = 65525 + 16;

/// Makes a FAT32 volume that fills `out`, holding `files` by their `/`-separated paths and the directories that these
/// need. `out` must read as zeros; unused space is not written, so that a sparse file stays sparse. All times are
/// `epoch` (seconds since 1970, UTC), cut to what FAT can say (1980 to 2107, even seconds).
///
/// The bytes depend on the arguments only. The volume is put together in memory, so this needs memory for the files.
///
/// # Errors
/// The size, the label or a path is not possible in FAT32; the files do not fit or cannot be read; or the volume cannot be
/// written.
pub fn write(
    out: &Range<'_>,
    label: &str,
    volume_id: u32,
    epoch: u64,
    files: &BTreeMap<String, Data>,
) -> Result<(), FatError> {
    let volume = |step| move |source| FatError::Volume { step, source };
    if !(MIN_SIZE..=MAX_SIZE).contains(&out.len()) {
        return Err(FatError::Size { size: out.len() });
    }
    let label = padded(label)?;
    let directories = directories(files)?;

    let mut pages = Pages::new(out.len());
    let options = FormatVolumeOptions::new()
        .bytes_per_sector(512)
        .bytes_per_cluster(cluster_size(out.len()))
        .volume_id(volume_id)
        .volume_label(label);
    fatfs::format_volume(&mut pages, options).map_err(volume("format"))?;
    // The crate needs a clock with a static lifetime: 16 bytes per volume are leaked for that.
    let clock = Box::leak(Box::new(Clock::at(epoch)));

    // Create only the directories first: then all clusters in use belong to directories, and `dots` can correct them.
    create_directories(&mut pages, clock, &directories).map_err(volume("create directories"))?;
    dots::correct(&mut pages).map_err(volume("correct directories"))?;

    let fs = mount(&mut pages, clock).map_err(volume("reopen"))?;
    let stats = fs.stats().map_err(volume("reopen"))?;
    let cluster = u64::from(stats.cluster_size());
    let wanted = files.values().map(|data| data.len().next_multiple_of(cluster)).sum();
    let free = u64::from(stats.free_clusters()) * cluster;
    if wanted > free {
        return Err(FatError::Full { wanted, free });
    }
    for (path, data) in files {
        let copy = || {
            let mut file = fs.root_dir().create_file(path)?;
            io::copy(&mut data.reader()?, &mut file)?;
            file.flush()
        };
        copy().map_err(|source| FatError::File { path: path.clone(), source })?;
    }
    fs.unmount().map_err(volume("unmount"))?;
    pages.store(out).map_err(volume("write"))
}

fn mount<'a>(pages: &'a mut Pages, clock: &'static Clock) -> io::Result<FileSystem<&'a mut Pages>> {
    pages.rewind()?;
    FileSystem::new(pages, FsOptions::new().time_provider(clock))
}

fn create_directories(pages: &mut Pages, clock: &'static Clock, paths: &BTreeSet<&str>) -> io::Result<()> {
    let fs = mount(pages, clock)?;
    for path in paths {
        fs.root_dir().create_dir(path)?;
    }
    // The crate counts the free clusters for the FSInfo sector only if the statistics are read.
    fs.stats()?;
    fs.unmount()
}

/// Bytes per cluster: as many as leave enough clusters for FAT32, up to 4096 (few, large reads for the firmware).
fn cluster_size(volume: u64) -> u32 {
    // Reserved sectors, and both FATs rounded up to sectors.
    let data = volume - 34 * SECTOR;
    [4096, 2048, 1024].into_iter().find(|&size| data / u64::from(size + 8) >= MIN_CLUSTERS).unwrap_or(512)
}

fn padded(label: &str) -> Result<[u8; 11], FatError> {
    let allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || b" -_".contains(&c);
    if label.is_empty() || label.len() > 11 || label.starts_with(' ') || !label.bytes().all(allowed) {
        return Err(FatError::Label { label: label.to_owned() });
    }
    let mut padded = [b' '; 11];
    padded[..label.len()].copy_from_slice(label.as_bytes());
    Ok(padded)
}

/// All directories above the files, each after its parent. Checks the paths.
fn directories(files: &BTreeMap<String, Data>) -> Result<BTreeSet<&str>, FatError> {
    let mut directories = BTreeSet::new();
    for (path, data) in files {
        let bad = |reason| Err(FatError::Path { path: path.clone(), reason });
        for name in path.split('/') {
            if name.is_empty() || name.ends_with(['.', ' ']) || name.starts_with(' ') {
                return bad("a name is empty, begins with a blank, or ends with a dot or a blank");
            }
            if name.encode_utf16().count() > 255 {
                return bad("a name is longer than 255 characters");
            }
            if name.contains(|c: char| c.is_control() || "\"*:<>?\\|".contains(c)) {
                return bad("a name has one of the characters \" * : < > ? \\ |, or a control character");
            }
        }
        if data.len() > u64::from(u32::MAX) {
            return bad("the file has 4 GiB or more");
        }
        directories.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    let mut folded = BTreeMap::new();
    for path in directories.iter().copied().chain(files.keys().map(String::as_str)) {
        if let Some(one) = folded.insert(path.to_uppercase(), path) {
            return Err(FatError::Clash { one: one.to_owned(), other: path.to_owned() });
        }
    }
    Ok(directories)
}
