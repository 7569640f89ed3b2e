//! The disk image of `berth run`: what it is, before anything boots.

use crate::report::Advised;
use anyhow::Result;
use berth_contract::{arch::Arch, container::ByteSize};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Bytes at the start of a qcow2 file.
const QCOW2: &[u8] = b"QFI\xfb";
/// Bytes at the start of the second sector of a disk with a partition table.
const GPT: &[u8] = b"EFI PART";
/// Bytes at the start of a compressed file, and its extension.
const COMPRESSED: [(&[u8], &str); 3] = [(b"\x28\xb5\x2f\xfd", "zst"), (b"\x1f\x8b", "gz"), (b"\xfd7zXZ", "xz")];

/// A disk image that a machine can boot.
#[derive(Clone, Debug)]
pub(super) struct DiskImage {
    pub(super) path: PathBuf,
    pub(super) arch: Arch,
    /// Whether the image has an engine. `true` if that is not known.
    pub(super) has_engine: bool,
}

/// The part of the manifest beside an image that tells what is in the image.
#[derive(Deserialize)]
struct Manifest {
    arch: Arch,
    engine: Option<IgnoredAny>,
}

impl DiskImage {
    /// Looks at the file that the user names.
    ///
    /// # Errors
    /// It is a folder, or is not a disk image.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let wrong = |found: &str, hint: String| {
            let message = format!("{}: expected a recipe (.toml) or a disk image, found {found}", path.display());
            Advised::new(message, Some(hint))
        };
        if path.is_dir() {
            return Err(wrong("a folder", inside(path)).into());
        }
        let start =
            start(path).map_err(|error| wrong(&error.to_string(), "name a file that can be read".to_owned()))?;
        let build = || "name the .raw or .qcow2 file of a build".to_owned();
        let is_qcow2 = start.starts_with(QCOW2);
        let named_qcow2 = path.extension().is_some_and(|extension| extension == "qcow2");
        let known = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic));
        match known {
            Some((_, extension)) => {
                return Err(wrong(&format!("a file compressed as .{extension}"), "unpack it first".to_owned()).into());
            }
            None if is_qcow2 && !named_qcow2 => {
                return Err(wrong(
                    "a qcow2 image with another name",
                    "rename it: the name of a qcow2 image ends in .qcow2".to_owned(),
                )
                .into());
            }
            None if !is_qcow2 && named_qcow2 => return Err(wrong("another content than qcow2", build()).into()),
            None if !is_qcow2
                && ![512, 4096].iter().any(|&at| start.get(at..).is_some_and(|rest| rest.starts_with(GPT))) =>
            {
                return Err(wrong("a file without a partition table", build()).into());
            }
            None => {}
        }
        let manifest = fs::read(path.with_extension("manifest.json")).ok();
        let manifest = manifest.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
        Ok(Self {
            path: path.to_owned(),
            arch: manifest.as_ref().map_or(Arch::DEFAULT, |manifest| manifest.arch),
            has_engine: manifest.is_none_or(|manifest| manifest.engine.is_some()),
        })
    }

    /// The size of the disk in bytes.
    fn size(&self) -> io::Result<u64> {
        let start = start(&self.path)?;
        // qcow2: the size is in the header, at byte 24, most significant byte first.
        match start.get(24..32).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) if start.starts_with(QCOW2) => Ok(u64::from_be_bytes(bytes)),
            _ => Ok(fs::metadata(&self.path)?.len()),
        }
    }

    /// Checks that a disk of `wanted` bytes is not smaller than the image.
    ///
    /// # Errors
    /// It is smaller.
    pub(super) fn check_size(&self, wanted: ByteSize) -> Result<()> {
        let size = self.size()?;
        if wanted.0 >= size {
            return Ok(());
        }
        let message = format!("--disk {wanted}: expected at least the size of the image, {size} bytes");
        Err(Advised::new(message, Some("a disk can only be larger than the image".to_owned())).into())
    }
}

/// The first bytes of a file.
fn start(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(8192).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The recipes and images in a folder, as a hint.
fn inside(folder: &Path) -> String {
    let names =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| [".toml", ".raw", ".qcow2"].iter().any(|ending| name.ends_with(ending))).collect();
    names.sort();
    names.truncate(5);
    match names.is_empty() {
        true => "name a recipe (.toml), or the .raw or .qcow2 file of a build".to_owned(),
        false => format!("name a file in this folder: {}", names.join(", ")),
    }
}
