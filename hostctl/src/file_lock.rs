//! The lock that keeps upgrades, rollbacks and blessings apart.

use anyhow::{Context, Result, bail};
use berth_contract::paths::RUN;
use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long to wait for another upgrade, rollback or blessing. A blessing takes only a moment.
const TIMEOUT: Duration = Duration::from_secs(30);

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
    pub fn acquire() -> Result<Self> {
        Self::acquire_within(TIMEOUT)
    }

    /// Waits up to `timeout` for the lock.
    ///
    /// # Errors
    /// See [`Self::acquire`].
    pub fn acquire_within(timeout: Duration) -> Result<Self> {
        let (path, end) = (Path::new(RUN).join("upgrade.lock"), Instant::now() + timeout);
        let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < end => thread::sleep(Duration::from_millis(100)),
                Err(TryLockError::WouldBlock) => bail!("another upgrade or rollback is running"),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }
}
