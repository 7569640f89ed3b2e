//! Our own programs for the image. They are in the folder of `berth`, where cargo puts them.

use berth_contract::{
    arch::Arch,
    digest::Sha256,
    paths::{HOSTCTL, HOSTD, INIT, LOGD, NETD, TIMED, WORKLOAD},
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

/// File name in the folder of `berth`, and path in the image.
const PROGRAMS: [(&str, &str); 7] = [
    ("init", INIT),
    ("netd", NETD),
    ("logd", LOGD),
    ("timed", TIMED),
    ("workload", WORKLOAD),
    ("hostd", HOSTD),
    ("hostctl", HOSTCTL),
];

/// Our own programs of an image.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The program for PID 1. It is also in the initrd.
    pub init: Data,
    /// All programs by their path in the image.
    pub all: BTreeMap<&'static str, Data>,
}

/// A program that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The program does not exist or cannot be read.
    #[error("cannot read {}, which is part of every image", path.display())]
    Read {
        /// The program's file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a static program for the architecture. It must be static because the initrd has no dynamic loader.
    #[error("{}: expected a static {arch} program", .path.display())]
    Kind {
        /// Architecture of the image.
        arch: Arch,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ElfError,
    },
}

impl ProgramError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("build all programs with the workspace's own settings: cargo build --release --workspace".into())
    }
}

/// Reads the programs in `folder`, for an image of `arch`.
///
/// # Errors
/// A program is missing, cannot be read, or is not a static program for `arch`.
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
    /// The digest of each program, by its path in the image.
    ///
    /// # Errors
    /// A program cannot be read.
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
    fn only_static_programs_of_the_architecture_are_accepted() {
        let this = std::env::current_exe().unwrap();
        let own = fs::read(&this).unwrap();
        assert_eq!(check(&own, Arch::DEFAULT), Ok(()), "tests are static, as all programs here are");
        assert_eq!(check(&fs::read("/bin/true").unwrap(), Arch::DEFAULT), Err(ElfError::Dynamic));
        assert_eq!(check(b"#!/bin/sh\n", Arch::DEFAULT), Err(ElfError::NotElf { is_script: true }));
        static OTHER: ArchRow = ArchRow { elf_machine: 183, ..*Arch::DEFAULT.row() };
        let other = ElfError::Machine { expected: 183, found: Arch::DEFAULT.elf_machine };
        assert_eq!(check(&own, Arch::of(&OTHER)), Err(other), "another machine");
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(find(dir.path(), Arch::DEFAULT), Err(ProgramError::Read { .. })));
    }
}
