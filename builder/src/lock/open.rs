//! Opens the archives of a lock and reads their indices.

use super::{Lock, LockInput, WantedSuite};
use crate::{
    date::Date,
    source::debian::{
        archive::{Archive, Asked, IndexText},
        error::DebianError,
        keyring::Keyring,
    },
};
use berth_fetch::{fetcher::Fetcher, progress::Progress, url::Url};
use std::{panic::resume_unwind, path::Path, thread};

/// An open archive and its indices.
pub(super) struct Opened {
    pub(super) archive: Archive,
    pub(super) texts: Vec<IndexText>,
    /// Index of its suite in [`LockInput::suites`].
    pub(super) wanted: usize,
    /// `Origin` and `Label`, for another archive that has a suite of the same name.
    pub(super) origin: Option<String>,
}

/// Everything that opening an archive needs.
#[derive(Clone, Copy)]
pub(super) struct Opener<'a> {
    pub(super) input: &'a LockInput,
    pub(super) previous: Option<&'a Lock>,
    pub(super) fetcher: &'a Fetcher,
    pub(super) now: Date,
    pub(super) progress: &'a dyn Progress,
}

impl Opener<'_> {
    /// Opens all suites of the input.
    pub(super) fn all(self) -> Result<Vec<Opened>, DebianError> {
        // One thread per suite: most of the time is spent on waiting for mirrors and unpacking indices.
        thread::scope(|scope| {
            let open = |wanted| scope.spawn(move || self.open(wanted));
            let threads: Vec<_> = (0..self.input.suites.len()).map(open).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }

    fn open(self, wanted: usize) -> Result<Opened, DebianError> {
        let suite = &self.input.suites[wanted];
        let (asked, mirrors) = (asked(suite)?, self.mirrors(suite)?);
        let archive = Archive::open(self.fetcher, &mirrors, &asked, &self.keyring(suite)?, self.now)?;
        self.read(archive, wanted, None)
    }

    /// Opens other archives among the recipe's mirrors that have a suite of the same name as one of `opened`. Other suites of `archives`
    /// are in archives of their own, so only an image that lacks a package needs these.
    pub(super) fn others(self, opened: &[Opened]) -> Result<Vec<Opened>, DebianError> {
        let mut others = Vec::new();
        for first in opened {
            let suite = &self.input.suites[first.wanted];
            let mirrors = self.mirrors(suite)?;
            if !suite.mirrors.is_empty() || mirrors.len() < 2 {
                continue;
            }
            let keyring = self.keyring(suite)?;
            for other in first.archive.others(self.fetcher, &mirrors, &asked(suite)?, &keyring, self.now) {
                let origin = other.in_release.origin.clone();
                others.push(self.read(other, first.wanted, Some(origin))?);
            }
        }
        Ok(others)
    }

    fn read(self, archive: Archive, wanted: usize, origin: Option<String>) -> Result<Opened, DebianError> {
        check_age(&archive, origin.as_deref(), self.previous)?;
        let components = self.input.components_of(&self.input.suites[wanted]);
        let texts = archive.packages(self.fetcher, components, self.input.arch.debian, self.progress)?;
        Ok(Opened { archive, texts, wanted, origin })
    }

    fn mirrors(self, suite: &WantedSuite) -> Result<Vec<Url>, DebianError> {
        if suite.mirrors.is_empty() { self.input.mirrors.of_suite(&suite.suite) } else { Ok(suite.mirrors.clone()) }
    }

    fn keyring(self, suite: &WantedSuite) -> Result<Keyring, DebianError> {
        let path: &Path = suite.keyring.as_deref().unwrap_or(&self.input.keyring);
        Keyring::load(path)
    }
}

fn asked(suite: &WantedSuite) -> Result<Asked, DebianError> {
    let bad = |bad: crate::source::debian::suite::BadSuite| DebianError::NoMirror {
        suite: suite.suite.clone(),
        reason: bad.to_string(),
    };
    Ok(Asked { name: suite.name.clone(), suite: suite.suite.parse().map_err(bad)?, expiry: suite.expiry })
}

fn check_age(archive: &Archive, origin: Option<&str>, previous: Option<&Lock>) -> Result<(), DebianError> {
    let mut before = previous.into_iter().flat_map(|lock| &lock.archives);
    let before = before.find(|locked| locked.suite == archive.name && locked.origin.as_deref() == origin);
    match before.map(|locked| locked.date) {
        Some(locked) if archive.in_release.date < locked => Err(DebianError::Rollback {
            place: archive.in_release.place.clone(),
            date: archive.in_release.date,
            locked,
        }),
        _ => Ok(()),
    }
}
