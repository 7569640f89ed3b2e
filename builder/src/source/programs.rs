//! Our own programs, as cargo built them beside `berth`.

use berth_contract::{
    arch::Arch,
    digest::Sha256,
    paths::{HOSTCTL, INIT, NETD, WORKLOAD},
};
use berth_formats::{
    data::Data,
    elf::{Elf, ElfError},
};
use sha2::Digest;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// File name beside `berth` and path in the image.
const PROGRAMS: [(&str, &str); 4] = [("init", INIT), ("netd", NETD), ("workload", WORKLOAD), ("hostctl", HOSTCTL)];

/// The programs of an image, by path in it.
#[derive(Clone, Debug)]
pub struct Programs {
    /// PID 1, for the initrd too.
    pub init: Data,
    /// All of them.
    pub all: BTreeMap<&'static str, Data>,
}

/// A program that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there, or cannot be read.
    #[error("cannot read {}, which is part of every image", path.display())]
    Read {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not a static program of the architecture: the initrd has no dynamic loader.
    #[error("{}: expected a static {arch} program", .path.display())]
    Kind {
        /// Architecture of the image.
        arch: Arch,
        /// The file.
        path: PathBuf,
        /// What it is.
        source: ElfError,
    },
}

impl ProgramError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("build all programs with the workspace's own settings: cargo build --release --workspace".into())
    }
}

/// Reads the programs in `folder`, for an image of `arch`.
///
/// # Errors
/// A program is missing, or is not static.
pub fn find(folder: &Path, arch: Arch) -> Result<Programs, ProgramError> {
    let mut all = BTreeMap::new();
    for (name, inside) in PROGRAMS {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|source| ProgramError::Read { path: path.clone(), source })?;
        check(&bytes, arch).map_err(|source| ProgramError::Kind { arch, path, source })?;
        all.insert(inside, Data::from(bytes));
    }
    let init = all.get(INIT).cloned().unwrap_or_else(Data::empty);
    Ok(Programs { init, all })
}

/// Checks that a file is a static program for `arch`.
fn check(bytes: &[u8], arch: Arch) -> Result<(), ElfError> {
    let elf = Elf::parse(bytes)?;
    elf.check_machine(arch.elf_machine)?;
    elf.check_static_program()
}

impl Programs {
    /// Digest of each by its path in the image.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn digests(&self) -> io::Result<BTreeMap<String, Sha256>> {
        let digest = |(&path, data): (&&str, &Data)| {
            let bytes = data.to_bytes()?;
            Ok((path.to_owned(), Sha256(sha2::Sha256::digest(&bytes).into())))
        };
        self.all.iter().map(digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::arch::ArchRow;

    #[test]
    fn only_static_programs_are_taken() {
        let this = std::env::current_exe().unwrap();
        let own = fs::read(&this).unwrap();
        assert_eq!(check(&own, Arch::DEFAULT), Ok(()), "tests are static, as all programs here are");
        assert_eq!(check(&fs::read("/bin/true").unwrap(), Arch::DEFAULT), Err(ElfError::Dynamic));
        assert_eq!(check(b"#!/bin/sh\n", Arch::DEFAULT), Err(ElfError::NotElf { is_script: true }));
        static OTHER: ArchRow = ArchRow { elf_machine: 183, ..*Arch::DEFAULT.row() };
        let other = ElfError::Machine { expected: 183, found: Arch::DEFAULT.elf_machine };
        assert_eq!(check(&own, Arch::of(&OTHER)), Err(other), "the machine is the row's");
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(find(dir.path(), Arch::DEFAULT), Err(ProgramError::Read { .. })));
    }
}
