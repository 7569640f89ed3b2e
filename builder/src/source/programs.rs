//! Our own programs, as cargo built them beside `berth`.

use berth_contract::{
    arch::Arch,
    digest::Sha256,
    paths::{HOSTCTL, INIT, NETD, WORKLOAD},
};
use berth_formats::data::Data;
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
    /// It would not start on a host, which has no loader for it at that time.
    #[error("{}: expected a static {arch} program, found {found}", .path.display())]
    Kind {
        /// Architecture of the image.
        arch: Arch,
        /// Where it lies.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
}

impl ProgramError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("build all programs with the workspace's own settings: cargo build --release --workspace".into())
    }
}

/// Finds them in `folder`, for an image of `arch`.
///
/// # Errors
/// When one is missing or is no static program.
pub fn find(folder: &Path, arch: Arch) -> Result<Programs, ProgramError> {
    let mut all = BTreeMap::new();
    for (name, inside) in PROGRAMS {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|source| ProgramError::Read { path: path.clone(), source })?;
        if let Some(found) = wrong_kind(&bytes, arch) {
            return Err(ProgramError::Kind { arch, path, found });
        }
        all.insert(inside, Data::from(bytes));
    }
    let init = all.get(INIT).cloned().unwrap_or_else(Data::empty);
    Ok(Programs { init, all })
}

/// What a file is, if it is not a static program for `arch` (ELF-64, gABI chapters 4 and 5).
fn wrong_kind(bytes: &[u8], arch: Arch) -> Option<&'static str> {
    const PT_INTERP: [u8; 4] = [3, 0, 0, 0];
    let number = |at: usize| Some(usize::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") || number(18) != Some(arch.elf_machine.into()) {
        return Some("another kind of file");
    }
    let table = bytes.get(32..40).and_then(|field| usize::try_from(u64::from_le_bytes(field.try_into().ok()?)).ok());
    let (Some(table), Some(size), Some(count)) = (table, number(54), number(56)) else { return Some("a torn file") };
    let kinds = (0..count).map(|i| bytes.get(table.checked_add(i * size)?..)?.get(..4));
    kinds.flatten().any(|kind| kind == PT_INTERP).then_some("one that needs a dynamic loader")
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
        assert_eq!(
            wrong_kind(&fs::read(&this).unwrap(), Arch::DEFAULT),
            None,
            "tests are static, as everything here is"
        );
        assert_eq!(wrong_kind(&fs::read("/bin/true").unwrap(), Arch::DEFAULT), Some("one that needs a dynamic loader"));
        assert_eq!(wrong_kind(b"#!/bin/sh\n", Arch::DEFAULT), Some("another kind of file"));
        static OTHER: ArchRow = ArchRow { elf_machine: 183, ..*Arch::DEFAULT.row() };
        let for_other = wrong_kind(&fs::read(&this).unwrap(), Arch::of(&OTHER));
        assert_eq!(for_other, Some("another kind of file"), "the machine is the row's");
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(find(dir.path(), Arch::DEFAULT), Err(ProgramError::Read { .. })));
    }
}
