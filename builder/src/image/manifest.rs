//! `ID_VERSION_ARCH.manifest.json` and `SHA256SUMS`: what went into a build and what came out.

use super::{measure::OutputEntry, staging::Staging};
use crate::{
    assemble::Assembled,
    lock::{Locked, LockedPackage},
    plan::{Outputs, Plan},
    recipe::Recipe,
    source::programs::Programs,
    tree::{Kind, Tree},
};
use anyhow::{Context, Result};
use berth_contract::{
    arch::Arch,
    digest::{RootHash, Sha256},
    engine::EngineKind,
    image_spec::PreloadedImage,
    version::{ImageId, OsVersion},
};
use serde::Serialize;
use sha2::Digest;
use std::{collections::BTreeMap, fs};

/// Number of the manifest's format; grows when a field changes its meaning or goes away.
pub const FORMAT: u32 = 2;

/// Everything about a build. Serialises to JSON with sorted keys; holds no clock, host path or user.
#[derive(Clone, Debug, Serialize)]
pub struct BuildManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture as the recipe names it.
    pub arch: Arch,
    /// Seconds since 1970 that every file bears.
    pub epoch: u64,
    /// dm-verity root hash of the root file system.
    pub root_hash: RootHash,
    /// Kernel command line of the UKI.
    pub cmdline: String,
    /// Kernel release.
    pub kernel: String,
    /// The bundled engine and the Debian version of its package.
    pub engine: Option<EngineEntry>,
    /// What was used.
    pub inputs: Inputs,
    /// Bytes of the root file system by where they come from.
    pub sizes: BTreeMap<String, u64>,
    /// Every path of the root file system.
    pub files: Vec<FileEntry>,
    /// Every output but this manifest, by file name.
    pub outputs: BTreeMap<String, OutputEntry>,
}

/// The bundled engine.
#[derive(Clone, Debug, Serialize)]
pub struct EngineEntry {
    /// Which.
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
}

/// What a build was made of.
#[derive(Clone, Debug, Serialize)]
pub struct Inputs {
    /// SHA-256 of the recipe as merged.
    pub recipe: Sha256,
    /// SHA-256 of the lock file.
    pub lock: Sha256,
    /// Packages.
    pub packages: Vec<PackageEntry>,
    /// Names that the recipe takes as satisfied without a package.
    pub provided: Vec<String>,
    /// OCI images by name, with their image id.
    pub oci: BTreeMap<String, String>,
    /// Our own programs by path in the image.
    pub programs: BTreeMap<String, Sha256>,
}

impl Inputs {
    /// What a build is made of.
    ///
    /// # Errors
    /// A program that cannot be read.
    pub fn new(recipe: &Recipe, locked: &Locked, programs: &Programs, images: &[PreloadedImage]) -> Result<Self> {
        let lock = locked.lock();
        let mut merged = sha2::Sha256::new();
        recipe.files.iter().for_each(|file| merged.update(file.text()));
        let package = |package: &LockedPackage| PackageEntry {
            name: package.name.clone(),
            version: package.version.clone(),
            arch: package.architecture.clone(),
            sha256: package.sha256,
        };
        Ok(Self {
            recipe: Sha256(merged.finalize().into()),
            lock: lock.content_digest(),
            packages: lock.packages.iter().map(package).collect(),
            provided: lock.provided.iter().map(|provided| provided.name.clone()).collect(),
            oci: images.iter().map(|image| (image.name.clone(), image.image_id.clone())).collect(),
            programs: programs.digests()?,
        })
    }
}

/// A package in the image.
#[derive(Clone, Debug, Serialize)]
pub struct PackageEntry {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// Digest of the .deb.
    pub sha256: Sha256,
}

/// A path in the image.
#[derive(Clone, Debug, Serialize)]
pub struct FileEntry {
    /// Absolute path; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// `dir`, `file`, `symlink`, `hardlink`, `char`, `block`, `fifo`.
    pub kind: &'static str,
    /// Permission bits in octal, e.g. `0755`.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of a regular file in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Target of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where it comes from.
    pub origin: String,
}

impl BuildManifest {
    /// The manifest of a build; `identity` is root hash and kernel command line.
    #[must_use]
    pub fn new(
        recipe: &Recipe,
        plan: &Plan,
        root: &Assembled,
        identity: (RootHash, String),
        inputs: Inputs,
        outputs: BTreeMap<String, OutputEntry>,
    ) -> Self {
        let (root_hash, cmdline) = identity;
        let engine = plan.engine.as_ref();
        Self {
            format: FORMAT,
            id: plan.id.clone(),
            version: plan.version.clone(),
            arch: recipe.arch,
            epoch: plan.epoch,
            root_hash,
            cmdline,
            kernel: root.kernel.release.clone(),
            engine: engine.map(|engine| EngineEntry { kind: engine.kind, version: engine.version.clone() }),
            inputs,
            sizes: root.sizes.clone(),
            files: files(&root.tree),
            outputs,
        }
    }
}

/// Writes manifest and checksums.
///
/// # Errors
/// When one cannot be written.
pub fn write(manifest: &BuildManifest, outputs: &Outputs, staging: &Staging) -> Result<()> {
    let json = serde_json::to_string_pretty(manifest)? + "\n";
    let put = |name: &str, text: &str| {
        let path = staging.path(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put(&outputs.manifest, &json)?;
    let mut all = manifest.outputs.clone();
    let digest = Sha256(sha2::Sha256::digest(&json).into());
    all.insert(outputs.manifest.clone(), OutputEntry { size: json.len() as u64, sha256: Some(digest), fsverity: None });
    put(&outputs.checksums, &checksums(&all))
}

/// Every path of `tree`, in order.
#[must_use]
pub fn files(tree: &Tree) -> Vec<FileEntry> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    tree.iter()
        .map(|(path, node)| {
            let (kind, size, target) = match &node.kind {
                Kind::Directory => ("dir", None, None),
                Kind::File(data) => ("file", Some(data.len()), None),
                Kind::Symlink(target) => ("symlink", None, Some(text(target))),
                Kind::HardLink(target) => ("hardlink", None, Some(format!("/{}", text(target)))),
                Kind::CharDevice { .. } => ("char", None, None),
                Kind::BlockDevice { .. } => ("block", None, None),
                Kind::Fifo => ("fifo", None, None),
            };
            FileEntry {
                path: format!("/{}", text(path)),
                kind,
                mode: format!("{:04o}", node.meta.mode),
                uid: node.meta.uid,
                gid: node.meta.gid,
                size,
                target,
                origin: node.origin.to_string(),
            }
        })
        .collect()
}

/// The text of `SHA256SUMS`, as `sha256sum -c` reads it: what has a SHA-256.
#[must_use]
pub fn checksums(outputs: &BTreeMap<String, OutputEntry>) -> String {
    let line = |(name, output): (&String, &OutputEntry)| Some(format!("{}  {name}\n", output.sha256?));
    outputs.iter().filter_map(line).collect()
}
