//! Downloads packages whose digests are known.

use super::error::DebianError;
use berth_fetch::{
    blob::{Blob, Want},
    fetcher::{Fetcher, Job},
    progress::Progress,
    settings::Network,
    url::Url,
};
use std::collections::BTreeMap;

/// A package as in an index or a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebRef<'a> {
    /// Package name, for messages and progress.
    pub name: &'a str,
    /// The suite that lists it.
    pub suite: &'a str,
    /// Path of the .deb below the archive's root, `pool/...`. Checked with [`is_safe_path`].
    pub file: &'a str,
    /// Digest and size of the .deb.
    pub want: Want,
}

/// Whether a path stays below the folder that it is joined to.
#[must_use]
pub fn is_safe_path(path: &str) -> bool {
    let good = |c: char| c.is_ascii_graphic() && c != '\\';
    path.chars().all(good) && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Fetches packages, several at a time. The result has the order of `debs`. `mirrors` gives the mirrors of a suite.
///
/// # Errors
/// [`DebianError::NoMirror`], [`DebianError::Fetch`].
pub fn fetch_debs(
    fetcher: &Fetcher,
    mirrors: &dyn Fn(&str) -> Result<Vec<Url>, DebianError>,
    debs: &[DebRef<'_>],
    progress: &dyn Progress,
) -> Result<Vec<Blob>, DebianError> {
    let mut by_suite: BTreeMap<&str, Vec<Url>> = BTreeMap::new();
    let mut jobs = Vec::with_capacity(debs.len());
    for deb in debs {
        // A package that is in the store needs no mirror: an offline build works without an APT configuration.
        let stored = fetcher.store().get(deb.want).map_err(DebianError::Fetch)?.is_some();
        if !stored && !by_suite.contains_key(deb.suite) {
            let urls = match mirrors(deb.suite) {
                // Offline, a list of all missing packages helps more than the message that there is no mirror.
                Err(DebianError::NoMirror { .. }) if fetcher.network() == Network::Offline => Vec::new(),
                urls => urls?,
            };
            by_suite.insert(deb.suite, urls);
        }
        let bases = by_suite.get(deb.suite).map(Vec::as_slice).unwrap_or_default();
        let urls = bases.iter().map(|base| base.join(deb.file)).collect();
        jobs.push(Job { name: deb.name.to_owned(), want: deb.want, mirrors: urls });
    }
    fetcher.fetch_all(&jobs, progress).map_err(DebianError::Fetch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_the_archive_are_refused() {
        assert!(is_safe_path("pool/main/d/docker.io/docker.io_26.1.5+dfsg1-9~x_amd64.deb"));
        for bad in ["", "/pool/x", "pool//x", "pool/../x", "..", "pool/.", "pool/x/", "pool/a b", "pool\\x", "pool/\n"]
        {
            assert!(!is_safe_path(bad), "{bad:?}");
        }
    }
}
