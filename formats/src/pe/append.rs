use super::{
    Layout, NUMBER_OF_RVA_AND_SIZES, NUMBER_OF_SECTIONS, OPTIONAL_HEADER, PeError, SECTION_HEADER, layout, u32_at,
};
use crate::data::Data;

/// Alignment in memory of added sections: the stub measures and maps pages, whatever its own alignment is.
const PAGE: u32 = 4096;
/// `IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`.
const DATA_READ: u32 = 0x4000_0040;
/// Index of the certificate table in the data directory.
const CERTIFICATES: usize = 4;

// Offsets in the COFF header.
const POINTER_TO_SYMBOL_TABLE: usize = 8;
const NUMBER_OF_SYMBOLS: usize = 12;
// Offsets in the optional header.
const SIZE_OF_INITIALIZED_DATA: usize = 8;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const SIZE_OF_IMAGE: usize = 56;
const SIZE_OF_HEADERS: usize = 60;
const CHECK_SUM: usize = 64;

/// The stub with sections added in the given order, except that `.linux` is last: the kernel overwrites the memory after it
/// when it decompresses itself in place (UAPI.5).
///
/// All bytes after the stub's last section are removed: COFF symbols (a gap there breaks signatures), and a signature, which
/// would be invalid. Sizes and checksum are corrected. The file's length is a multiple of its alignment, so at least of 512.
///
/// # Errors
/// The stub is not a PE32+ image with space for the sections, a name is too long or exists already, or a content cannot be
/// read.
pub fn append_sections(stub: &[u8], sections: &[(&str, Data)]) -> Result<Vec<u8>, PeError> {
    let layout = layout(stub, stub.len() as u64)?;
    let u32_in = |at: usize| u32_at(stub, layout.optional + at);
    let end = headers_end(&layout, u32_in(SIZE_OF_HEADERS), sections.len())?;
    let end = layout.sections.iter().map(|it| it.raw.end).max().unwrap_or(0).max(end);
    let mut growing = Growing {
        image: stub[..end.min(stub.len())].to_vec(),
        vma: layout.sections.iter().map(|it| u64::from(it.vma) + u64::from(it.virtual_size)).max().unwrap_or(0),
        initialized: u32_in(SIZE_OF_INITIALIZED_DATA).into(),
        section_alignment: alignment("SectionAlignment", u32_in(SECTION_ALIGNMENT))?.max(PAGE),
        file_alignment: alignment("FileAlignment", u32_in(FILE_ALIGNMENT))?.max(512),
    };
    let mut names: Vec<&str> = layout.sections.iter().map(|it| it.name.as_str()).collect();
    let (last, others): (Vec<_>, Vec<_>) = sections.iter().partition(|(name, _)| *name == ".linux");
    for (name, data) in others.into_iter().chain(last) {
        let bad = |reason| PeError::Name { name: (*name).to_owned(), reason };
        if name.is_empty() || name.len() > 8 {
            return Err(bad("it must have 1 to 8 bytes"));
        }
        if names.contains(name) {
            return Err(bad("there is one already"));
        }
        let content = data.to_bytes().map_err(|source| PeError::Content { name: (*name).to_owned(), source })?;
        growing
            .add(layout.table + names.len() * SECTION_HEADER, name, &content)
            .ok_or_else(|| PeError::Large { name: (*name).to_owned() })?;
        names.push(name);
    }
    growing
        .finish(&layout, names.len())
        .ok_or_else(|| PeError::Large { name: names.last().copied().unwrap_or_default().to_owned() })
}

/// End of the headers in the file, if the section table has space for this many more entries: it may grow up to the first
/// section's bytes, or to the end of the bytes that are loaded as headers.
fn headers_end(layout: &Layout, size_of_headers: u32, wanted: usize) -> Result<usize, PeError> {
    let first = layout.sections.iter().filter(|it| !it.raw.is_empty()).map(|it| it.raw.start).min();
    let end = usize::try_from(size_of_headers).unwrap_or(usize::MAX).min(first.unwrap_or(usize::MAX));
    let table_end = layout.table + layout.sections.len() * SECTION_HEADER;
    let room = end.saturating_sub(table_end) / SECTION_HEADER;
    if wanted > room { Err(PeError::NoRoom { room, wanted }) } else { Ok(end) }
}

fn alignment(field: &'static str, found: u32) -> Result<u32, PeError> {
    let wanted = "a power of two up to 64 KiB";
    let good = found.is_power_of_two() && found <= 1 << 16;
    if good { Ok(found) } else { Err(PeError::Field { field, wanted, found: found.into() }) }
}

/// An image under construction.
struct Growing {
    image: Vec<u8>,
    /// Where the last section ends in memory.
    vma: u64,
    initialized: u64,
    section_alignment: u32,
    file_alignment: u32,
}

impl Growing {
    /// Adds a section with its header at `header`. `None` if it ends beyond 4 GiB.
    fn add(&mut self, header: usize, name: &str, content: &[u8]) -> Option<()> {
        let file_alignment = usize::try_from(self.file_alignment).ok()?;
        self.image.resize(self.image.len().next_multiple_of(file_alignment), 0);
        let raw_start = self.image.len();
        self.image.extend_from_slice(content);
        self.image.resize(self.image.len().next_multiple_of(file_alignment), 0);
        self.vma = self.vma.next_multiple_of(self.section_alignment.into());
        let raw_size = u32::try_from(self.image.len() - raw_start).ok()?;
        let fields = [
            u32::try_from(content.len()).ok()?,
            u32::try_from(self.vma).ok()?,
            raw_size,
            u32::try_from(raw_start).ok()?,
            0,
            0,
            0,
            DATA_READ,
        ];
        let mut bytes = [0; SECTION_HEADER];
        put(&mut bytes, 0, name.as_bytes());
        for (at, field) in (8..).step_by(4).zip(fields) {
            put(&mut bytes, at, &field.to_le_bytes());
        }
        put(&mut self.image, header, &bytes);
        self.vma += content.len() as u64;
        self.initialized += u64::from(raw_size);
        Some(())
    }

    /// Corrects the headers. `None` if the image ends beyond 4 GiB.
    fn finish(mut self, layout: &Layout, sections: usize) -> Option<Vec<u8>> {
        let size_of_image = u32::try_from(self.vma.next_multiple_of(self.section_alignment.into())).ok()?;
        let initialized = u32::try_from(self.initialized).ok()?;
        let image = &mut self.image;
        put(image, layout.coff + NUMBER_OF_SECTIONS, &u16::try_from(sections).ok()?.to_le_bytes());
        put(image, layout.coff + POINTER_TO_SYMBOL_TABLE, &[0; 4]);
        put(image, layout.coff + NUMBER_OF_SYMBOLS, &[0; 4]);
        put(image, layout.optional + SIZE_OF_INITIALIZED_DATA, &initialized.to_le_bytes());
        put(image, layout.optional + SIZE_OF_IMAGE, &size_of_image.to_le_bytes());
        if usize::try_from(u32_at(image, layout.optional + NUMBER_OF_RVA_AND_SIZES)).ok()? > CERTIFICATES {
            put(image, layout.optional + OPTIONAL_HEADER + CERTIFICATES * 8, &[0; 8]);
        }
        put(image, layout.optional + CHECK_SUM, &[0; 4]);
        let sum = checksum(image)?;
        put(image, layout.optional + CHECK_SUM, &sum.to_le_bytes());
        Some(self.image)
    }
}

/// The sum of all 16-bit words with end-around carry, plus the length. The field itself counts as zero.
fn checksum(image: &[u8]) -> Option<u32> {
    let words = image.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 8);
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u32::try_from(sum + image.len() as u64).ok()
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}
