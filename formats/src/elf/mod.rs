//! ELF files, 64-bit and little-endian: only as much as it takes to find a section or a segment, and to tell what kind of
//! file it is. Every read is checked. System V Application Binary Interface, "Object Files" and "Program Loading":
//! <https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>.

pub mod dynamic;

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// It begins with other bytes.
    #[error("not an ELF file{}", if *is_script { ", but a script" } else { "" })]
    NotElf {
        /// Whether it begins with `#!`.
        is_script: bool,
    },
    /// A field of the header has another value.
    #[error("ELF header: {field}: expected {expected}, found {found}")]
    Field {
        /// Name in the specification.
        field: &'static str,
        /// The value expected.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// Another machine's.
    #[error("ELF header: e_machine: expected {expected}, found {found}")]
    Machine {
        /// The machine's number.
        expected: u16,
        /// The number in the file.
        found: u16,
    },
    /// A part of the file that is not there.
    #[error("damaged ELF file: {place}: expected {size} bytes at byte {offset}, found a file of {len} bytes")]
    Outside {
        /// Which part.
        place: &'static str,
        /// Where it should begin.
        offset: u64,
        /// Its length.
        size: u64,
        /// Length of the file.
        len: usize,
    },
    /// A program that another program, its interpreter, has to load.
    #[error("a program that needs a dynamic loader")]
    Dynamic,
}

/// `e_type` of a program at fixed addresses.
pub const ET_EXEC: u16 = 2;
/// `e_type` of a shared object, or of a program for any address.
pub const ET_DYN: u16 = 3;
/// `p_type` of a segment that is loaded.
pub const PT_LOAD: u32 = 1;
/// `p_type` of the segment that holds the dynamic section.
pub const PT_DYNAMIC: u32 = 2;
/// `p_type` of the segment that names the dynamic loader.
pub const PT_INTERP: u32 = 3;

const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// An ELF file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a>(&'a [u8]);

/// A program header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_type`.
    pub segment_type: u32,
    /// `p_offset`.
    pub offset: u64,
    /// `p_vaddr`.
    pub address: u64,
    /// `p_filesz`.
    pub file_size: u64,
}

impl<'a> Elf<'a> {
    /// Checks `e_ident`.
    ///
    /// # Errors
    /// A file that is not ELF, or not of the class 64-bit, little-endian, version 1.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ElfError> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(ElfError::NotElf { is_script: bytes.starts_with(b"#!") });
        }
        let elf = Self(bytes);
        elf.bytes("header", 0, HEADER as u64)?;
        for (at, field, expected, value) in
            [(4, "EI_CLASS", "2 (64-bit)", 2), (5, "EI_DATA", "1 (little-endian)", 1), (6, "EI_VERSION", "1", 1)]
        {
            if bytes[at] != value {
                return Err(ElfError::Field { field, expected, found: bytes[at].into() });
            }
        }
        Ok(elf)
    }

    /// `e_type`.
    #[must_use]
    pub fn file_type(&self) -> u16 {
        u16_at(self.0, 16)
    }

    /// `e_machine`.
    #[must_use]
    pub fn machine(&self) -> u16 {
        u16_at(self.0, 18)
    }

    /// Checks that the file is for the machine with this number.
    ///
    /// # Errors
    /// It is for another machine.
    pub fn check_machine(&self, expected: u16) -> Result<(), ElfError> {
        let found = self.machine();
        if found == expected { Ok(()) } else { Err(ElfError::Machine { expected, found }) }
    }

    /// Checks that the file is a program that starts without a dynamic loader.
    ///
    /// # Errors
    /// It is no program, is damaged, or names a dynamic loader.
    pub fn check_static_program(&self) -> Result<(), ElfError> {
        let found = self.file_type();
        if !matches!(found, ET_EXEC | ET_DYN) {
            let expected = "2 (ET_EXEC) or 3 (ET_DYN)";
            return Err(ElfError::Field { field: "e_type", expected, found: found.into() });
        }
        match self.segments()?.iter().any(|segment| segment.segment_type == PT_INTERP) {
            true => Err(ElfError::Dynamic),
            false => Ok(()),
        }
    }

    /// `size` bytes at `offset`. An error names them `place`.
    ///
    /// # Errors
    /// The file is shorter.
    pub fn bytes(&self, place: &'static str, offset: u64, size: u64) -> Result<&'a [u8], ElfError> {
        let range =
            usize::try_from(offset).ok().zip(offset.checked_add(size).and_then(|end| usize::try_from(end).ok()));
        let bytes = range.and_then(|(start, end)| self.0.get(start..end));
        bytes.ok_or(ElfError::Outside { place, offset, size, len: self.0.len() })
    }

    /// The content of the section of that name, if there is one.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn section(&self, name: &str) -> Result<Option<&'a [u8]>, ElfError> {
        let count = u64::from(u16_at(self.0, 60));
        let table = self.bytes("section header table", u64_at(self.0, 40), count * SECTION_HEADER as u64)?;
        let (headers, _) = table.as_chunks::<SECTION_HEADER>();
        let Some(names) = headers.get(usize::from(u16_at(self.0, 62))) else { return Ok(None) };
        self.check_size("e_shentsize", 58, "64", SECTION_HEADER)?;
        let content = |header: &[u8; SECTION_HEADER]| self.bytes("section", u64_at(header, 24), u64_at(header, 32));
        let names = content(names)?;
        let named = |header: &&[u8; SECTION_HEADER]| {
            let name_at = usize::try_from(u32_at(*header, 0)).unwrap_or(usize::MAX);
            names.get(name_at..).is_some_and(|rest| rest.split(|&byte| byte == 0).next() == Some(name.as_bytes()))
        };
        headers.iter().find(named).map(content).transpose()
    }

    /// The program headers.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn segments(&self) -> Result<Vec<Segment>, ElfError> {
        let count = u64::from(u16_at(self.0, 56));
        if count != 0 {
            self.check_size("e_phentsize", 54, "56", PROGRAM_HEADER)?;
        }
        let table = self.bytes("program header table", u64_at(self.0, 32), count * PROGRAM_HEADER as u64)?;
        let (headers, _) = table.as_chunks::<PROGRAM_HEADER>();
        let segment = |header: &[u8; PROGRAM_HEADER]| Segment {
            segment_type: u32_at(header, 0),
            offset: u64_at(header, 8),
            address: u64_at(header, 16),
            file_size: u64_at(header, 32),
        };
        Ok(headers.iter().map(segment).collect())
    }

    fn check_size(&self, field: &'static str, at: usize, expected: &'static str, size: usize) -> Result<(), ElfError> {
        let found = u16_at(self.0, at);
        if usize::from(found) == size { Ok(()) } else { Err(ElfError::Field { field, expected, found: found.into() }) }
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

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u16 = 62;

    fn check(bytes: &[u8]) -> Result<(), ElfError> {
        let elf = Elf::parse(bytes)?;
        elf.check_machine(X86_64)?;
        elf.check_static_program()
    }

    #[test]
    fn static_programs_are_told_from_all_other_files() {
        // This test is a static program itself: .cargo/config.toml says so.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&own), Ok(()));
        for len in [4, 40, 64, 100] {
            assert!(matches!(check(&own[..len]), Err(ElfError::Outside { .. })), "{len}");
        }
        let message = check(&own[..64]).unwrap_err().to_string();
        assert!(message.starts_with("damaged ELF file: program header table: expected "), "{message}");
        assert_eq!(check(&std::fs::read("/bin/sh").unwrap()), Err(ElfError::Dynamic));
        assert_eq!(check(b"#!/bin/sh\n").unwrap_err().to_string(), "not an ELF file, but a script");
        assert_eq!(check(b""), Err(ElfError::NotElf { is_script: false }));
        let changed = |at: usize, value: u8| {
            let mut other = own[..64].to_vec();
            other[at] = value;
            check(&other).unwrap_err().to_string()
        };
        assert_eq!(changed(18, 183), "ELF header: e_machine: expected 62, found 183");
        assert_eq!(changed(16, 1), "ELF header: e_type: expected 2 (ET_EXEC) or 3 (ET_DYN), found 1");
        assert_eq!(changed(4, 1), "ELF header: EI_CLASS: expected 2 (64-bit), found 1");
        assert_eq!(changed(54, 32), "ELF header: e_phentsize: expected 56, found 32");
    }
}
