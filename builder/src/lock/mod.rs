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
mod open;
mod pin;
mod problem;
mod resolved;
mod resolver;
#[cfg(test)]
mod tests;
mod universe;
mod update;
mod warnings;
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
    source::debian::packages::{self, OddPackage, Packages},
};
use berth_fetch::{fetcher::Fetcher, progress::Progress};
use open::{Opened, Opener};
use std::collections::BTreeSet;

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
    let opener = Opener { input, previous, fetcher, now, progress };
    let mut opened = opener.all()?;
    match resolved(input, (previous, update), &opened) {
        Err(LockError::Packages { problem, place }) if problem.lacks_package() => {
            let others = opener.others(&opened)?;
            if others.is_empty() {
                return Err(LockError::Packages { problem, place });
            }
            opened.extend(others);
            resolved(input, (previous, update), &opened)
        }
        resolved => resolved,
    }
}

/// Resolves the packages of `input` against open archives.
fn resolved(
    input: &LockInput,
    (previous, update): (Option<&Lock>, &Update),
    opened: &[Opened],
) -> Result<NewLock, LockError> {
    let suite = |Opened { archive, wanted, .. }: &Opened| Suite {
        name: archive.name.clone(),
        priority: input.suites[*wanted].priority.unwrap_or(archive.in_release.priority),
    };
    let arch = input.arch.debian;
    let (mut listed, mut odd) = (Vec::new(), Vec::new());
    for (at, opened) in opened.iter().enumerate() {
        for text in &opened.texts {
            let Packages { good, odd: more } = packages::parse(text, arch);
            listed.push((at, good));
            odd.extend(more);
        }
    }
    let mut universe = Universe::new(opened.iter().map(suite).collect(), arch, listed, &input.pins)
        .map_err(|problem| fault(input, problem, &mut odd))?;
    let provided: BTreeSet<&str> = input.provided.iter().map(String::as_str).collect();
    // A base that was never locked, or whose lock is damaged, gives no versions.
    let (mut bases, mut damaged) = (Vec::new(), Vec::new());
    for path in input.bases.iter().map(|recipe| lock_path(recipe)) {
        let (base, error) = Lock::previous(&path);
        bases.extend(base);
        damaged.extend(error.map(|error| {
            format!("{}: the lock of a base cannot be read, its versions are not kept: {error}", path.display())
        }));
    }
    let known: Vec<&Lock> = previous.into_iter().chain(&bases).collect();
    let resolution = update::resolve_again(&mut universe, &known, update, (&input.packages, &provided));
    let resolution = resolution.map_err(|problem| fault(input, problem, &mut odd))?;
    let lock =
        Lock::new(input, opened, &universe, &resolution).map_err(|problem| fault(input, problem, &mut Vec::new()))?;
    if let Update::Only(names) = update {
        names.iter().try_for_each(|name| check_known(name, &lock, previous))?;
    }
    let odd = odd.iter().map(|odd| odd.error.to_string()).chain(universe.odd().map(ToString::to_string));
    Ok(NewLock {
        changes: previous.map(|previous| update::changes(previous, &lock, &universe)).unwrap_or_default(),
        behind: universe.kept().filter(|name| resolution.chosen.contains_key(name)).count(),
        warnings: [damaged, warnings::warnings(input, &resolution, &lock, odd.collect())].concat(),
        lock,
    })
}

/// The error for a problem. If a package that is asked for is in an index, but cannot be used, that is the error.
fn fault(input: &LockInput, problem: Problem, odd: &mut Vec<OddPackage>) -> LockError {
    let needed = odd.iter().position(|odd| problem.lacks(&odd.name));
    if let Some(at) = needed {
        return LockError::Archive(odd.swap_remove(at).error);
    }
    let place = problem.culprit().and_then(|name| place_of(input, name));
    LockError::Packages { problem: Box::new(problem), place }
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
