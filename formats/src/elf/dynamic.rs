//! What a file asks of the dynamic loader. Reads only the headers, the dynamic section and the names in it, of 64-bit and 32-bit files.
//! System V Application Binary Interface, "Dynamic Linking": <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html>.

use super::{ElfError, PT_DYNAMIC, PT_INTERP, PT_LOAD, u16_at, u32_at, u64_at};
use std::io;

/// Size of the addresses of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// 32 bits.
    Elf32,
    /// 64 bits.
    Elf64,
}

/// A file's header, and what it asks of the dynamic loader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dynamic {
    /// `EI_CLASS`.
    pub class: Class,
    /// `e_machine`.
    pub machine: u16,
    /// `e_type`.
    pub file_type: u16,
    /// Path of the loader. `None` for a library, and for a program without a loader.
    pub interpreter: Option<String>,
    /// `DT_NEEDED`.
    pub needed: Vec<String>,
    /// The folders of `DT_RPATH`.
    pub rpath: Vec<String>,
    /// The folders of `DT_RUNPATH`. If there is one, the loader does not read `DT_RPATH`.
    pub runpath: Vec<String>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DynamicError {
    /// It is damaged, or of a kind that no host of ours runs.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads up to so many bytes at an offset. Fewer at the end of the file.
pub type ReadAt<'a> = dyn Fn(u64, usize) -> io::Result<Vec<u8>> + 'a;

/// Offsets of the fields that differ between the classes.
struct Fields {
    header: usize,
    e_phoff: usize,
    e_phnum: usize,
    program_header: usize,
    p_offset: usize,
    p_vaddr: usize,
    p_filesz: usize,
    /// Bytes of an address.
    word: usize,
}

const ELF32: Fields =
    Fields { header: 52, e_phoff: 28, e_phnum: 44, program_header: 32, p_offset: 4, p_vaddr: 8, p_filesz: 16, word: 4 };
const ELF64: Fields = Fields {
    header: 64,
    e_phoff: 32,
    e_phnum: 56,
    program_header: 56,
    p_offset: 8,
    p_vaddr: 16,
    p_filesz: 32,
    word: 8,
};

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
/// Largest dynamic section, and longest name or list of folders.
const MAX_SECTION: u64 = 1 << 20;
const MAX_NAME: usize = 4096;

/// Reads a file that begins with the magic of ELF.
///
/// # Errors
/// The file is damaged, is not little-endian, or cannot be read.
pub fn dynamic(read: &ReadAt<'_>) -> Result<Dynamic, DynamicError> {
    let ident = exactly(read, "header", 0, 16)?;
    if !ident.starts_with(b"\x7fELF") {
        return Err(ElfError::NotElf { is_script: ident.starts_with(b"#!") }.into());
    }
    let (class, fields) = match ident[4] {
        1 => (Class::Elf32, &ELF32),
        2 => (Class::Elf64, &ELF64),
        found => return Err(field("EI_CLASS", "1 (32-bit) or 2 (64-bit)", found.into()).into()),
    };
    if ident[5] != 1 {
        return Err(field("EI_DATA", "1 (little-endian)", ident[5].into()).into());
    }
    let header = exactly(read, "header", 0, fields.header)?;
    let table_at = fields.word_at(&header, fields.e_phoff);
    let count = usize::from(u16_at(&header, fields.e_phnum));
    let table = exactly(read, "program header table", table_at, count * fields.program_header)?;
    let segments: Vec<&[u8]> = table.chunks_exact(fields.program_header).collect();
    let of_type = |wanted: u32| segments.iter().find(|segment| u32_at(segment, 0) == wanted);
    let place = |segment: &[u8]| (fields.word_at(segment, fields.p_offset), fields.word_at(segment, fields.p_filesz));

    let mut found = Dynamic {
        class,
        machine: u16_at(&header, 18),
        file_type: u16_at(&header, 16),
        interpreter: None,
        needed: Vec::new(),
        rpath: Vec::new(),
        runpath: Vec::new(),
    };
    if let Some(segment) = of_type(PT_INTERP) {
        let (offset, size) = place(segment);
        let name = exactly(read, "name of the interpreter", offset, limited("p_filesz", size, MAX_NAME as u64)?)?;
        found.interpreter = Some(text(&name));
    }
    let Some(segment) = of_type(PT_DYNAMIC) else { return Ok(found) };
    let (offset, size) = place(segment);
    let section = exactly(read, "dynamic section", offset, limited("p_filesz", size, MAX_SECTION)?)?;
    let entry = |entry: &[u8]| (fields.word_at(entry, 0), fields.word_at(entry, fields.word));
    let entries: Vec<(u64, u64)> =
        section.chunks_exact(2 * fields.word).map(entry).take_while(|(tag, _)| *tag != 0).collect();
    let Some((_, strings)) = entries.iter().find(|(tag, _)| *tag == DT_STRTAB) else { return Ok(found) };
    // The address of the names is within a loaded segment.
    let loaded = segments.iter().find_map(|segment| {
        let (address, (offset, size)) = (fields.word_at(segment, fields.p_vaddr), place(segment));
        let inside = strings.checked_sub(address).filter(|inside| *inside < size)?;
        if u32_at(segment, 0) == PT_LOAD { offset.checked_add(inside) } else { None }
    });
    let strings = loaded.ok_or_else(|| field("DT_STRTAB", "an address in a loaded segment", *strings))?;
    for (tag, value) in entries {
        let name = || -> Result<String, DynamicError> {
            let at = strings.checked_add(value).ok_or_else(|| field("d_val", "an offset of a name", value))?;
            Ok(text(&read(at, MAX_NAME)?))
        };
        let folders = |list: &str| list.split(':').filter(|folder| !folder.is_empty()).map(str::to_owned).collect();
        match tag {
            DT_NEEDED => found.needed.push(name()?),
            DT_RPATH => found.rpath = folders(&name()?),
            DT_RUNPATH => found.runpath = folders(&name()?),
            _ => {}
        }
    }
    Ok(found)
}

impl Fields {
    fn word_at(&self, bytes: &[u8], at: usize) -> u64 {
        if self.word == 8 { u64_at(bytes, at) } else { u32_at(bytes, at).into() }
    }
}

fn field(field: &'static str, expected: &'static str, found: u64) -> ElfError {
    ElfError::Field { field, expected, found }
}

fn limited(name: &'static str, size: u64, limit: u64) -> Result<usize, ElfError> {
    let small = usize::try_from(size).ok().filter(|_| size <= limit);
    small.ok_or_else(|| field(name, "at most 1 MiB for a section, 4 KiB for a name", size))
}

fn exactly(read: &ReadAt<'_>, place: &'static str, offset: u64, size: usize) -> Result<Vec<u8>, DynamicError> {
    let bytes = read(offset, size)?;
    if bytes.len() == size {
        return Ok(bytes);
    }
    let len = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(bytes.len());
    Err(ElfError::Outside { place, offset, size: size as u64, len }.into())
}

/// The text up to the first zero.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path, process::Command};

    fn of(bytes: &[u8]) -> Result<Dynamic, DynamicError> {
        dynamic(&|offset, size| {
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            Ok(rest[..size.min(rest.len())].to_vec())
        })
    }

    /// The program that readelf(1) calls so prints the same names.
    fn judged(path: &Path, what: &str) -> Vec<String> {
        let output = Command::new("readelf").args(["-d", "-l", "-W"]).arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().filter(|line| line.contains(what));
        lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
    }

    #[test]
    fn names_are_those_of_readelf() {
        berth_judge::needs!("readelf", "gcc");
        let dir = tempfile::tempdir().unwrap();
        let (source, program) = (dir.path().join("x.c"), dir.path().join("x"));
        fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        for more in [
            &["-Wl,-rpath,/opt/a:$ORIGIN/b"][..],
            &["-Wl,--disable-new-dtags,-rpath,/opt/c"],
            &["-shared", "-nostdlib"],
        ] {
            let status = Command::new("gcc").args(more).arg("-o").arg(&program).arg(&source).status().unwrap();
            assert!(status.success());
            let found = of(&fs::read(&program).unwrap()).unwrap();
            assert_eq!((found.class, found.machine, found.file_type), (Class::Elf64, 62, 3), "{more:?}");
            assert_eq!(found.needed, judged(&program, "(NEEDED)"), "{more:?}");
            let interpreter = judged(&program, "program interpreter");
            let path = interpreter.first().and_then(|text| text.split_once(": ")).map(|(_, path)| path.to_owned());
            assert_eq!(found.interpreter, path, "{more:?}");
            assert_eq!(found.runpath.join(":"), judged(&program, "(RUNPATH)").concat(), "{more:?}");
            assert_eq!(found.rpath.join(":"), judged(&program, "(RPATH)").concat(), "{more:?}");
        }
    }

    /// A 32-bit file, made by hand: a header, one loaded segment, and a dynamic section that needs `a`.
    #[test]
    fn a_file_of_32_bits_is_read_and_damage_is_an_error() {
        let mut bytes = vec![0_u8; 200];
        bytes[..6].copy_from_slice(b"\x7fELF\x01\x01");
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(16, 3 | 3 << 16);
        put(28, 52);
        put(44, 2);
        for (at, segment_type, offset, address, size) in [(52, 1, 0, 0x1000, 200), (84, 2, 120, 0x1078, 32)] {
            put(at, segment_type);
            put(at + 4, offset);
            put(at + 8, address);
            put(at + 16, size);
        }
        for (at, tag, value) in [(120, 1, 1), (128, 5, 0x1000 + 160), (136, 0, 0)] {
            put(at, tag);
            put(at + 4, value);
        }
        put(160, u32::from_le_bytes([0, b'a', 0, 0]));
        let found = of(&bytes).unwrap();
        assert_eq!((found.class, found.machine, found.needed), (Class::Elf32, 3, vec!["a".to_owned()]));
        for len in [4, 16, 60, 130] {
            assert!(matches!(of(&bytes[..len]), Err(DynamicError::Elf(ElfError::Outside { .. }))), "{len}");
        }
        let wrong = |at: usize, value: u8| {
            let mut other = bytes.clone();
            other[at] = value;
            of(&other).unwrap_err().to_string()
        };
        assert_eq!(wrong(4, 9), "ELF header: EI_CLASS: expected 1 (32-bit) or 2 (64-bit), found 9");
        assert!(wrong(5, 2).contains("EI_DATA"));
        assert!(wrong(103, 0xff).contains("at most 1 MiB"));
        assert!(wrong(135, 0xff).contains("DT_STRTAB"));
    }
}
