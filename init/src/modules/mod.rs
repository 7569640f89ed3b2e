//! Kernel modules: which exist, which a device wants, and loading them.

pub mod glob;
pub mod index;
pub mod loader;
pub mod modprobe;
pub mod rules;

pub use loader::{Loader, ModuleError};

/// One name for what files and users write with `-` or `_`: the kernel's own, with `_`.
#[must_use]
pub fn normalized(name: &str) -> String {
    let mut in_brackets = false;
    name.chars()
        .map(|c| {
            match c {
                '[' => in_brackets = true,
                ']' => in_brackets = false,
                '-' if !in_brackets => return '_',
                _ => {}
            }
            c
        })
        .collect()
}
