//! Names of the places in a PE image, by headers and sections.
//! <https://learn.microsoft.com/en-us/windows/win32/debug/pe-format>

use super::{Layout, SECTION_HEADER, layout};
use crate::{
    place::{Fields, Place},
    range::Range,
};

/// From the PE signature on: COFF header and the standard part of the PE32+ optional header.
const HEADERS: Fields = &[
    (0, "signature"),
    (4, "Machine"),
    (6, "NumberOfSections"),
    (8, "TimeDateStamp"),
    (12, "PointerToSymbolTable"),
    (16, "NumberOfSymbols"),
    (20, "SizeOfOptionalHeader"),
    (22, "Characteristics"),
    (24, "Magic"),
    (26, "linker version"),
    (28, "SizeOfCode"),
    (32, "SizeOfInitializedData"),
    (36, "SizeOfUninitializedData"),
    (40, "AddressOfEntryPoint"),
    (44, "BaseOfCode"),
    (48, "ImageBase"),
    (56, "alignments"),
    (64, "versions"),
    (80, "SizeOfImage"),
    (84, "SizeOfHeaders"),
    (88, "CheckSum"),
    (92, "Subsystem and later fields"),
    (136, ""),
];

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(file: &Range<'_>, at: u64) -> Option<Place> {
    inside(&file.bytes(0, file.len())?, at)
}

/// The same for an image in memory.
pub(crate) fn inside(image: &[u8], at: u64) -> Option<Place> {
    let Layout { coff, table, sections, .. } = layout(image, image.len() as u64).ok()?;
    let position = usize::try_from(at).ok()?;
    if let Some(section) = sections.iter().find(|section| section.raw.contains(&position)) {
        let start = section.raw.start as u64;
        let end = start + u64::from(section.virtual_size);
        return Some(match at < end {
            true => Place::new(format!("section {}: byte {}", section.name, at - start), end),
            false => Place::new(format!("padding of section {}", section.name), section.raw.end as u64),
        });
    }
    // The signature comes before the COFF header.
    let start = coff as u64 - 4;
    if let Some(field) = Place::field(HEADERS, start, at) {
        return Some(field.within("PE headers", 0));
    }
    let (table, size) = (table as u64, SECTION_HEADER as u64);
    let header = at.checked_sub(table).map(|inside| inside / size);
    Some(match header.and_then(|number| Some((number, sections.get(usize::try_from(number).ok()?)?))) {
        Some((number, section)) => {
            let end = table + (number + 1) * size;
            Place::new(format!("header of section {}", section.name), end)
        }
        None => Place::new("outside of all sections", at + 1),
    })
}
