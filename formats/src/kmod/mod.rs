//! Kernel modules: what they say about themselves (`.modinfo`), and the indices below `/usr/lib/modules/RELEASE` that
//! modprobe goes by, in the text formats of depmod(8) and modules.dep(5).
//!
//! `modules.builtin` and `modules.order` come from the kernel's own package and are copied. `modules.symbols` is not
//! made: only `symbol_request()` in a few drivers asks for it.

mod glob;
mod index;
mod lookup;
mod modinfo;

pub use crate::elf::ElfError;
pub use index::{IndexFiles, index};
pub use lookup::Index;
pub use modinfo::{Modinfo, unxz};

use std::{borrow::Cow, io};

/// What is wrong with a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmodError {
    /// Not a module, or a rotten one.
    #[error("kernel module")]
    Elf(#[from] ElfError),
    /// An object without `.modinfo`.
    #[error("kernel module: there is no section .modinfo")]
    NoModinfo,
    /// An entry that is not text.
    #[error("kernel module: .modinfo holds {found:?}, which is not UTF-8")]
    NotText {
        /// The entry, with replacement characters.
        found: String,
    },
    /// The compressed module cannot be unpacked.
    #[error("kernel module: cannot unpack the xz stream")]
    Xz(#[source] io::Error),
    /// The unpacked module is too large.
    #[error("kernel module: larger than {limit} bytes when unpacked")]
    TooLarge {
        /// The limit given.
        limit: u64,
    },
}

/// A name as the kernel compares it: `-` and `_` are the same.
fn normalised(name: &str) -> Cow<'_, str> {
    if name.contains('-') { name.replace('-', "_").into() } else { name.into() }
}

/// The module's name of a path such as `kernel/fs/fat/vfat.ko` (or `.ko.xz`).
fn module_name(path: &str) -> Cow<'_, str> {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    normalised(file.split_once('.').map_or(file, |(name, _)| name))
}
