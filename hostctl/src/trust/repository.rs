//! A repository whose metadata are trusted, and its targets.

use super::{
    error::TrustError,
    record,
    release::{Release, Releases, TargetInfo},
};
use crate::source::{Opened, Source, SourceError};
use berth_contract::{
    digest::Sha256,
    release::{MAX_SIZE, RecordCustom, ReleaseRecord, TARGETS, Target},
};
use sha2::Digest as _;
use std::{collections::BTreeMap, io::Read as _, sync::Arc};
use tough::schema;

/// A source and its signed targets.
#[derive(Debug)]
pub struct Repository {
    source: Arc<Source>,
    targets: BTreeMap<String, TargetInfo>,
    releases: Releases,
}

impl Repository {
    pub(super) fn new(source: Arc<Source>, signed: &schema::Targets) -> Self {
        let mut targets = BTreeMap::new();
        let mut releases = Releases { known: Vec::new(), unknown: Vec::new() };
        for (name, target) in &signed.targets {
            let Ok(sha256) = <[u8; 32]>::try_from(target.hashes.sha256.as_ref()) else { continue };
            let name = name.raw();
            if !is_plain(name) {
                continue;
            }
            targets.insert(name.to_owned(), TargetInfo { length: target.length, sha256: Sha256(sha256) });
            if name.ends_with(".release.json") {
                let custom = serde_json::Value::Object(target.custom.clone().into_iter().collect());
                match serde_json::from_value::<RecordCustom>(custom) {
                    Ok(custom) if Target::Record.name(&custom.id, &custom.version, &custom.arch) == name => {
                        releases.known.push(Release { target: name.to_owned(), custom });
                    }
                    _ => releases.unknown.push(name.to_owned()),
                }
            }
        }
        releases.known.sort_by(|a, b| a.target.cmp(&b.target));
        releases.unknown.sort();
        Self { source, targets, releases }
    }

    /// The source of the repository.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// All releases in the repository.
    #[must_use]
    pub fn releases(&self) -> &Releases {
        &self.releases
    }

    /// Signed length and digest of a target.
    #[must_use]
    pub fn target(&self, name: &str) -> Option<&TargetInfo> {
        self.targets.get(name)
    }

    fn wanted(&self, name: &str) -> Result<&TargetInfo, TrustError> {
        self.target(name).ok_or_else(|| TrustError::NoTarget { name: name.to_owned() })
    }

    /// The record of a release: verified, parsed, and checked against the metadata.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn record(&self, release: &Release) -> Result<ReleaseRecord, TrustError> {
        let bytes = self.read_whole(&release.target, MAX_SIZE)?;
        record::parse(&bytes, release, &self.targets)
    }

    /// Reads a whole target of at most `limit` bytes. Bytes that are not the signed ones are never returned.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn read_whole(&self, name: &str, limit: u64) -> Result<Vec<u8>, TrustError> {
        let wanted = self.wanted(name)?;
        if wanted.length > limit {
            return Err(TrustError::TooLarge { name: name.to_owned(), limit, found: wanted.length });
        }
        let mut opened = self.open(name, 0, None)?;
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(|error| SourceError::of_reader(error, name))?;
        let found = Sha256(sha2::Sha256::digest(&bytes).into());
        if found != wanted.sha256 {
            return Err(TrustError::Digest { name: name.to_owned(), wanted: wanted.sha256, found });
        }
        Ok(bytes)
    }

    /// Reads `len` bytes of a target from `start` on, or all that follow. The bytes are NOT verified. The reader ends at the signed length,
    /// however much the source sends.
    ///
    /// # Errors
    /// See [`TrustError`]. [`TrustError::is_no_ranges`] is true when `start` is not 0 and the server sends whole files only.
    pub fn open(&self, name: &str, start: u64, len: Option<u64>) -> Result<Opened<'_>, TrustError> {
        let wanted = self.wanted(name)?;
        let rest = wanted.length.saturating_sub(start);
        let len = len.unwrap_or(rest);
        if start.saturating_add(len) > wanted.length {
            let found = start.saturating_add(len);
            return Err(TrustError::Length { name: name.to_owned(), wanted: wanted.length, found });
        }
        let opened = self.source.open(&format!("{TARGETS}/{}.{name}", wanted.sha256), start, Some(len))?;
        match opened.whole().filter(|&whole| whole != wanted.length) {
            Some(found) => Err(TrustError::Length { name: name.to_owned(), wanted: wanted.length, found }),
            None => Ok(opened),
        }
    }
}

/// Whether a name can be the name of a file in every kind of source. Names become paths and addresses; all others are ignored.
fn is_plain(name: &str) -> bool {
    let good = |c: u8| c.is_ascii_alphanumeric() || b"._+~:-".contains(&c);
    !name.starts_with('.') && name.len() <= 200 && name.bytes().all(good)
}
