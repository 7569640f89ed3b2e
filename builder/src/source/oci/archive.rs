//! Writes an OCI archive that every engine can import. It contains `oci-layout` and `index.json` for containerd and podman,
//! and `manifest.json` for `docker load`. docker 25 and later write archives in the same way.

use super::{
    OciImage,
    blob::Blob,
    error::OciError,
    layout::{io_error, sha256},
    schema::{Descriptor, IMAGE_NAME, ImageIndex, LAYOUT_VERSION, OciLayout, Platform, REF_NAME, SaveManifest},
};
use crate::scratch;
use berth_contract::digest::Sha256;
use berth_fetch::{blob::Want, store::Store};
use berth_file::Flush;
use berth_formats::data::Data;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::Path,
};

/// Size of a tar block in bytes. Two empty blocks end an archive.
const BLOCK: usize = 512;

/// Makes the archive of `image` and keeps it in `store`. The same image gives the same bytes: members have a fixed order,
/// the superuser as owner, and the time 0.
///
/// # Errors
/// A layer cannot be read, or the store cannot be written.
pub fn preload(image: &OciImage, store: &Store) -> Result<Data, OciError> {
    let pieces = pieces(image)?;
    let size = pieces.iter().map(Data::len).sum();
    let name = image.name.to_string();
    let broken = io_error("read", Path::new(&name));
    let want = Want { sha256: sha256(Reading::new(&pieces)).map_err(broken)?, size };
    let kept = store.put(want, &name, Reading::new(&pieces));
    let blob = kept.map_err(|source| OciError::Store { name: name.clone(), source: source.into() })?;
    Ok(Data::File { path: blob.path.into(), offset: 0, len: size })
}

/// Writes the archive of `image` to `path`. A crash leaves the old file or the new file.
///
/// # Errors
/// A layer cannot be read, or `path` cannot be written.
pub fn publish(image: &OciImage, path: &Path) -> Result<(), OciError> {
    let pieces = pieces(image)?;
    scratch::replace(path, 0o666, Flush::Content, |file| {
        io::copy(&mut Reading::new(&pieces), file).map(drop).map_err(io_error("write", path))
    })
}

fn pieces(image: &OciImage) -> Result<Vec<Data>, OciError> {
    let blobs: BTreeMap<Sha256, &Blob> =
        [&image.manifest, &image.config].into_iter().chain(&image.layers).map(|blob| (blob.digest, blob)).collect();
    let full = image.name.full();
    let manifest = Descriptor {
        media_type: image.manifest.media_type.clone(),
        digest: format!("sha256:{}", image.manifest.digest),
        size: image.manifest.data.len(),
        annotations: [IMAGE_NAME, REF_NAME].map(|key| (key.to_owned(), full.clone())).into(),
        platform: Some(Platform { architecture: image.architecture.clone(), os: "linux".to_owned() }),
    };
    let index = ImageIndex { schema_version: 2, media_type: None, manifests: vec![manifest] };
    let save = [SaveManifest {
        config: path_of(&image.config),
        repo_tags: vec![image.name.to_string()],
        layers: image.layers.iter().map(path_of).collect(),
    }];
    let mut tar = Tar::new(0);
    tar.file("oci-layout", json(&OciLayout { image_layout_version: LAYOUT_VERSION.to_owned() })?)?;
    tar.file("index.json", json(&index)?)?;
    tar.file("manifest.json", json(&save)?)?;
    tar.folder("blobs/")?;
    tar.folder("blobs/sha256/")?;
    for blob in blobs.values() {
        tar.file(&path_of(blob), blob.data.clone())?;
    }
    Ok(tar.finish())
}

fn path_of(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.digest)
}

pub(super) fn json(value: &impl Serialize) -> Result<Data, OciError> {
    let text = serde_json::to_vec(value).map_err(|error| io_error("write", Path::new("JSON"))(error.into()))?;
    Ok(text.into())
}

/// A tar archive as a list of pieces, so that layers are not kept in memory.
#[derive(Debug)]
pub(super) struct Tar {
    pieces: Vec<Data>,
    mtime: u64,
}

impl Tar {
    /// Makes an empty archive. All its members will have the time `mtime`, in seconds since 1970.
    pub(super) fn new(mtime: u64) -> Self {
        Self { pieces: Vec::new(), mtime }
    }

    pub(super) fn file(&mut self, name: &str, data: Data) -> Result<(), OciError> {
        self.member(name, tar::EntryType::Regular, 0o644, data)
    }

    pub(super) fn program(&mut self, name: &str, data: Data) -> Result<(), OciError> {
        self.member(name, tar::EntryType::Regular, 0o755, data)
    }

    fn folder(&mut self, name: &str) -> Result<(), OciError> {
        self.member(name, tar::EntryType::Directory, 0o755, Data::empty())
    }

    fn member(&mut self, name: &str, kind: tar::EntryType, mode: u32, data: Data) -> Result<(), OciError> {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).map_err(io_error("write tar member", Path::new(name)))?;
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len());
        header.set_mtime(self.mtime);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        let over = usize::try_from(data.len() % BLOCK as u64).unwrap_or_default();
        self.pieces.extend([header.as_bytes().to_vec().into(), data, vec![0; (BLOCK - over) % BLOCK].into()]);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Vec<Data> {
        self.pieces.push(vec![0; 2 * BLOCK].into());
        self.pieces
    }
}

/// Reads pieces one after the other. Opens each piece only when it is needed.
struct Reading<'a> {
    left: std::slice::Iter<'a, Data>,
    current: Box<dyn Read + Send>,
}

impl<'a> Reading<'a> {
    fn new(pieces: &'a [Data]) -> Self {
        Self { left: pieces.iter(), current: Box::new(io::empty()) }
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buf)?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            match self.left.next() {
                Some(piece) => self.current = piece.reader()?,
                None => return Ok(0),
            }
        }
    }
}
