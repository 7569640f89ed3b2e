//! Opens a suite of an archive: verifies its InRelease and reads its indices.

use super::{debs::is_safe_path, error::DebianError, in_release::InRelease, keyring::Keyring};
use crate::date::Date;
use berth_contract::digest::Sha256;
use berth_fetch::{
    blob::Want,
    fetcher::{Fetcher, Job},
    progress::Progress,
    url::Url,
};
use liblzma::{read::XzDecoder, stream::Stream};
use sha2::Digest as _;
use std::{fs::File, io::Read};

/// Size limit for an InRelease. Those of Debian are smaller than half a megabyte.
const IN_RELEASE_LIMIT: u64 = 16 << 20;
/// Size limit for an unpacked index if the InRelease does not give its size.
const INDEX_LIMIT: u64 = 1 << 30;
/// Memory limit for unpacking. `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// A suite whose InRelease is verified.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The suite's name as in the recipe.
    pub asked: String,
    /// The parsed InRelease.
    pub in_release: InRelease,
    /// Digest of the InRelease file.
    pub digest: Sha256,
    mirrors: Vec<Url>,
}

/// The text of a Packages index.
#[derive(Debug)]
pub struct IndexText {
    /// Suite and file, for messages.
    pub place: String,
    /// The paragraphs.
    pub text: String,
}

impl Archive {
    /// Fetches the InRelease of suite `asked` from the first mirror that has a valid one.
    ///
    /// # Errors
    /// The failure of the only mirror, or [`DebianError::Mirrors`].
    pub fn open(
        fetcher: &Fetcher,
        mirrors: &[Url],
        asked: &str,
        keyring: &Keyring,
        now: Date,
    ) -> Result<Self, DebianError> {
        if !is_safe_path(asked) {
            return Err(DebianError::NoMirror {
                suite: asked.to_owned(),
                reason: "the name of the suite is not valid".into(),
            });
        }
        let mut failures = Vec::new();
        for mirror in mirrors {
            let url = mirror.join(&format!("dists/{asked}/InRelease"));
            match Self::verify(fetcher, &url, asked, keyring, now) {
                Ok((in_release, digest)) => {
                    let mirrors = mirrors.to_vec();
                    return Ok(Self { asked: asked.to_owned(), in_release, digest, mirrors });
                }
                Err(failure) => failures.push(failure),
            }
        }
        match failures.len() {
            1 => Err(failures.remove(0)),
            _ => Err(DebianError::Mirrors { suite: asked.to_owned(), failures }),
        }
    }

    fn verify(
        fetcher: &Fetcher,
        url: &Url,
        asked: &str,
        keyring: &Keyring,
        now: Date,
    ) -> Result<(InRelease, Sha256), DebianError> {
        let bytes = fetcher.fetch_index(url, IN_RELEASE_LIMIT).map_err(DebianError::Fetch)?;
        let text = keyring.verify(url.as_str(), &bytes, now)?;
        let in_release = InRelease::parse(&text, url.as_str())?;
        in_release.check(asked, now)?;
        Ok((in_release, Sha256(sha2::Sha256::digest(&bytes).into())))
    }

    /// Reads the Packages index of a component for a Debian architecture, and the index for `all` if that is separate.
    /// Reads only `.xz` files: Debian's archives, and all archives made with Debian's tools, have them.
    ///
    /// # Errors
    /// [`DebianError::NoIndex`], [`DebianError::Fetch`], [`DebianError::Index`].
    pub fn packages(
        &self,
        fetcher: &Fetcher,
        component: &str,
        arch: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<IndexText>, DebianError> {
        let mut texts = vec![self.index(fetcher, component, arch, progress)?];
        if self.in_release.separate_all {
            texts.push(self.index(fetcher, component, "all", progress)?);
        }
        Ok(texts)
    }

    fn index(
        &self,
        fetcher: &Fetcher,
        component: &str,
        arch: &str,
        progress: &dyn Progress,
    ) -> Result<IndexText, DebianError> {
        let folder = format!("{component}/binary-{arch}");
        let plain = format!("{folder}/Packages");
        let file = format!("{plain}.xz");
        let missing = || DebianError::NoIndex { place: self.in_release.place.clone(), file: file.clone() };
        let want = self.in_release.file(&file).ok_or_else(missing)?;
        let below = |mirror: &Url, file: &str| mirror.join(&format!("dists/{}/{file}", self.asked));
        // Try the path with the digest first: it stays valid while the archive is being updated. The path with the plain
        // name exists in every archive.
        let hashed = self.in_release.by_hash.then(|| format!("{folder}/by-hash/SHA256/{}", want.sha256));
        let files = hashed.iter().chain([&file]);
        let mirrors = files.flat_map(|file| self.mirrors.iter().map(|mirror| below(mirror, file))).collect();
        let job = Job { name: format!("{} {component} {arch}", self.asked), want, mirrors };
        let blobs = fetcher.fetch_all(&[job], progress).map_err(DebianError::Fetch)?;
        let place = format!("{}: {file}", self.asked);
        let bad = |reason: String| DebianError::Index { place: place.clone(), reason };
        let [blob] = &*blobs else { return Err(missing()) };
        let packed = File::open(&blob.path).map_err(super::error::cannot_read(&blob.path))?;
        let text = unpack(packed, self.in_release.file(&plain)).map_err(bad)?;
        Ok(IndexText { place, text })
    }
}

/// Unpacks an index. `plain` is the size and digest of the unpacked index, if the InRelease gives it.
fn unpack(packed: impl Read, plain: Option<Want>) -> Result<String, String> {
    let limit = plain.map_or(INDEX_LIMIT, |plain| plain.size);
    let stream = Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
    let stream = stream.map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(usize::try_from(plain.map_or(0, |plain| plain.size)).unwrap_or_default());
    let mut reader = XzDecoder::new_stream(packed, stream).take(limit + 1);
    reader.read_to_end(&mut bytes).map_err(|error| format!("cannot be unpacked: {error}"))?;
    let found = bytes.len() as u64;
    if found > limit || plain.is_some_and(|plain| plain.size != found) {
        return Err(format!(
            "expected {limit} bytes when unpacked, found {}{found}",
            if found > limit { "at least " } else { "" }
        ));
    }
    String::from_utf8(bytes).map_err(|error| format!("expected UTF-8: {}", error.utf8_error()))
}
