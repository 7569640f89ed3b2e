//! Opens a suite of an archive: verifies its InRelease and reads its indices.

use super::{
    error::DebianError,
    in_release::InRelease,
    keyring::Keyring,
    suite::{Expiry, SuiteName},
};
use crate::date::Date;
use berth_contract::digest::Sha256;
use berth_fetch::{
    blob::{Blob, Want},
    fetcher::{Fetcher, Job},
    progress::Progress,
    url::Url,
};
use berth_formats::packing::{Packing, Unpacker};
use sha2::Digest as _;
use std::{fs::File, io::Read};

/// Size limit for an InRelease. Those of Debian are smaller than half a megabyte.
const IN_RELEASE_LIMIT: u64 = 16 << 20;
/// Size limit for an unpacked index if the InRelease does not give its size.
const INDEX_LIMIT: u64 = 1 << 30;
/// The forms of an index that are read, best first.
const FORMS: [Option<Packing>; 3] = [Some(Packing::Xz), Some(Packing::Gzip), None];

/// The suite to open.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name in the recipe, for messages and the lock.
    pub name: String,
    /// Its name in the archive.
    pub suite: SuiteName,
    /// Whether it may have expired.
    pub expiry: Expiry,
}

/// A suite whose InRelease is verified.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The suite's name in the recipe.
    pub name: String,
    /// The parsed InRelease.
    pub in_release: InRelease,
    /// Digest of the InRelease file.
    pub digest: Sha256,
    /// `Valid-Until`, if it is past and was accepted.
    pub expired: Option<Date>,
    suite: SuiteName,
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
    /// Fetches the InRelease of a suite from the first mirror that has a valid one.
    ///
    /// # Errors
    /// The failure of the only mirror, or [`DebianError::Mirrors`].
    pub fn open(
        fetcher: &Fetcher,
        mirrors: &[Url],
        asked: &Asked,
        keyring: &Keyring,
        now: Date,
    ) -> Result<Self, DebianError> {
        let mut failures = Vec::new();
        for mirror in mirrors {
            match Self::verify(fetcher, mirror, asked, keyring, now) {
                Ok(archive) => return Ok(Self { mirrors: mirrors.to_vec(), ..archive }),
                Err(failure) => failures.push(failure),
            }
        }
        match failures.len() {
            1 => Err(failures.remove(0)),
            _ => Err(DebianError::Mirrors { suite: asked.name.clone(), failures }),
        }
    }

    /// Opens the archives among `mirrors` that have a suite of this name, but are not copies of this archive. A mirror that cannot be
    /// used is passed over: it may be a mirror of other suites.
    #[must_use]
    pub fn others(&self, fetcher: &Fetcher, mirrors: &[Url], asked: &Asked, keyring: &Keyring, now: Date) -> Vec<Self> {
        let mut others: Vec<Self> = Vec::new();
        for mirror in mirrors {
            let Ok(other) = Self::verify(fetcher, mirror, asked, keyring, now) else { continue };
            if [self].into_iter().chain(&others).all(|known| known.in_release.origin != other.in_release.origin) {
                others.push(other);
            }
        }
        others
    }

    fn verify(
        fetcher: &Fetcher,
        mirror: &Url,
        asked: &Asked,
        keyring: &Keyring,
        now: Date,
    ) -> Result<Self, DebianError> {
        let url = mirror.join(&asked.suite.path("InRelease"));
        let bytes = fetcher.fetch_index(&url, IN_RELEASE_LIMIT).map_err(DebianError::Fetch)?;
        let text = keyring.verify(url.as_str(), &bytes, now)?;
        let in_release = InRelease::parse(&text, url.as_str())?;
        let expired = in_release.check(&asked.suite, asked.expiry, now)?;
        Ok(Self {
            name: asked.name.clone(),
            in_release,
            digest: Sha256(sha2::Sha256::digest(&bytes).into()),
            expired,
            suite: asked.suite.clone(),
            mirrors: vec![mirror.clone()],
        })
    }

    /// Reads the Packages indices for a Debian architecture: one for each component, and those for `all` if they are separate. A flat
    /// archive has one index for everything.
    ///
    /// # Errors
    /// [`DebianError::NoIndex`], [`DebianError::Fetch`], [`DebianError::Index`].
    pub fn packages(
        &self,
        fetcher: &Fetcher,
        components: &[String],
        arch: &str,
        progress: &dyn Progress,
    ) -> Result<Vec<IndexText>, DebianError> {
        if self.suite.is_flat() {
            return Ok(vec![self.index(fetcher, "", arch, progress)?]);
        }
        let mut texts = Vec::new();
        for component in components {
            texts.push(self.index(fetcher, component, arch, progress)?);
            if self.in_release.separate_all {
                texts.push(self.index(fetcher, component, "all", progress)?);
            }
        }
        Ok(texts)
    }

    /// Reads an index in the best form that the InRelease lists and a mirror has.
    fn index(
        &self,
        fetcher: &Fetcher,
        component: &str,
        arch: &str,
        progress: &dyn Progress,
    ) -> Result<IndexText, DebianError> {
        let plain = self.suite.index(component, arch);
        let name = format!("{} {component} {arch}", self.name);
        let mut missing = None;
        for packing in FORMS {
            let file = format!("{plain}{}", packing.map_or("", Packing::extension));
            let Some(want) = self.in_release.file(&file) else { continue };
            match self.fetch(fetcher, Job { name: name.clone(), want, mirrors: self.addresses(&file, want) }, progress)
            {
                Ok(blob) => {
                    let place = format!("{}: {file}", self.name);
                    let packed = File::open(&blob.path).map_err(super::error::cannot_read(&blob.path))?;
                    return match unpack(packed, packing, self.in_release.file(&plain)) {
                        Ok(text) => Ok(IndexText { place, text }),
                        Err(reason) => Err(DebianError::Index { place, reason }),
                    };
                }
                Err(DebianError::Fetch(error)) if error.is_missing() => {
                    missing.get_or_insert(DebianError::Fetch(error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(missing.unwrap_or_else(|| DebianError::NoIndex {
            place: self.in_release.place.clone(),
            found: self.in_release.files_of(&plain),
            file: plain,
        }))
    }

    /// Where an index may be. The path with the digest comes first: it stays valid while the archive is being updated. The path with
    /// the plain name exists in every archive.
    fn addresses(&self, file: &str, want: Want) -> Vec<Url> {
        let folder = file.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
        let hashed = self.in_release.by_hash.then(|| format!("{folder}by-hash/SHA256/{}", want.sha256));
        let files = hashed.into_iter().chain([file.to_owned()]);
        let below = |file: String| self.mirrors.iter().map(move |mirror| mirror.join(&self.suite.path(&file)));
        files.flat_map(below).collect()
    }

    fn fetch(&self, fetcher: &Fetcher, job: Job, progress: &dyn Progress) -> Result<Blob, DebianError> {
        let mut blobs = fetcher.fetch_all(&[job], progress).map_err(DebianError::Fetch)?;
        blobs.pop().ok_or_else(|| DebianError::NoMirror { suite: self.name.clone(), reason: "no file".to_owned() })
    }
}

/// Unpacks an index. `plain` is the size and digest of the unpacked index, if the InRelease gives it. Texts that are not UTF-8 are in
/// descriptions and names of people only.
fn unpack(packed: impl Read, packing: Option<Packing>, plain: Option<Want>) -> Result<String, String> {
    let limit = plain.map_or(INDEX_LIMIT, |plain| plain.size);
    let mut bytes = Vec::with_capacity(usize::try_from(plain.map_or(0, |plain| plain.size)).unwrap_or_default());
    let reader = Unpacker::new(packed, packing).map_err(|error| error.to_string())?;
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be unpacked: {error}"))?;
    let found = bytes.len() as u64;
    if found > limit || plain.is_some_and(|plain| plain.size != found) {
        return Err(format!(
            "expected {limit} bytes when unpacked, found {}{found}",
            if found > limit { "at least " } else { "" }
        ));
    }
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
