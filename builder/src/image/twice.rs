//! A build that is made twice before it is published: `berth build --check`.

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

/// Room for two builds, of which one is published if the other is the same.
#[derive(Debug)]
pub struct Twice {
    staging: Staging,
    kept: PathBuf,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum TwiceError {
    /// A file or folder cannot be made, moved or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The output folder cannot be used.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The builds cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// They are not the same.
    #[error("two builds of one lock differ; the first place in each output:{}", lines(all))]
    Differ {
        /// The first difference of each output.
        all: Vec<Difference>,
        /// Where both builds lie.
        kept: PathBuf,
    },
}

impl TwiceError {
    /// What can be done about it.
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
    /// Prepares to publish into `target`. All that is written until then vanishes with a build that fails or is killed.
    ///
    /// # Errors
    /// When the folder beside `target` cannot be made, or another build is at work there.
    pub fn new(target: &Path) -> Result<Self, TwiceError> {
        Ok(Self { staging: Staging::new(target)?, kept: target.with_added_extension("check") })
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

    /// Makes a cache that has the fetched files of `cache`, and nothing that was derived from them.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn fresh_cache(&self, cache: &Path) -> Result<PathBuf, TwiceError> {
        let (fresh, blobs) = (self.staging.path("cache"), cache.join("blobs"));
        fs::create_dir(&fresh).map_err(failed("make folder", &fresh))?;
        let blobs = blobs.canonicalize().map_err(failed("find", &blobs))?;
        let link = fresh.join("blobs");
        symlink(blobs, &link).map_err(failed("make", &link))?;
        Ok(fresh)
    }

    /// Publishes the first build if the second one is the same. Otherwise both are kept beside the output folder, which
    /// stays as it was.
    ///
    /// # Errors
    /// [`TwiceError::Differ`], and whatever keeps the builds from being compared or published.
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

/// Does `work` on one processor, so that nothing is done by several threads at once that was so before.
///
/// # Errors
/// When the system does not allow a choice of processors.
pub fn on_one_processor<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    // In a thread of its own: threads started from it inherit its processor, and this one keeps all.
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
    fn one_processor_is_for_the_work_alone() {
        let count = || thread::available_parallelism().unwrap().get();
        let before = count();
        assert_eq!(on_one_processor(count).unwrap(), 1);
        assert_eq!(count(), before);
    }
}
