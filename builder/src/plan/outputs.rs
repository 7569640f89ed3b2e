//! Names of the files that a build makes.

use berth_contract::{
    arch::Arch,
    version::{ImageId, OsVersion},
};

/// File names, without a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The disk, sparse.
    pub raw: String,
    /// The disk for QEMU.
    pub qcow2: String,
    /// The unified kernel image.
    pub uki: String,
    /// The root file system.
    pub root: String,
    /// Its hash tree.
    pub verity: String,
    /// The manifest.
    pub manifest: String,
    /// Digests of all others.
    pub checksums: String,
}

impl Outputs {
    /// `ID_VERSION_ARCH` and an ending each.
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

    /// Everything that the manifest measures: the raw disk first, the qcow2 made of it last.
    #[must_use]
    pub fn measured(&self) -> [&String; 5] {
        [&self.raw, &self.root, &self.verity, &self.uki, &self.qcow2]
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        let mut all: Vec<_> = self.measured().into_iter().cloned().collect();
        all.extend([self.manifest.clone(), self.checksums.clone()]);
        all
    }
}
