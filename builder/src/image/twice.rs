//! `berth build --check`: builds twice and publishes only if both builds are equal.

use super::{
    difference::{self, CompareError, Difference},
    staging::{Staging, StagingError},
};
use crate::plan::Outputs;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
};

/// The temporary folders of two builds. The first build is published if the second is equal.
#[derive(Debug)]
pub struct Twice {
    staging: Staging,
    kept: PathBuf,
}

/// The build was not published.
#[derive(Debug, thiserror::Error)]
pub enum TwiceError {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The builds differ. `all` has the first difference of each output. `kept` is the folder with both builds.
    #[error("two builds from the same lock file differ; the first difference in each output:{}", lines(all))]
    Differ { all: Vec<Difference>, kept: PathBuf },
}

impl TwiceError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Differ { kept, .. } => {
                Some(format!("both builds are kept: {0}/first and {0}/second", kept.display()))
            }
            _ => None,
        }
    }
}

fn lines(all: &[Difference]) -> String {
    all.iter().map(|difference| format!("\n  {difference}")).collect()
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> TwiceError + 'a {
    move |source| TwiceError::Io { action, path: path.to_owned(), source }
}

impl Twice {
    /// Makes the temporary folder beside `target`. If a build fails, the folder is removed. If a build is killed, the next build
    /// removes it.
    ///
    /// # Errors
    /// If the temporary folder cannot be made, or another build is writing to `target`.
    pub fn new(target: &Path) -> Result<Self, TwiceError> {
        // `.` and `..` have no name that could get an extension.
        let kept =
            if target.file_name().is_some() { target.with_added_extension("check") } else { target.join("check") };
        Ok(Self { staging: Staging::new(target)?, kept })
    }

    /// Output folder of the first build.
    #[must_use]
    pub fn first(&self) -> PathBuf {
        self.staging.path("first")
    }

    /// Output folder of the second build.
    #[must_use]
    pub fn second(&self) -> PathBuf {
        self.staging.path("second")
    }

    /// Makes a cache for the second build. It has the fetched files of `cache`, but no files derived from them, so that the second
    /// build makes those again.
    ///
    /// # Errors
    /// If the cache cannot be made.
    pub fn fresh_cache(&self, cache: &Path) -> Result<PathBuf, TwiceError> {
        let (fresh, blobs) = (self.staging.path("cache"), cache.join("blobs"));
        fs::create_dir(&fresh).map_err(failed("make folder", &fresh))?;
        let blobs = blobs.canonicalize().map_err(failed("find", &blobs))?;
        let link = fresh.join("blobs");
        symlink(blobs, &link).map_err(failed("make", &link))?;
        Ok(fresh)
    }

    /// Publishes the first build if the second one is equal. Otherwise keeps both builds beside the output folder, and does not
    /// change the output folder.
    ///
    /// # Errors
    /// [`TwiceError::Differ`] if the builds differ, or another error if they cannot be compared or published.
    pub fn publish(self, outputs: &Outputs) -> Result<PathBuf, TwiceError> {
        let (first, second) = (self.first(), self.second());
        let all = difference::between(&first, &second, outputs)?;
        let kept = self.kept;
        if !all.is_empty() {
            remove(&kept)?;
            fs::create_dir(&kept).map_err(failed("make folder", &kept))?;
            for (name, build) in [("first", &first), ("second", &second)] {
                fs::rename(build, kept.join(name)).map_err(failed("keep", build))?;
            }
            return Err(TwiceError::Differ { all, kept });
        }
        let names = super::outputs::all(outputs);
        for name in &names {
            let from = first.join(name);
            fs::rename(&from, self.staging.path(name)).map_err(failed("move", &from))?;
        }
        for folder in [first, second, self.staging.path("cache")] {
            remove(&folder)?;
        }
        Ok(self.staging.commit(&names)?)
    }
}

fn remove(path: &Path) -> Result<(), TwiceError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Runs `work` on one processor. The first build ran its threads on all processors, so a result that depends on their order shows
/// as a difference.
///
/// # Errors
/// If the system does not allow the process to choose its processors.
pub fn on_one_processor<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    // A new thread, because threads that it starts inherit its processor. The calling thread keeps all processors.
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let all = sched_getaffinity(None)?;
            let mut one = CpuSet::new();
            (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).into_iter().for_each(|cpu| one.set(cpu));
            sched_setaffinity(None, &one)?;
            Ok(work())
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_work_is_limited_to_one_processor() {
        let count = || thread::available_parallelism().unwrap().get();
        let before = count();
        assert_eq!(on_one_processor(count).unwrap(), 1);
        assert_eq!(count(), before);
    }
}
