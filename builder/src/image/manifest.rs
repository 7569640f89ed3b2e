//! `ID_VERSION_ARCH.manifest.json` and `SHA256SUMS`: the inputs and outputs of a build.

use super::{measure::OutputEntry, staging::Staging};
use crate::{
    assemble::{Assembled, UncoveredScript},
    lock::{Locked, LockedArchive, LockedPackage},
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

/// Version of the manifest format. It increases when a field is removed or changes its meaning.
pub const FORMAT: u32 = 2;

/// All facts about a build. Has no time of the build, path of the build host or user name, so that two builds give the same
/// manifest.
#[derive(Clone, Debug, Serialize)]
pub struct BuildManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture, by its name in the recipe.
    pub arch: Arch,
    /// Time of every file in the image, in seconds since 1970.
    pub epoch: u64,
    /// dm-verity root hash of the root file system.
    pub root_hash: RootHash,
    /// Kernel command line of the UKI.
    pub cmdline: String,
    /// Kernel release.
    pub kernel: String,
    /// The bundled engine and the Debian version of its package.
    pub engine: Option<EngineEntry>,
    /// The inputs of the build.
    pub inputs: Inputs,
    /// The lines of maintainer scripts that have no effect in the image, because `[scripts]` of the recipe ignores them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored_scripts: Vec<IgnoredScript>,
    /// Bytes of the files in the root file system, by origin.
    pub sizes: BTreeMap<String, u64>,
    /// All paths of the root file system.
    pub files: Vec<FileEntry>,
    /// All outputs except this manifest and the checksums, by file name.
    pub outputs: BTreeMap<String, OutputEntry>,
}

/// The bundled engine.
#[derive(Clone, Debug, Serialize)]
pub struct EngineEntry {
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
}

/// The inputs of a build.
#[derive(Clone, Debug, Serialize)]
pub struct Inputs {
    /// SHA-256 of the texts of all recipe files.
    pub recipe: Sha256,
    /// SHA-256 of the lock file.
    pub lock: Sha256,
    pub packages: Vec<PackageEntry>,
    /// Archives that had expired when the packages were locked, which the recipe accepts: name → `Valid-Until`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub expired: BTreeMap<String, String>,
    /// Package names that the recipe declares as provided, without a package in the image.
    pub provided: Vec<String>,
    /// OCI images by name, with their image id.
    pub oci: BTreeMap<String, String>,
    /// Digests of Berth's own programs, by path in the image.
    pub programs: BTreeMap<String, Sha256>,
}

impl Inputs {
    /// Collects the inputs.
    ///
    /// # Errors
    /// If a program cannot be read.
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
        let expired = |archive: &LockedArchive| Some((archive.suite.clone(), archive.expired?.to_string()));
        Ok(Self {
            expired: lock.archives.iter().filter_map(expired).collect(),
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
    pub name: String,
    pub version: String,
    pub arch: String,
    /// Digest of the .deb.
    pub sha256: Sha256,
}

/// A maintainer script that the recipe ignores.
#[derive(Clone, Debug, Serialize)]
pub struct IgnoredScript {
    pub package: String,
    pub version: String,
    /// `preinst`, `postinst` or `triggers`.
    pub script: &'static str,
    /// Line number → text of each line that has no effect in the image.
    pub lines: BTreeMap<usize, String>,
}

impl From<&UncoveredScript> for IgnoredScript {
    fn from(script: &UncoveredScript) -> Self {
        let UncoveredScript { package, version, uncovered } = script;
        let lines = uncovered.lines.iter().cloned().collect();
        Self { package: package.clone(), version: version.clone(), script: uncovered.script, lines }
    }
}

/// A path in the image.
#[derive(Clone, Debug, Serialize)]
pub struct FileEntry {
    /// Absolute path. Bytes that are not UTF-8 are replaced.
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
    /// The input that ships the path: `package NAME`, `overlay NAME` or `berth`.
    pub origin: String,
}

impl BuildManifest {
    /// The manifest of a build. `identity` is the root hash and the kernel command line.
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
            ignored_scripts: root.ignored.iter().map(IgnoredScript::from).collect(),
            sizes: root.sizes.clone(),
            files: files(&root.tree),
            outputs,
        }
    }
}

/// Writes the manifest and the checksums.
///
/// # Errors
/// If a file cannot be written.
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

/// All paths of `tree`, in order.
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

/// The text of `SHA256SUMS`, in the format of `sha256sum -c`. Lists only the outputs that have a SHA-256.
#[must_use]
pub fn checksums(outputs: &BTreeMap<String, OutputEntry>) -> String {
    let line = |(name, output): (&String, &OutputEntry)| Some(format!("{}  {name}\n", output.sha256?));
    outputs.iter().filter_map(line).collect()
}
