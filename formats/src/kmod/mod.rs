//! Kernel modules: what a module says about itself (`.modinfo`), and the index files below `/usr/lib/modules/RELEASE` that
//! modprobe reads. Text formats of depmod(8) and modules.dep(5):
//! <https://man7.org/linux/man-pages/man5/modules.dep.5.html>.
//!
//! The builder writes the index files ([`index()`]); init and `modprobe` read them ([`Index`]). `modules.builtin` and
//! `modules.order` come from the kernel's own package and are copied. `modules.symbols` is not made: only
//! `symbol_request()` in a few drivers needs it.

mod index;
mod lookup;
mod modinfo;

pub use crate::elf::ElfError;
pub use index::{IndexFiles, index};
pub use lookup::{Index, ModuleFile, SoftDependencies, Texts};
pub use modinfo::{Modinfo, unpack};

use std::io;

/// What is wrong with a module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmodError {
    /// It is not an ELF object, or a damaged one.
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
    #[error("kernel module: cannot unpack it as {packing}")]
    Packed {
        /// The extension that names the compression.
        packing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The unpacked module is too large.
    #[error("kernel module: larger than {limit} bytes when unpacked")]
    TooLarge {
        /// The limit given.
        limit: u64,
    },
}

/// A module's name, or an alias, as the kernel compares it: `-` and `_` are the same outside brackets, and `_` is written.
/// In brackets a `-` makes a range.
#[must_use]
pub fn normalized(name: &str) -> String {
    let mut in_brackets = false;
    let change = |c: char| {
        in_brackets = c == '[' || (in_brackets && c != ']');
        if c == '-' && !in_brackets { '_' } else { c }
    };
    name.chars().map(change).collect()
}

/// The module's name of a path: `kernel/net/bridge/br-netfilter.ko.xz` is the module `br_netfilter`.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalized(file.split_once(".ko").map_or(file, |(stem, _)| stem))
}
