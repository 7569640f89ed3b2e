//! Modules of the running kernel: loading them with their dependencies, and the administrator's rules for them.

pub mod loader;
pub mod modprobe;
pub mod rules;

pub use loader::{Loader, ModuleError};
