//! PE32+ images for UEFI: only what is needed to make a unified kernel image of systemd's stub, and to read one.
//! <https://learn.microsoft.com/en-us/windows/win32/debug/pe-format>, <https://uapi-group.org/specifications/specs/unified_kernel_image/>
//! (UAPI.5).

mod append;
pub mod show;

pub use append::append_sections;

use std::{io, ops::Range};

const SECTION_HEADER: usize = 40;
const COFF_HEADER: usize = 20;
const OPTIONAL_HEADER: usize = 112;
const MAGIC_PE32_PLUS: u16 = 0x20b;

// Offsets in the COFF header.
const NUMBER_OF_SECTIONS: usize = 2;
const SIZE_OF_OPTIONAL_HEADER: usize = 16;
// Offsets in the optional header.
const NUMBER_OF_RVA_AND_SIZES: usize = 108;

/// A section of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name, at most 8 bytes.
    pub name: String,
    /// Address in memory, from the image's base.
    pub vma: u32,
    /// Bytes in memory. For a section that we added: the exact length of its content.
    pub virtual_size: u32,
    /// Its bytes in the file, with padding.
    pub raw: Range<usize>,
}

impl Section {
    /// The content, without the file's padding.
    #[must_use]
    pub fn content<'a>(&self, image: &'a [u8]) -> &'a [u8] {
        let raw = image.get(self.raw.clone()).unwrap_or_default();
        &raw[..raw.len().min(usize::try_from(self.virtual_size).unwrap_or(usize::MAX))]
    }
}

/// Why a PE image cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// The file ends too early.
    #[error("PE image of {len} bytes: {what} would end at byte {end}")]
    Short {
        /// The path.
        what: &'static str,
        /// Where the part would end.
        end: u64,
        /// Length of the file.
        len: usize,
    },
    /// A field with another value than required.
    #[error("PE image: {field} is {found:#x}, expected {wanted}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// The value expected.
        wanted: &'static str,
        /// The value found.
        found: u64,
    },
    /// The headers of the stub have no space for more sections.
    #[error("PE image: its headers have room for {room} more sections, {wanted} are to be added")]
    NoRoom {
        /// Sections that fit.
        room: usize,
        /// Sections that were to be added.
        wanted: usize,
    },
    /// A section's name is too long, or exists already.
    #[error("PE section {name:?}: {reason}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The image would be too large.
    #[error("PE section {name:?} ends beyond 4 GiB")]
    Large {
        /// The section that does not fit.
        name: String,
    },
    /// A section's content cannot be read.
    #[error("cannot read the content of PE section {name:?}")]
    Content {
        /// Which section.
        name: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Where the parts of an image are.
struct Layout {
    coff: usize,
    optional: usize,
    table: usize,
    sections: Vec<Section>,
}

/// The sections of an image, in the order of its table.
///
/// # Errors
/// It is not a PE32+ image, or a part of it is outside of the file.
pub fn sections(image: &[u8]) -> Result<Vec<Section>, PeError> {
    sections_of_head(image, image.len() as u64)
}

/// The sections of an image of `len` bytes that begins with `head`, which holds all its headers.
///
/// # Errors
/// It is not a PE32+ image, its headers end after `head`, or a section is outside of the file.
pub fn sections_of_head(head: &[u8], len: u64) -> Result<Vec<Section>, PeError> {
    layout(head, len).map(|layout| layout.sections)
}

fn layout(image: &[u8], file_len: u64) -> Result<Layout, PeError> {
    let ends_in = |available: u64, what, start: usize, len: usize| {
        let end = start as u64 + len as u64;
        let len = usize::try_from(available).unwrap_or(usize::MAX);
        if end > available { Err(PeError::Short { what, end, len }) } else { Ok(()) }
    };
    let within = |what, start, len| ends_in(image.len() as u64, what, start, len);
    let expect = |field, found: u64, wanted: u64, text| {
        if found == wanted { Ok(()) } else { Err(PeError::Field { field, wanted: text, found }) }
    };
    within("the DOS header", 0, 64)?;
    expect("e_magic", u16_at(image, 0).into(), u16::from_le_bytes(*b"MZ").into(), "\"MZ\"")?;
    let pe = usize::try_from(u32_at(image, 60)).unwrap_or(usize::MAX);
    within("the PE header", pe, 4 + COFF_HEADER)?;
    expect("the signature", u32_at(image, pe).into(), u32::from_le_bytes(*b"PE\0\0").into(), "\"PE\\0\\0\"")?;
    let (coff, optional) = (pe + 4, pe + 4 + COFF_HEADER);
    let size = usize::from(u16_at(image, coff + SIZE_OF_OPTIONAL_HEADER));
    within("the optional header", optional, size.max(OPTIONAL_HEADER))?;
    expect("Magic", u16_at(image, optional).into(), MAGIC_PE32_PLUS.into(), "0x20b (PE32+)")?;
    let directories = usize::try_from(u32_at(image, optional + NUMBER_OF_RVA_AND_SIZES)).unwrap_or(usize::MAX);
    if directories > 16 || size < OPTIONAL_HEADER + directories * 8 {
        let wanted = "enough for the data directory, of at most 16 entries";
        return Err(PeError::Field { field: "SizeOfOptionalHeader", wanted, found: size as u64 });
    }
    let table = optional + size;
    let count = usize::from(u16_at(image, coff + NUMBER_OF_SECTIONS));
    within("the section table", table, count * SECTION_HEADER)?;
    let mut sections = Vec::with_capacity(count);
    for header in image[table..table + count * SECTION_HEADER].chunks_exact(SECTION_HEADER) {
        let name = header[..8].split(|&byte| byte == 0).next().unwrap_or_default();
        let size = usize::try_from(u32_at(header, 16)).unwrap_or(usize::MAX);
        let start = if size == 0 { 0 } else { usize::try_from(u32_at(header, 20)).unwrap_or(usize::MAX) };
        ends_in(file_len, "a section", start, size)?;
        sections.push(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            vma: u32_at(header, 12),
            virtual_size: u32_at(header, 8),
            raw: start..start + size,
        });
    }
    Ok(Layout { coff, optional, table, sections })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}
