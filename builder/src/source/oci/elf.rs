//! Whether a program runs alone: just enough of the System V ABI's ELF to tell.

use berth_contract::arch::Arch;

/// `e_ident` of a 64-bit little-endian file of version 1.
const IDENT: &[u8] = b"\x7fELF\x02\x01\x01";
/// `p_type` of the segment that names the dynamic loader.
const PT_INTERP: u64 = 3;

/// Why a file is no program that runs alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAlone {
    /// It is something else, or damaged.
    Other(&'static str),
    /// It needs a dynamic loader, and so its libraries.
    Dynamic,
}

/// Checks that `bytes` is a program without a dynamic loader, and returns its architecture.
pub(super) fn check(bytes: &[u8]) -> Result<Arch, NotAlone> {
    if !bytes.starts_with(b"\x7fELF") {
        return Err(NotAlone::Other(if bytes.starts_with(b"#!") { "a script" } else { "not an ELF file" }));
    }
    let machine = number(bytes, 18, 2);
    let arch = Arch::all().find(|arch| machine == Some(arch.elf_machine.into()));
    let Some(arch) = arch.filter(|_| bytes.starts_with(IDENT)) else {
        return Err(NotAlone::Other("a program for another machine"));
    };
    // e_type: ET_EXEC, or ET_DYN for a program that may be loaded anywhere.
    if !matches!(number(bytes, 16, 2), Some(2 | 3)) {
        return Err(NotAlone::Other("an ELF file that is no program"));
    }
    let damaged = NotAlone::Other("a damaged ELF file");
    let (Some(table), Some(size), Some(count)) = (number(bytes, 32, 8), number(bytes, 54, 2), number(bytes, 56, 2))
    else {
        return Err(damaged);
    };
    for index in 0..count {
        let kind = (index * size).checked_add(table).and_then(|at| number(bytes, usize::try_from(at).ok()?, 4));
        match kind {
            None => return Err(damaged),
            Some(PT_INTERP) => return Err(NotAlone::Dynamic),
            Some(_) => {}
        }
    }
    Ok(arch)
}

/// The little-endian number of `len` bytes at `at`.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_need_a_loader_are_told_from_those_that_do_not() {
        // This very test is linked statically, by .cargo/config.toml.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check(&own), Ok(Arch::DEFAULT));
        assert_eq!(check(&own[..64]), Err(NotAlone::Other("a damaged ELF file")));
        assert_eq!(check(&own[..40]), Err(NotAlone::Other("a damaged ELF file")));
        assert_eq!(check(&std::fs::read("/bin/sh").unwrap()), Err(NotAlone::Dynamic));
        assert_eq!(check(b"#!/bin/sh\n"), Err(NotAlone::Other("a script")));
        assert_eq!(check(b""), Err(NotAlone::Other("not an ELF file")));
        let mut other = own[..64].to_vec();
        other[18] = 183;
        assert_eq!(check(&other), Err(NotAlone::Other("a program for another machine")));
        (other[18], other[16]) = (62, 1);
        assert_eq!(check(&other), Err(NotAlone::Other("an ELF file that is no program")));
    }
}
