//! The files of a machine that was saved after its boot, so that others can go on from there.

use std::path::PathBuf;

/// Memory and devices.
pub(crate) const MEMORY: &str = "memory";
/// The layer over the image that takes what a machine writes.
pub(crate) const LAYER: &str = "disk.qcow2";
/// The firmware's variables.
pub(crate) const VARS: &str = "vars.fd";

/// A saved machine.
#[derive(Clone, Debug)]
pub struct Booted {
    pub(crate) folder: PathBuf,
}

impl Booted {
    /// Its memory and devices.
    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join(MEMORY)
    }

    /// Its disk at the moment at which it was saved: a qcow2 layer over the image.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join(LAYER)
    }

    /// Its firmware's variables.
    pub(crate) fn vars(&self) -> PathBuf {
        self.folder.join(VARS)
    }
}
