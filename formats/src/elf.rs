//! 64-bit little-endian ELF files ("System V Application Binary Interface", chapters 4 and 5): only as much as it takes
//! to find a section or a segment. Every read is checked.

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Not one, or not of our kind.
    #[error("no 64-bit little-endian ELF file")]
    Kind,
    /// Something lies outside the file, or makes no sense.
    #[error("ELF file of {len} bytes: {what} at {offset} lies outside")]
    Outside {
        /// What.
        what: &'static str,
        /// Where it should be.
        offset: u64,
        /// Length of the file.
        len: usize,
    },
}

const SECTION_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// An ELF file in memory.
#[derive(Clone, Copy)]
pub(crate) struct Elf<'a>(&'a [u8]);

/// A program header.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
}

impl<'a> Elf<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        // Magic, ELFCLASS64, ELFDATA2LSB.
        if bytes.len() < 64 || bytes[..6] != *b"\x7fELF\x02\x01" {
            return Err(ElfError::Kind);
        }
        Ok(Self(bytes))
    }

    /// `size` bytes at `offset`.
    pub(crate) fn bytes(&self, what: &'static str, offset: u64, size: u64) -> Result<&'a [u8], ElfError> {
        let range =
            usize::try_from(offset).ok().zip(offset.checked_add(size).and_then(|end| usize::try_from(end).ok()));
        range.and_then(|(start, end)| self.0.get(start..end)).ok_or(ElfError::Outside {
            what,
            offset,
            len: self.0.len(),
        })
    }

    pub(crate) fn machine(&self) -> u16 {
        u16_at(self.0, 18)
    }

    /// The content of the section of that name, if there is one.
    pub(crate) fn section(&self, name: &str) -> Result<Option<&'a [u8]>, ElfError> {
        let count = u64::from(u16_at(self.0, 60));
        let table = self.bytes("the section table", u64_at(self.0, 40), count * SECTION_HEADER as u64)?;
        let entry_size = u16_at(self.0, 58);
        let (headers, _) = table.as_chunks::<SECTION_HEADER>();
        let Some(names) = headers.get(usize::from(u16_at(self.0, 62))) else { return Ok(None) };
        if usize::from(entry_size) != SECTION_HEADER {
            return Err(ElfError::Outside { what: "a section header", offset: entry_size.into(), len: self.0.len() });
        }
        let content = |header: &[u8; SECTION_HEADER]| self.bytes("a section", u64_at(header, 24), u64_at(header, 32));
        let names = content(names)?;
        let named = |header: &&[u8; SECTION_HEADER]| {
            let name_at = usize::try_from(u32_at(*header, 0)).unwrap_or(usize::MAX);
            names.get(name_at..).is_some_and(|rest| rest.split(|&byte| byte == 0).next() == Some(name.as_bytes()))
        };
        headers.iter().find(named).map(content).transpose()
    }

    /// The program headers.
    pub(crate) fn segments(&self) -> Result<Vec<Segment>, ElfError> {
        let (entry_size, count) = (u16_at(self.0, 54), u64::from(u16_at(self.0, 56)));
        if count != 0 && usize::from(entry_size) != PROGRAM_HEADER {
            return Err(ElfError::Outside { what: "a program header", offset: entry_size.into(), len: self.0.len() });
        }
        let table = self.bytes("the program headers", u64_at(self.0, 32), count * PROGRAM_HEADER as u64)?;
        let (headers, _) = table.as_chunks::<PROGRAM_HEADER>();
        let segment = |header: &[u8; PROGRAM_HEADER]| Segment {
            kind: u32_at(header, 0),
            offset: u64_at(header, 8),
            address: u64_at(header, 16),
            file_size: u64_at(header, 32),
        };
        Ok(headers.iter().map(segment).collect())
    }
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
