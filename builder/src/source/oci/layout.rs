//! Reads an OCI image layout from a tar archive or a folder. Checks the size and digest of each blob before it returns it.
//!
//! OCI image format specification 1.1, `image-layout.md`.

use super::{
    blob::Blob,
    error::OciError,
    schema::{Descriptor, LAYOUT_VERSION, OciLayout},
};
use berth_contract::digest::Sha256;
use berth_formats::data::Data;
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Size limit for JSON documents in bytes: the limit of registries for manifests.
const DOCUMENT_LIMIT: u64 = 4 << 20;
/// Limit for the number of members of an archive. An image has a few dozen blobs.
const MEMBER_LIMIT: usize = 100_000;

/// An open layout.
#[derive(Debug)]
pub(super) struct Layout {
    at: PathBuf,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Archive(BTreeMap<String, Data>),
    Folder,
}

impl Layout {
    /// Opens the layout in the tar archive at `path`.
    pub(super) fn archive(path: &Path) -> Result<Self, OciError> {
        let mut file = File::open(path).map_err(io_error("read", path))?;
        look(path, &mut file)?;
        let not_tar = |source| OciError::Tar { at: path.to_owned(), source };
        let shared: Arc<Path> = path.into();
        let mut members = BTreeMap::new();
        let mut archive = tar::Archive::new(file);
        for member in archive.entries_with_seek().map_err(not_tar)? {
            let member = member.map_err(not_tar)?;
            if !member.header().entry_type().is_file() {
                continue;
            }
            let name = String::from_utf8_lossy(&member.path_bytes()).trim_start_matches("./").to_owned();
            let data = Data::File { path: Arc::clone(&shared), offset: member.raw_file_position(), len: member.size() };
            members.insert(name, data);
            if members.len() > MEMBER_LIMIT {
                return Err(not_tar(io::Error::other(format!("more than {MEMBER_LIMIT} members"))));
            }
        }
        Self { at: path.to_owned(), files: Files::Archive(members) }.checked()
    }

    /// Opens the layout in the folder at `path`.
    pub(super) fn folder(path: &Path) -> Result<Self, OciError> {
        Self { at: path.to_owned(), files: Files::Folder }.checked()
    }

    fn checked(self) -> Result<Self, OciError> {
        let name = "oci-layout";
        let layout: OciLayout = self.parse(name, &self.document(name)?)?;
        if layout.image_layout_version == LAYOUT_VERSION {
            return Ok(self);
        }
        Err(self.bad(name, format!("version {:?}", layout.image_layout_version), LAYOUT_VERSION))
    }

    /// The path of the archive or folder.
    pub(super) fn at(&self) -> &Path {
        &self.at
    }

    /// Reads a document that has no descriptor: `oci-layout` or `index.json`.
    pub(super) fn document(&self, name: &'static str) -> Result<Arc<[u8]>, OciError> {
        match self.file(name)? {
            Some(data) => self.small(name, &data),
            None => {
                let save = self.file("manifest.json")?.is_some();
                Err(OciError::NoLayout { at: self.at.clone(), name, save })
            }
        }
    }

    /// Returns the blob that `descriptor` refers to. Checks its size and digest.
    pub(super) fn blob(&self, descriptor: &Descriptor, what: &'static str) -> Result<Blob, OciError> {
        let (at, digest) = (&self.at, &descriptor.digest);
        let Some(wanted) = digest.strip_prefix("sha256:").and_then(|hex| hex.parse::<Sha256>().ok()) else {
            return Err(self.bad(what, format!("digest {digest:?}"), "sha256: and 64 hex digits"));
        };
        let Some(data) = self.file(&format!("blobs/sha256/{wanted}"))? else {
            return Err(OciError::MissingBlob { at: at.clone(), digest: digest.clone(), what });
        };
        if data.len() != descriptor.size {
            let (wanted, found) = (descriptor.size, data.len());
            return Err(OciError::Size { at: at.clone(), digest: digest.clone(), what, wanted, found });
        }
        let found = sha256(data.reader().map_err(io_error("read", at))?).map_err(io_error("read", at))?;
        if found != wanted {
            return Err(OciError::Digest { at: at.clone(), digest: digest.clone(), what, found: found.to_string() });
        }
        Ok(Blob { media_type: descriptor.media_type.clone(), digest: wanted, data })
    }

    /// Returns a blob that is a JSON document, and the parsed document.
    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
        what: &'static str,
    ) -> Result<(Blob, T), OciError> {
        let mut blob = self.blob(descriptor, what)?;
        let bytes = self.small(what, &blob.data)?;
        let parsed = self.parse(what, &bytes)?;
        // Keep the bytes that were parsed: the file could change between the check and a second read.
        blob.data = Data::Bytes(bytes);
        Ok((blob, parsed))
    }

    pub(super) fn parse<T: serde::de::DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, OciError> {
        serde_json::from_slice(bytes)
            .map_err(|error| self.bad(name, error.to_string(), "the JSON of the OCI image specification"))
    }

    pub(super) fn bad(&self, name: &str, found: String, wanted: &str) -> OciError {
        OciError::Document { at: self.at.clone(), name: name.to_owned(), found, wanted: wanted.to_owned() }
    }

    fn small(&self, name: &str, data: &Data) -> Result<Arc<[u8]>, OciError> {
        if data.len() > DOCUMENT_LIMIT {
            let (name, found) = (name.to_owned(), data.len());
            return Err(OciError::TooLarge { at: self.at.clone(), name, found, limit: DOCUMENT_LIMIT });
        }
        data.to_bytes().map_err(io_error("read", &self.at))
    }

    fn file(&self, name: &str) -> Result<Option<Data>, OciError> {
        match &self.files {
            Files::Archive(members) => Ok(members.get(name).cloned()),
            Files::Folder => {
                let path = self.at.join(name);
                match fs::metadata(&path) {
                    Ok(meta) if meta.is_file() => {
                        Ok(Some(Data::File { path: path.into(), offset: 0, len: meta.len() }))
                    }
                    Ok(_) => Ok(None),
                    Err(error) if error.kind() == io::ErrorKind::NotFound && self.at.is_dir() => Ok(None),
                    Err(error) => Err(io_error("read", &path)(error)),
                }
            }
        }
    }
}

/// Checks that the file at `at` is an uncompressed tar archive. The position of `file` is 0 afterwards.
fn look(at: &Path, file: &mut File) -> Result<(), OciError> {
    let magics: [(&[u8], _); 4] =
        [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2")];
    let mut start = Vec::new();
    let read = file.by_ref().take(512).read_to_end(&mut start).and_then(|_| file.rewind());
    read.map_err(io_error("read", at))?;
    if let Some((_, found)) = magics.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(OciError::Compressed { at: at.to_owned(), found });
    }
    // POSIX and GNU tar both have the magic "ustar" here.
    if start.get(257..262) != Some(b"ustar") {
        return Err(OciError::NoTar { at: at.to_owned() });
    }
    Ok(())
}

/// The digest of all bytes of a reader.
pub(super) fn sha256(mut bytes: impl Read) -> io::Result<Sha256> {
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match bytes.read(&mut buffer) {
            Ok(0) => return Ok(Sha256(hash.finalize().into())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OciError + 'a {
    move |source| OciError::Io { action, path: path.to_owned(), source }
}
