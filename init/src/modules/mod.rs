//! Kernel modules of the running kernel: loading them with what they need, and what an administrator says about them.

pub mod loader;
pub mod modprobe;
pub mod rules;

pub use loader::{Loader, ModuleError};
