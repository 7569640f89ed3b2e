//! Names of external programs. The name of QEMU itself is in the row of the architecture.

/// QEMU's tool for disk images.
pub const QEMU_IMG: &str = "qemu-img";
