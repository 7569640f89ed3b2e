//! `/etc/ld.so.cache`, in which glibc's loader finds shared libraries: only the format "glibc-ld.so.cache1.1", as ldconfig
//! writes it since glibc 2.32, without extensions. Also the name under which a library is listed there.
//! <https://sourceware.org/git/?p=glibc.git;a=blob;f=sysdeps/generic/dl-cache.h>

use crate::elf::{ET_DYN, Elf, PT_DYNAMIC, PT_LOAD, Segment, u64_at};
use std::cmp::Ordering;

/// A library for the loader to find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name that programs ask for, such as `libc.so.6`.
    pub soname: String,
    /// Absolute path of the file, or of a link to it.
    pub path: String,
}

/// Why a cache cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LdCacheError {
    /// A name or path that the loader could not use.
    #[error("library {soname:?} at {path:?}: expected a name without `/` and an absolute path, without zero bytes")]
    Library {
        /// As given.
        soname: String,
        /// As given.
        path: String,
    },
    /// The cache is too large: its offsets have 32 bits.
    #[error("the loader's cache would be larger than 4 GiB")]
    Large,
}

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// `cache_file_new_flags_endian_little`.
const LITTLE_ENDIAN: u8 = 2;

/// Makes a cache. `flags` are those of every library in it: kind of C library and architecture. If several libraries have
/// one name, the loader finds the first of them: give them in the order of the search path.
///
/// # Errors
/// A name or path that the loader could not use, or a cache of more than 4 GiB.
pub fn write(libraries: &[Library], flags: u32) -> Result<Vec<u8>, LdCacheError> {
    let mut sorted: Vec<&Library> = libraries.iter().collect();
    // The loader searches a descending list by bisection.
    sorted.sort_by(|a, b| compare(b.soname.as_bytes(), a.soname.as_bytes()));
    let narrow = |value: usize| u32::try_from(value).map_err(|_| LdCacheError::Large);
    let strings_at = HEADER + sorted.len() * ENTRY;
    let (mut entries, mut strings) = (Vec::new(), Vec::new());
    for Library { soname, path } in sorted {
        let good = |text: &str| !text.is_empty() && !text.contains('\0');
        if !good(soname) || soname.contains('/') || !good(path) || !path.starts_with('/') {
            return Err(LdCacheError::Library { soname: soname.clone(), path: path.clone() });
        }
        let path_at = strings_at + strings.len();
        strings.extend_from_slice(path.as_bytes());
        strings.push(0);
        // The path usually ends with the name. Then the name is not stored again.
        let name_at = match path.strip_suffix(soname.as_str()) {
            Some(directory) => path_at + directory.len(),
            None => {
                let at = strings_at + strings.len();
                strings.extend_from_slice(soname.as_bytes());
                strings.push(0);
                at
            }
        };
        // flags, key, value, osversion; hwcap.
        for field in [flags, narrow(name_at)?, narrow(path_at)?, 0, 0, 0] {
            entries.extend_from_slice(&field.to_le_bytes());
        }
    }
    let mut cache = MAGIC.to_vec();
    cache.extend_from_slice(&narrow(libraries.len())?.to_le_bytes());
    cache.extend_from_slice(&narrow(strings.len())?.to_le_bytes());
    cache.push(LITTLE_ENDIAN);
    cache.resize(HEADER, 0);
    cache.extend_from_slice(&entries);
    cache.extend_from_slice(&strings);
    Ok(cache)
}

/// Order of `_dl_cache_libcmp`: runs of digits compare by value, and come after all other characters.
fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        match (digit(a), digit(b)) {
            (true, true) => {
                let (value_a, rest_a) = number(a);
                let (value_b, rest_b) = number(b);
                match value_a.cmp(&value_b) {
                    Ordering::Equal => (a, b) = (rest_a, rest_b),
                    unequal => return unequal,
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) if x == y => (a, b) = (rest_a, rest_b),
                // The loader's `char` is signed, and its texts end with a zero.
                (x, y) => {
                    let signed = |byte: Option<(&u8, _)>| byte.map_or(0, |(byte, _)| byte.cast_signed());
                    return signed(x).cmp(&signed(y));
                }
            },
        }
    }
}

/// The number with which the text begins, and the rest. It wraps at 32 bits, as the loader's does.
fn number(text: &[u8]) -> (i32, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    (number.iter().fold(0_i32, |value, byte| value.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'))), rest)
}

const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;

/// `DT_SONAME` of a shared object for the machine with the ELF number `machine`. `None` if it has no name, or the file is
/// not such an object.
#[must_use]
pub fn elf_soname(file: &[u8], machine: u16) -> Option<String> {
    let elf = Elf::parse(file).ok()?;
    if elf.machine() != machine || elf.file_type() != ET_DYN {
        return None;
    }
    let segments = elf.segments().ok()?;
    let dynamic = segments.iter().find(|it| it.segment_type == PT_DYNAMIC)?;
    let dynamic = elf.bytes("dynamic section", dynamic.offset, dynamic.file_size).ok()?;
    let value = |tag: u64| dynamic.chunks_exact(16).find(|entry| u64_at(entry, 0) == tag).map(|entry| u64_at(entry, 8));
    let (strings, size, name) = (value(DT_STRTAB)?, value(DT_STRSZ)?, value(DT_SONAME)?);
    let within = |it: &&Segment| {
        it.segment_type == PT_LOAD && strings.checked_sub(it.address).is_some_and(|offset| offset < it.file_size)
    };
    let load = segments.iter().find(within)?;
    let strings =
        elf.bytes("names of the dynamic section", load.offset.checked_add(strings - load.address)?, size).ok()?;
    let name = strings.get(usize::try_from(name).ok()?..)?.split(|&byte| byte == 0).next()?;
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
}
