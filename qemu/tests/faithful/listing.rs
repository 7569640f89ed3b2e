//! A listing of all paths with their attributes. The test compares the planned listing with the listing of a mounted folder, as text.

use rustix::fs::{OFlags, SeekFrom, lgetxattr, llistxattr, major, minor, seek};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fmt::{self, Display, Formatter},
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, OpenOptionsExt},
    },
    path::Path,
};

/// All attributes of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Type and permissions, as in `st_mode`.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Size of a file or symbolic link in bytes. 0 for other types.
    pub(crate) size: u64,
    pub(crate) mtime: i64,
    pub(crate) nlink: u64,
    pub(crate) device: (u32, u32),
    /// Digest of a file's bytes, or target of a symbolic link.
    pub(crate) content: String,
    /// Extended attributes. A value longer than 100 bytes is replaced by its digest.
    pub(crate) xattrs: BTreeMap<String, String>,
    /// The first path of the same inode, if an earlier path has the same inode. Empty otherwise.
    pub(crate) same_as: String,
}

/// Entries by their path below the root. The path of the root itself is empty.
pub(crate) type Listing = BTreeMap<Vec<u8>, Entry>;

impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { mode, owner: (uid, gid), size, mtime, nlink, device: (major, minor), content, same_as, .. } = self;
        write!(f, "{mode:o} {uid}:{gid} size={size} mtime={mtime} nlink={nlink} device={major}:{minor} [{content}]")?;
        self.xattrs.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        if same_as.is_empty() { Ok(()) } else { write!(f, " same as {same_as}") }
    }
}

/// One line for each path, in the order of the paths.
pub(crate) fn text(listing: &Listing) -> String {
    listing.iter().map(|(path, entry)| format!("/{} {entry}\n", path.escape_ascii())).collect()
}

/// Panics if the texts differ. The message shows the first lines that differ.
pub(crate) fn assert_same(planned: &str, found: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let only = |of: &str, not: &str| -> String {
        let short = |line: &String| line.chars().take(400).chain(['\n']).collect::<String>();
        lines(of).difference(&lines(not)).take(20).map(short).collect()
    };
    assert!(
        planned == found,
        "{} lines planned, {} found; planned only:\n{}found only:\n{}",
        planned.lines().count(),
        found.lines().count(),
        only(planned, found),
        only(found, planned)
    );
}

/// Number of bytes that are read in one step.
const PIECE: u64 = 1 << 18;
const ZEROS: &[u8] = &[0; 1 << 18];
/// Files of this size or larger are read with direct I/O, without the page cache.
const LARGE: u64 = 64 << 20;

/// Digest of `len` bytes. Pieces of zeros are not hashed, to save time.
pub(crate) fn digest(len: u64, mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> io::Result<String> {
    let mut hash = Sha256::new();
    // Direct I/O needs a buffer that starts at a page boundary.
    let mut buffer = vec![0; usize::try_from(len.min(PIECE)).unwrap() + 4096];
    let aligned = buffer.as_ptr().align_offset(4096);
    for at in (0..len).step_by(ZEROS.len()) {
        let piece = &mut buffer[aligned..][..usize::try_from((len - at).min(PIECE)).unwrap()];
        read(at, piece)?;
        if piece != &ZEROS[..piece.len()] {
            hash.update(at.to_le_bytes());
            hash.update(piece);
        }
    }
    Ok(hex(&hash.finalize()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The printed form of an extended attribute's value.
pub(crate) fn value(bytes: &[u8]) -> String {
    if bytes.len() > 100 {
        format!("{}bytes:{}", bytes.len(), hex(&Sha256::digest(bytes)))
    } else {
        bytes.escape_ascii().to_string()
    }
}

/// How to read files with holes. They may be gigabytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    /// The holes are under test. Everything is read. In large files, data that is not zero is read twice: with direct I/O and through the
    /// page cache.
    Judge,
    /// The file system reports the holes correctly, so they are skipped.
    Trust,
}

/// Digest of `len` bytes of a file.
pub(crate) fn digest_of(path: &Path, offset: u64, len: u64, holes: Holes) -> io::Result<String> {
    let file = File::open(path)?;
    if holes == Holes::Trust {
        // The start of the next data, as far as known. Before this offset there is only data that was already read, or a hole.
        let mut data_from = 0;
        return digest(len, |at, piece| {
            let (from, end) = (offset + at, offset + at + piece.len() as u64);
            if data_from <= from {
                data_from = seek(&file, SeekFrom::Data(from)).unwrap_or(u64::MAX);
            }
            if data_from < end {
                return file.read_exact_at(piece, from);
            }
            piece.fill(0);
            Ok(())
        });
    }
    if len < LARGE {
        return digest(len, |at, piece| file.read_exact_at(piece, offset + at));
    }
    // Reading gigabytes of zeros takes a minute through the page cache, but only seconds with direct I/O.
    let direct = File::options().read(true).custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path)?;
    digest(len, |at, piece| {
        direct.read_exact_at(piece, offset + at)?;
        if piece != &ZEROS[..piece.len()] || (at / PIECE).is_multiple_of(64) {
            let mut cached = vec![0; piece.len()];
            file.read_exact_at(&mut cached, offset + at)?;
            assert!(cached == piece, "{} at {at}: the page cache has other bytes", path.display());
        }
        Ok(())
    })
}

/// Makes the listing of a folder and all its subfolders.
pub(crate) fn found(root: &Path, holes: Holes) -> io::Result<Listing> {
    let mut listing = Listing::new();
    let mut first: BTreeMap<u64, (Vec<u8>, Entry)> = BTreeMap::new();
    let mut folders = vec![Vec::new()];
    let mut paths = vec![Vec::new()];
    while let Some(folder) = folders.pop() {
        let prefix = if folder.is_empty() { Vec::new() } else { [folder.as_slice(), b"/"].concat() };
        for entry in fs::read_dir(root.join(OsStr::from_bytes(&folder)))? {
            let entry = entry?;
            let path = [prefix.as_slice(), entry.file_name().as_bytes()].concat();
            if entry.file_type()?.is_dir() {
                folders.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort_unstable();
    for path in paths {
        let place = if path.is_empty() { root.to_owned() } else { root.join(OsStr::from_bytes(&path)) };
        let told = fs::symlink_metadata(&place)?;
        let entry = match first.get(&told.ino()) {
            // Everything except the path belongs to the inode, so it is read only once.
            Some((other, entry)) => Entry { same_as: format!("/{}", other.escape_ascii()), ..entry.clone() },
            None => look(&place, &told, holes)?,
        };
        first.entry(told.ino()).or_insert_with(|| (path.clone(), entry.clone()));
        listing.insert(path, entry);
    }
    Ok(listing)
}

fn look(path: &Path, told: &fs::Metadata, holes: Holes) -> io::Result<Entry> {
    let kind = told.file_type();
    let content = if kind.is_file() {
        digest_of(path, 0, told.len(), holes)?
    } else if kind.is_symlink() {
        fs::read_link(path)?.as_os_str().as_bytes().escape_ascii().to_string()
    } else {
        String::new()
    };
    Ok(Entry {
        mode: told.mode(),
        owner: (told.uid(), told.gid()),
        size: if kind.is_dir() { 0 } else { told.len() },
        mtime: told.mtime(),
        nlink: told.nlink(),
        device: (major(told.rdev()), minor(told.rdev())),
        content,
        xattrs: xattrs(path)?,
        same_as: String::new(),
    })
}

fn xattrs(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut names = [0; 4096];
    let len = llistxattr(path, &mut names)?;
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let one = |name: &[u8]| {
        let mut bytes = vec![0; 1 << 16];
        let len = lgetxattr(path, OsStr::from_bytes(name), &mut bytes)
            .map_err(|error| io::Error::other(format!("{}: {}: {error}", path.display(), name.escape_ascii())))?;
        Ok((name.escape_ascii().to_string(), value(&bytes[..len])))
    };
    names.map(one).collect()
}
