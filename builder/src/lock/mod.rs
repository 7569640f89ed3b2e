//! The lock: the exact packages of an image, so that the same recipe gives the same image later.
//!
//! [`lock`] resolves a recipe's packages against verified archives. [`Lock`] is the content of the lock file. [`Locked`] is
//! a lock that matches its recipe. A build uses only packages from a [`Locked`].

#[cfg(test)]
mod again_tests;
mod error;
mod file;
mod input;
mod lockfile;
mod pin;
mod problem;
mod resolved;
mod resolver;
#[cfg(test)]
mod tests;
mod universe;
mod update;
mod why;

pub use error::LockError;
pub use file::{LockFileError, Locked, lock_path, write};
pub use input::{BOOT_PACKAGE, LockInput, WantedSuite, Wish};
pub use lockfile::{Lock, LockedArchive, LockedPackage, LockedProvided, RECIPE};
pub use pin::{BadVersionRule, Pin, VersionRule};
pub use problem::Problem;
pub use resolver::{Askers, Resolution, resolve};
pub use universe::{Id, Listed, Suite, Universe};
pub use update::{Change, Update};
pub use why::Chain;

use crate::{
    date::Date,
    recipe::{Place, nearest},
    source::debian::{
        archive::{Archive, IndexText},
        error::DebianError,
        keyring::Keyring,
        packages,
    },
};
use berth_fetch::{fetcher::Fetcher, progress::Progress};
use std::{collections::BTreeSet, panic::resume_unwind, thread};

/// A new lock, and how it differs from the previous one.
#[derive(Clone, Debug)]
pub struct NewLock {
    /// The lock.
    pub lock: Lock,
    /// Differences from the previous lock; empty if there was none.
    pub changes: Vec<Change>,
    /// Number of packages that keep their locked version although a better version exists.
    pub behind: usize,
    /// Warnings for the user, one sentence each.
    pub warnings: Vec<String>,
}

/// Resolves the packages of `input` against its suites. `previous` is the lock that will be replaced: packages that `update`
/// does not name keep their locked version, and no archive may be older than in `previous`.
///
/// # Errors
/// See [`LockError`].
pub fn lock(
    input: &LockInput,
    (previous, update): (Option<&Lock>, &Update),
    fetcher: &Fetcher,
    now: Date,
    progress: &dyn Progress,
) -> Result<NewLock, LockError> {
    let keyring = Keyring::load(&input.keyring)?;
    let arch = input.arch.debian;
    // One thread per suite: most of the time is spent on waiting for mirrors and unpacking indices.
    let opened: Vec<Result<Opened, DebianError>> = thread::scope(|scope| {
        let keyring = &keyring;
        let open = move |suite| open(suite, input, previous, keyring, fetcher, now, progress);
        let threads: Vec<_> = input.suites.iter().map(|suite| scope.spawn(move || open(&suite.name))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let opened = opened.into_iter().collect::<Result<Vec<_>, _>>()?;
    let archives: Vec<&Archive> = opened.iter().map(|(archive, _)| archive).collect();

    let suite = |(archive, wanted): (&&Archive, &WantedSuite)| Suite {
        name: archive.asked.clone(),
        priority: wanted.priority.unwrap_or(archive.in_release.priority),
    };
    let suites = archives.iter().zip(&input.suites).map(suite).collect();
    let indices = opened.iter().enumerate().flat_map(|(suite, (_, texts))| texts.iter().map(move |text| (suite, text)));
    let listed = indices.map(|(suite, text)| Ok((suite, packages::parse(text, arch)?)));
    let listed = listed.collect::<Result<Vec<_>, DebianError>>()?;
    let problem = |problem: Problem| {
        let place = problem.culprit().and_then(|name| place_of(input, name));
        LockError::Packages { problem: Box::new(problem), place }
    };
    let mut universe = Universe::new(suites, arch, listed, &input.pins).map_err(problem)?;
    let provided: BTreeSet<&str> = input.provided.iter().map(String::as_str).collect();
    let resolution =
        update::resolve_again(&mut universe, previous, update, (&input.packages, &provided)).map_err(problem)?;
    let lock = Lock::new(input, &archives, &universe, &resolution).map_err(problem)?;
    if let Update::Only(names) = update {
        names.iter().try_for_each(|name| check_known(name, &lock, previous))?;
    }
    Ok(NewLock {
        changes: previous.map(|previous| update::changes(previous, &lock, &universe)).unwrap_or_default(),
        behind: universe.kept().filter(|name| resolution.chosen.contains_key(name)).count(),
        warnings: warnings(input, &resolution),
        lock,
    })
}

/// The place in the recipe that names a package: its pin, or the request.
fn place_of(input: &LockInput, name: &str) -> Option<Place> {
    let pin = input.pins.iter().find(|pin| pin.name == name).map(|pin| &pin.place);
    pin.or_else(|| input.packages.iter().find(|wish| wish.name == name)?.place.as_ref()).cloned()
}

fn check_known(name: &str, lock: &Lock, previous: Option<&Lock>) -> Result<(), LockError> {
    let names: BTreeSet<&str> =
        [Some(lock), previous].into_iter().flatten().flat_map(|lock| &lock.packages).map(|p| p.name.as_str()).collect();
    if names.contains(name) {
        return Ok(());
    }
    Err(LockError::NotLocked { name: name.to_owned(), nearest: nearest(name, names).map(String::from) })
}

fn warnings(input: &LockInput, resolution: &Resolution<'_>) -> Vec<String> {
    let provided = resolution.unneeded.iter().map(|name| match resolution.chosen.contains_key(name.as_str()) {
        true => format!("debian.provided names {name:?}, which the recipe also requests: it is installed"),
        false => format!("debian.provided names {name:?}, which no package of the image depends on"),
    });
    let idle = input.pins.iter().filter(|pin| !resolution.chosen.contains_key(pin.name.as_str()));
    let idle =
        idle.map(|pin| format!("{}: debian.versions names {:?}, which the image does not have", pin.place, pin.name));
    provided.chain(idle).collect()
}

/// An open archive and its indices.
type Opened = (Archive, Vec<IndexText>);

fn open(
    suite: &str,
    input: &LockInput,
    previous: Option<&Lock>,
    keyring: &Keyring,
    fetcher: &Fetcher,
    now: Date,
    progress: &dyn Progress,
) -> Result<Opened, DebianError> {
    let archive = Archive::open(fetcher, &input.mirrors.of_suite(suite)?, suite, keyring, now)?;
    check_age(&archive, previous)?;
    let arch = input.arch.debian;
    let texts = input.components.iter().map(|component| archive.packages(fetcher, component, arch, progress));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Ok((archive, texts.into_iter().flatten().collect()))
}

fn check_age(archive: &Archive, previous: Option<&Lock>) -> Result<(), DebianError> {
    let before = previous.and_then(|lock| lock.archives.iter().find(|locked| locked.suite == archive.asked));
    match before.map(|locked| locked.date) {
        Some(locked) if archive.in_release.date < locked => Err(DebianError::Rollback {
            place: archive.in_release.place.clone(),
            date: archive.in_release.date,
            locked,
        }),
        _ => Ok(()),
    }
}
