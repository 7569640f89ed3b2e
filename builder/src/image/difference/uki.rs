//! The unified kernel image: Microsoft's "PE Format", by headers and sections.

use super::{
    place::{Fields, Place},
    view::View,
};
use berth_formats::pe;

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
const OPTIONAL_HEADER: u64 = 24;
const SECTION_HEADER: u64 = 40;

pub(super) fn place(file: &View, at: u64) -> Option<Place> {
    inside(&file.bytes(0, file.len)?, at)
}

/// The same for an image that lies somewhere else, in pieces.
pub(super) fn inside(image: &[u8], at: u64) -> Option<Place> {
    let sections = pe::sections(image).ok()?;
    let position = usize::try_from(at).ok()?;
    if let Some(section) = sections.iter().find(|section| section.raw.contains(&position)) {
        let start = section.raw.start as u64;
        let end = start + u64::from(section.virtual_size);
        return Some(match at < end {
            true => Place::new(format!("section {}: byte {}", section.name, at - start), end),
            false => Place::new(format!("padding of section {}", section.name), section.raw.end as u64),
        });
    }
    let number = |at: usize, len: usize| {
        let bytes = image.get(at..at + len)?;
        Some(bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    };
    let start = number(60, 4)?;
    if let Some(field) = Place::field(HEADERS, start, at) {
        return Some(field.within("PE headers", 0));
    }
    let table = start + OPTIONAL_HEADER + number(usize::try_from(start).ok()? + 20, 2)?;
    let header = at.checked_sub(table).map(|inside| inside / SECTION_HEADER);
    Some(match header.and_then(|number| Some((number, sections.get(usize::try_from(number).ok()?)?))) {
        Some((number, section)) => {
            let end = table + (number + 1) * SECTION_HEADER;
            Place::new(format!("header of section {}", section.name), end)
        }
        None => Place::new("outside of all sections", at + 1),
    })
}
