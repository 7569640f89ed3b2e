//! Reads a build to release: the output folder of `berth build`. Checks that all its files match each other.

use super::{error::ReleaseError, file};
use crate::image::manifest;
use berth_contract::{
    arch::Arch,
    cmdline,
    digest::{RootHash, Sha256},
    engine::EngineKind,
    release::MAX_UKI,
    version::{ImageId, OsVersion},
};
use berth_formats::{
    pe,
    verity::{self, Superblock},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

const CHECKSUMS: &str = "SHA256SUMS";
const MAX_CHECKSUMS: u64 = 1 << 20;
const MAX_MANIFEST: u64 = 256 << 20;

/// A checked build: its digests, its hash tree and its command line match.
#[derive(Debug)]
pub(super) struct Build {
    pub(super) manifest: Manifest,
    pub(super) root: PathBuf,
    pub(super) verity: PathBuf,
    pub(super) superblock: Superblock,
    pub(super) uki: Vec<u8>,
    pub(super) uki_sha256: Sha256,
}

/// The part of the build manifest that a release needs.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) id: ImageId,
    pub(super) version: OsVersion,
    pub(super) arch: Arch,
    pub(super) epoch: u64,
    pub(super) root_hash: RootHash,
    pub(super) kernel: String,
    pub(super) engine: Option<Engine>,
    inputs: Inputs,
    outputs: BTreeMap<String, Output>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Engine {
    pub(super) kind: EngineKind,
    pub(super) version: String,
}

#[derive(Debug, Deserialize)]
struct Inputs {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Output {
    size: u64,
    sha256: Option<Sha256>,
}

impl Manifest {
    /// Debian packages: name to version.
    pub(super) fn packages(&self) -> BTreeMap<String, String> {
        self.inputs.packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
    }
}

impl Build {
    /// Reads the build that SHA256SUMS in `folder` lists. Reads and checks all files that a release needs.
    pub(super) fn open(folder: &Path) -> Result<Self, ReleaseError> {
        let path = folder.join(CHECKSUMS);
        if folder.is_dir() && !path.exists() {
            return Err(ReleaseError::NotABuild(folder.to_owned()));
        }
        let sums = checksums(&file::read(&path, MAX_CHECKSUMS)?, &path)?;
        let manifest_name = sums.keys().find(|name| name.ends_with(".manifest.json")).cloned().unwrap_or_default();
        let listed = |name: &str| {
            sums.get(name).copied().ok_or_else(|| wrong(&path, "list of files", format!("a line for {name:?}"), "none"))
        };
        if manifest_name.is_empty() {
            listed("*.manifest.json")?;
        }
        let manifest_path = folder.join(&manifest_name);
        let text = file::read(&manifest_path, MAX_MANIFEST)?;
        same(&manifest_path, "SHA-256", listed(&manifest_name)?, digest(&text))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| wrong(&manifest_path, "content", "the manifest of a build", error))?;
        same(&manifest_path, "format", manifest::FORMAT, manifest.format)?;
        let name = |ending: &str| format!("{}_{}_{}.{ending}", manifest.id, manifest.version, manifest.arch);
        same(&manifest_path, "file name", name("manifest.json"), manifest_name.clone())?;

        let whole = |ending: &str| -> Result<(PathBuf, Sha256), ReleaseError> {
            let name = name(ending);
            let path = folder.join(&name);
            let output = manifest.outputs.get(&name);
            let output = output.ok_or_else(|| wrong(&manifest_path, "outputs", format!("a file {name:?}"), "none"))?;
            let (size, sha256) = file::measure(&path)?;
            same(&path, "length", output.size, size)?;
            same(&path, "SHA-256", listed(&name)?, sha256)?;
            same(&manifest_path, "SHA-256 of an output", output.sha256.unwrap_or(sha256), sha256)?;
            Ok((path, sha256))
        };
        let (root, _) = whole("root.erofs")?;
        let (tree, _) = whole("root.verity")?;
        let (uki_path, uki_sha256) = whole("efi")?;
        let found = uki_path.metadata().map_err(ReleaseError::io("read", &uki_path))?.len();
        if found > MAX_UKI {
            let (what, hint) = (uki_path.display().to_string(), "make the kernel or the initrd smaller");
            return Err(ReleaseError::Large { what, most: MAX_UKI, found, hint });
        }
        let superblock = hash_tree(&root, &tree, manifest.root_hash)?;
        let uki = file::read(&uki_path, MAX_UKI)?;
        check_uki(&uki, &uki_path, &manifest)?;
        Ok(Self { manifest, root, verity: tree, superblock, uki, uki_sha256 })
    }
}

/// Checks the file system against the hash tree, and the hash tree against the root hash. Returns the tree's superblock.
fn hash_tree(root: &Path, tree: &Path, root_hash: RootHash) -> Result<Superblock, ReleaseError> {
    let open = |path: &Path| File::open(path).map_err(ReleaseError::io("read", path));
    verity::verify(&open(root)?, &open(tree)?, &root_hash)
        .map_err(|source| ReleaseError::Tree { path: root.to_owned(), source })?;
    let len = |path: &Path| path.metadata().map(|meta| meta.len()).map_err(ReleaseError::io("read", path));
    let raw = file::read(tree, len(tree)?)?;
    let superblock =
        Superblock::parse(&raw).map_err(|error| ReleaseError::Tree { path: tree.to_owned(), source: error.into() })?;
    same(root, "length", superblock.data_size(), len(root)?)?;
    same(tree, "length", superblock.tree_size(), len(tree)?)?;
    Ok(superblock)
}

/// Checks that the UKI's command line contains the root hash, and that its os-release contains id and version.
fn check_uki(uki: &[u8], path: &Path, manifest: &Manifest) -> Result<(), ReleaseError> {
    let sections = pe::sections(uki).map_err(|source| ReleaseError::Uki { path: path.to_owned(), source })?;
    let text = |name: &str| {
        let section = sections.iter().find(|section| section.name == name);
        let content = section.map(|section| String::from_utf8_lossy(section.content(uki)).into_owned());
        content.ok_or_else(|| wrong(path, "sections", name, "no section with this name"))
    };
    let line = text(".cmdline")?;
    match cmdline::parse(line.trim_end_matches(['\0', '\n'])).root_hash() {
        Ok(Some(found)) => same(path, "root hash of the command line", manifest.root_hash, found)?,
        _ => return Err(wrong(path, "command line", format!("roothash={}", manifest.root_hash), format!("{line:?}"))),
    }
    let release = text(".osrel")?;
    for (key, wanted) in [("IMAGE_ID", manifest.id.as_str()), ("IMAGE_VERSION", manifest.version.as_str())] {
        let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        same(
            path,
            "os-release",
            format!("{key}={wanted}"),
            format!("{key}={}", value.unwrap_or_default().trim_matches('"')),
        )?;
    }
    Ok(())
}

/// Parses the output format of sha256sum. Returns a map from name to digest.
fn checksums(text: &[u8], path: &Path) -> Result<BTreeMap<String, Sha256>, ReleaseError> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let (digest, name) = line.split_once("  ")?;
        Some((name.to_owned(), digest.parse().ok()?))
    };
    text.lines()
        .map(|text| line(text).ok_or_else(|| wrong(path, "line", "SHA-256, two spaces, a name", format!("{text:?}"))))
        .collect()
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(<sha2::Sha256 as sha2::Digest>::digest(bytes).into())
}

fn wrong(
    path: &Path,
    what: &'static str,
    wanted: impl std::fmt::Display,
    found: impl std::fmt::Display,
) -> ReleaseError {
    ReleaseError::Build { path: path.to_owned(), what, wanted: wanted.to_string(), found: found.to_string() }
}

fn same<A: std::fmt::Display + PartialEq<B>, B: std::fmt::Display>(
    path: &Path,
    what: &'static str,
    wanted: A,
    found: B,
) -> Result<(), ReleaseError> {
    if wanted == found { Ok(()) } else { Err(wrong(path, what, wanted, found)) }
}
