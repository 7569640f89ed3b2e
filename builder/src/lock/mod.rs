//! The lock: every package of an image, exactly, so that the same recipe gives the same image tomorrow.
//!
//! [`lock`] resolves what a recipe asks for against verified archives; [`Lock`] is the result as it stands in a file;
//! [`Locked`] is a lock that was found to belong to its recipe, and the only thing that a build starts from.

mod error;
mod file;
mod input;
mod lockfile;
mod problem;
mod resolver;
#[cfg(test)]
mod tests;
mod universe;

pub use error::LockError;
pub use file::{LockFileError, Locked, lock_path, write};
pub use input::{LockInput, VersionRule, Wish};
pub use lockfile::{Lock, LockedArchive, LockedPackage, LockedProvided, RECIPE};
pub use problem::Problem;
pub use resolver::{Resolution, resolve};
pub use universe::{Id, Listed, Suite, Universe};

use crate::source::debian::{
    archive::{Archive, IndexText, debian_architecture},
    date::Date,
    error::DebianError,
    keyring::Keyring,
    packages,
};
use berth_fetch::{fetcher::Fetcher, progress::Progress};
use std::{collections::BTreeSet, panic::resume_unwind, thread};

/// What locking led to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The lock.
    pub lock: Lock,
    /// What the user should hear, one sentence each.
    pub warnings: Vec<String>,
}

/// Resolves what `input` asks for against its suites. `previous` is the lock that is to be replaced: an archive must
/// not be older than it was then.
///
/// # Errors
/// See [`LockError`].
pub fn lock(
    input: &LockInput,
    previous: Option<&Lock>,
    fetcher: &Fetcher,
    now: Date,
    progress: &dyn Progress,
) -> Result<Outcome, LockError> {
    let keyring = Keyring::load(&input.keyring)?;
    let arch = debian_architecture(input.arch);
    // Most of the time goes into waiting for mirrors and unpacking indices.
    let opened: Vec<Result<Opened, DebianError>> = thread::scope(|scope| {
        let keyring = &keyring;
        let open = move |suite| open(suite, input, previous, keyring, fetcher, now, progress);
        let threads: Vec<_> = input.suites().into_iter().map(|suite| scope.spawn(move || open(suite))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let opened = opened.into_iter().collect::<Result<Vec<_>, _>>()?;
    let archives: Vec<&Archive> = opened.iter().map(|(archive, _)| archive).collect();

    let suites =
        archives.iter().map(|archive| Suite { name: archive.asked.clone(), priority: archive.release.priority });
    let indices = opened.iter().enumerate().flat_map(|(suite, (_, texts))| texts.iter().map(move |text| (suite, text)));
    let listed = indices.map(|(suite, text)| Ok((suite, packages::parse(text, arch)?)));
    let listed = listed.collect::<Result<Vec<_>, DebianError>>()?;
    let universe = Universe::new(suites.collect(), arch, listed, &input.packages)?;
    let provided: BTreeSet<&str> = input.provided.iter().map(String::as_str).collect();
    let resolution = resolve(&universe, &input.packages, &provided)?;
    let warning = |name: &String| match resolution.chosen.contains_key(name.as_str()) {
        true => format!("debian.provided names {name:?}, which the recipe also asks for: it is installed"),
        false => format!("debian.provided names {name:?}, which no package of the image depends on"),
    };
    let warnings = resolution.unneeded.iter().map(warning).collect();
    Ok(Outcome { lock: Lock::new(input, &archives, &universe, &resolution)?, warnings })
}

/// A suite's archive and its indices.
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
    let arch = debian_architecture(input.arch);
    let texts = input.components.iter().map(|component| archive.packages(fetcher, component, arch, progress));
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    Ok((archive, texts.into_iter().flatten().collect()))
}

fn check_age(archive: &Archive, previous: Option<&Lock>) -> Result<(), DebianError> {
    let before = previous.and_then(|lock| lock.archives.iter().find(|locked| locked.suite == archive.asked));
    match before.map(|locked| locked.date) {
        Some(locked) if archive.release.date < locked => {
            Err(DebianError::Rollback { place: archive.release.place.clone(), date: archive.release.date, locked })
        }
        _ => Ok(()),
    }
}
