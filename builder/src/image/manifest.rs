//! `ID_VERSION_ARCH.manifest.json` and `SHA256SUMS`: what went into a build and what came out.

use super::staging::Staging;
use crate::{
    assemble::Assembled,
    plan::{Outputs, Plan},
    recipe::Recipe,
    tree::{Kind, Tree},
};
use anyhow::{Context, Result};
use berth_contract::{
    digest::{RootHash, Sha256},
    engine::EngineKind,
    version::{ImageId, OsVersion},
};
use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use serde::Serialize;
use sha2::Digest;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    thread,
};

/// Number of the manifest's format; grows when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

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
    pub arch: String,
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

/// A file of the build.
#[derive(Clone, Debug, Serialize)]
pub struct OutputEntry {
    /// Length in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
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
            arch: recipe.arch.to_string(),
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

/// Length and digest of every output that is measured. `meanwhile` writes what is left to write.
///
/// # Errors
/// When one cannot be read, or not be written.
pub fn measure_all(
    outputs: &Outputs,
    staging: &Staging,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<BTreeMap<String, OutputEntry>> {
    let one = |name: &String| {
        let path = staging.path(name);
        let entry = measure(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((name.clone(), entry))
    };
    let [raw, rest @ ..] = outputs.measured();
    // The disk's holes count as much as its bytes: it takes as long as all others together.
    thread::scope(|scope| {
        let raw = scope.spawn(|| one(raw));
        let rest: Result<Vec<_>> = meanwhile().and_then(|()| rest.into_iter().map(one).collect());
        let raw = raw.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(rest?.into_iter().chain([raw?]).collect())
    })
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
    all.insert(outputs.manifest.clone(), OutputEntry { size: json.len() as u64, sha256: digest });
    put(&outputs.checksums, &checksums(&all))
}

/// Every path of `tree`, in order.
#[must_use]
pub fn files(tree: &Tree) -> Vec<FileEntry> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    tree.iter()
        .map(|(path, node)| {
            let (kind, size, target) = match &node.kind {
                Kind::Dir => ("dir", None, None),
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

/// The text of `SHA256SUMS`, as `sha256sum -c` reads it.
#[must_use]
pub fn checksums(outputs: &BTreeMap<String, OutputEntry>) -> String {
    outputs.iter().map(|(name, output)| format!("{}  {name}\n", output.sha256)).collect()
}

/// Length and digest of the file at `path`, read once. Holes are not read: they are known to be zeros, and a sparse disk is
/// mostly holes.
///
/// # Errors
/// When it cannot be read.
pub fn measure(path: &Path) -> io::Result<OutputEntry> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let (mut hash, mut buffer, mut at) = (sha2::Sha256::new(), vec![0; CHUNK], 0);
    let zeros = vec![0; CHUNK];
    while at < size {
        let data = match seek(&file, SeekFrom::Data(at)) {
            Ok(data) => data.min(size),
            Err(Errno::NXIO) => size,
            Err(error) => return Err(error.into()),
        };
        for len in chunks(at, data) {
            hash.update(&zeros[..len]);
        }
        at = data;
        let hole = if at < size { seek(&file, SeekFrom::Hole(at))?.min(size) } else { size };
        for len in chunks(at, hole) {
            file.read_exact_at(&mut buffer[..len], at)?;
            hash.update(&buffer[..len]);
            at += len as u64;
        }
    }
    Ok(OutputEntry { size, sha256: Sha256(hash.finalize().into()) })
}

const CHUNK: usize = 1 << 20;

/// Lengths of the pieces of `from..to`, none longer than [`CHUNK`].
fn chunks(from: u64, to: u64) -> impl Iterator<Item = usize> {
    let whole = (to - from) / CHUNK as u64;
    let rest = usize::try_from((to - from) % CHUNK as u64).unwrap_or(0);
    (0..whole).map(|_| CHUNK).chain((rest > 0).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn holes_count_as_zeros() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (offset, text) in [(0, "start"), (3 << 20, "middle"), (7 << 20, "")] {
            file.as_file().write_all_at(text.as_bytes(), offset).unwrap();
        }
        for size in [0, 5, (3 << 20) + 2, (9 << 20) + 17] {
            file.as_file().set_len(size).unwrap();
            let judged = Command::new("sha256sum").arg(file.path()).output().unwrap().stdout;
            let found = measure(file.path()).unwrap();
            assert_eq!((found.size, found.sha256.to_string().as_bytes()), (size, &judged[..64]), "{size}");
        }
    }
}
