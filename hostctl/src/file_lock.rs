//! The lock that keeps upgrades, rollbacks and blessings apart.

use berth_contract::paths::RUN;
use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long to wait for another upgrade, rollback or blessing. A blessing takes only a moment.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why the lock cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another upgrade or rollback is running")]
    Held,
    /// Another hostctl changes the configuration.
    #[error("another hostctl is changing the configuration")]
    HeldForConfig,
    /// An operation on the lock file failed.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// The operation.
        verb: &'static str,
        /// The lock file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Held while an upgrade, a rollback or a blessing changes the host: only one of them runs at a time. Dropped, it is free again.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits up to 30 seconds for the lock.
    ///
    /// # Errors
    /// When another process still holds it, or the lock file cannot be created.
    pub fn acquire() -> Result<Self, LockError> {
        Self::acquire_within(TIMEOUT)
    }

    /// Waits up to `timeout` for the lock.
    ///
    /// # Errors
    /// See [`Self::acquire`].
    pub fn acquire_within(timeout: Duration) -> Result<Self, LockError> {
        Self::acquire_at(&Path::new(RUN).join("upgrade.lock"), timeout)
    }

    /// Waits up to `timeout` for the lock of the configuration, which no upgrade holds.
    ///
    /// # Errors
    /// See [`Self::acquire`].
    pub fn of_config(timeout: Duration) -> Result<Self, LockError> {
        Self::acquire_at(&Path::new(RUN).join("config.lock"), timeout).map_err(|error| match error {
            LockError::Held => LockError::HeldForConfig,
            error => error,
        })
    }

    fn acquire_at(path: &Path, timeout: Duration) -> Result<Self, LockError> {
        let end = Instant::now() + timeout;
        let io = |verb| move |source| LockError::Io { verb, path: path.to_owned(), source };
        let file = File::create(path).map_err(io("create"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(100)),
                Err(TryLockError::WouldBlock) => return Err(LockError::Held),
                Err(TryLockError::Error(error)) => return Err(io("lock")(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_an_error_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let acquire = || FileLock::acquire_at(&dir.path().join("lock"), Duration::ZERO);
        let held = acquire().unwrap();
        assert!(matches!(acquire(), Err(LockError::Held)));
        drop(held);
        acquire().unwrap();
    }
}
