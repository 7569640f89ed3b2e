//! The files of a machine that was saved after its boot. Other machines can resume from them.

use std::path::PathBuf;

/// File with the memory and the state of the devices.
pub(crate) const MEMORY: &str = "memory";
/// File with the copy-on-write layer over the image. A machine writes to this layer.
pub(crate) const LAYER: &str = "disk.qcow2";
/// File with the firmware's variables.
pub(crate) const VARS: &str = "vars.fd";

/// A saved machine.
#[derive(Clone, Debug)]
pub struct Booted {
    pub(crate) folder: PathBuf,
}

impl Booted {
    /// File with the memory and the state of the devices.
    pub(crate) fn memory(&self) -> PathBuf {
        self.folder.join(MEMORY)
    }

    /// The disk at the time of saving: a qcow2 layer over the image.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.folder.join(LAYER)
    }

    /// File with the firmware's variables.
    pub(crate) fn vars(&self) -> PathBuf {
        self.folder.join(VARS)
    }
}
