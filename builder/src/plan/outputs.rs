//! Names of the output files of a build.

use berth_contract::{
    arch::Arch,
    version::{ImageId, OsVersion},
};

/// File names, without a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The raw disk image, sparse.
    pub raw: String,
    /// The disk image for QEMU.
    pub qcow2: String,
    /// The unified kernel image.
    pub uki: String,
    /// The root file system.
    pub root: String,
    /// The hash tree of the root file system.
    pub verity: String,
    /// The build manifest.
    pub manifest: String,
    /// SHA-256 of the other files.
    pub checksums: String,
}

impl Outputs {
    /// `ID_VERSION_ARCH`, each with its suffix.
    #[must_use]
    pub fn new(id: &ImageId, version: &OsVersion, arch: Arch) -> Self {
        let name = |ending: &str| format!("{id}_{version}_{arch}.{ending}");
        Self {
            raw: name("raw"),
            qcow2: name("qcow2"),
            uki: name("efi"),
            root: name("root.erofs"),
            verity: name("root.verity"),
            manifest: name("manifest.json"),
            checksums: "SHA256SUMS".to_owned(),
        }
    }

    /// The outputs whose size and digest are in the manifest. The raw disk is first, the qcow2 made from it is last.
    #[must_use]
    pub fn measured(&self) -> [&String; 5] {
        [&self.raw, &self.root, &self.verity, &self.uki, &self.qcow2]
    }

    /// All output files.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let mut all: Vec<_> = self.measured().into_iter().cloned().collect();
        all.extend([self.manifest.clone(), self.checksums.clone()]);
        all
    }
}
