//! Names of the output files of a build.

use berth_contract::{
    arch::Arch,
    version::{ImageId, OsVersion},
};

/// File names, without a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// `ID_VERSION_ARCH`: the start of most names.
    stem: String,
    /// The raw disk image, sparse.
    pub raw: String,
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
    /// The names for an image.
    #[must_use]
    pub fn new(id: &ImageId, version: &OsVersion, arch: Arch) -> Self {
        let stem = format!("{id}_{version}_{arch}");
        let name = |ending: &str| format!("{stem}.{ending}");
        Self {
            raw: name("raw"),
            uki: name("efi"),
            root: name("root.erofs"),
            verity: name("root.verity"),
            manifest: name("manifest.json"),
            checksums: "SHA256SUMS".to_owned(),
            stem,
        }
    }

    /// The name of the disk in another format, which has the file name extension `extension`.
    #[must_use]
    pub fn disk(&self, extension: &str) -> String {
        format!("{}.{extension}", self.stem)
    }
}
