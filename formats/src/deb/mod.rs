//! Debian binary packages, deb(5): <https://manpages.debian.org/trixie/dpkg-dev/deb.5.en.html>.
//!
//! A package is an ar archive of `debian-binary`, `control.tar[.gz|.xz|.zst]` and `data.tar[.gz|.xz|.zst]`. It is read as a
//! stream. Nothing is written to disk, and no program of the package is run.

mod decoder;
mod entry;
mod error;
mod member;

pub use decoder::DataTar;
pub use entry::{Entry, Span, entries, entries_seekable};
pub use error::DebError;

use crate::packing::Unpacker;
use decoder::decoder;
use member::Member;
use std::{collections::BTreeMap, io::Read};

/// A package whose control part has been read. The data part is next.
#[derive(Debug)]
pub struct Deb<R: Read> {
    /// The control part.
    pub control: Control,
    data: Unpacker<Member<R>>,
}

/// The control part of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The file `control`: one deb822 paragraph.
    pub paragraph: String,
    /// The other files (`preinst`, `postinst`, `prerm`, `postrm`, `config`, `templates`, `triggers`, `conffiles`,
    /// `shlibs` ...) by name, without `md5sums`.
    pub members: BTreeMap<String, Vec<u8>>,
}

/// Largest control.tar, compressed and decompressed, and largest file in it, in bytes.
const CONTROL_LIMIT: u64 = 32 << 20;
const CONTROL_MEMBER_LIMIT: u64 = 4 << 20;

impl<R: Read> Deb<R> {
    /// Reads up to the beginning of the data part.
    ///
    /// # Errors
    /// The reader fails, or the bytes are not a package of format 2.
    pub fn open(mut reader: R) -> Result<Self, DebError> {
        member::magic(&mut reader)?;
        let (name, size) = member::next(&mut reader)?;
        if name != "debian-binary" {
            return Err(DebError::Member { wanted: "debian-binary", found: name });
        }
        let version = member::whole(&mut reader, &name, size, 256)?;
        if !version.starts_with(b"2.") {
            let found = String::from_utf8_lossy(&version).into_owned();
            return Err(DebError::Magic { what: "the format version", wanted: "2.0\n", found });
        }
        let (name, size) = required(&mut reader, "control.tar")?;
        let packed = member::whole(&mut reader, &name, size, CONTROL_LIMIT)?;
        let tar = decoder(Member::new(packed.as_slice(), name.clone(), size), &name)?;
        let control = control(DataTar::new(tar, name, CONTROL_LIMIT))?;
        let (name, size) = required(&mut reader, "data.tar")?;
        let data = decoder(Member::new(reader, name.clone(), size), &name)?;
        Ok(Self { control, data })
    }

    /// The decompressed data.tar. Reading fails after `limit` bytes, so that a small package cannot fill the disk, and if the
    /// package ends early.
    #[must_use]
    pub fn into_data(self, limit: u64) -> DataTar<R> {
        DataTar::new(self.data, "data.tar".to_owned(), limit)
    }
}

/// Reads to the next member, which must be the wanted one. deb(5): members whose names begin with `_` are ignored.
fn required(reader: &mut impl Read, wanted: &'static str) -> Result<(String, u64), DebError> {
    loop {
        let (name, size) = member::next(reader)?;
        match name.strip_prefix(wanted) {
            Some(extension) if extension.is_empty() || extension.starts_with('.') => return Ok((name, size)),
            _ if name.starts_with('_') => {
                member::whole(reader, &name, size, CONTROL_LIMIT)?;
            }
            _ => return Err(DebError::Member { wanted, found: name }),
        }
    }
}

fn control(tar: impl Read) -> Result<Control, DebError> {
    let failed = |source| DebError::Read { what: "control.tar".to_owned(), source };
    let mut archive = tar::Archive::new(tar);
    let mut members = BTreeMap::new();
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = entry::normalised(&entry.path_bytes())?;
        if !entry.header().entry_type().is_file() || name == "md5sums" {
            continue;
        }
        if entry.size() > CONTROL_MEMBER_LIMIT {
            return Err(DebError::TooLarge { what: format!("{name} in control.tar"), limit: CONTROL_MEMBER_LIMIT });
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        members.insert(name, bytes);
    }
    let paragraph = members.remove("control").ok_or(DebError::Control { reason: "holds no file `control`" })?;
    let paragraph = String::from_utf8(paragraph).map_err(|_| DebError::Control { reason: "is not UTF-8" })?;
    Ok(Control { paragraph, members })
}
