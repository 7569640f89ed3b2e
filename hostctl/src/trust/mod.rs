//! What a host believes of a source: metadata signed by the keys that the image trusts (TUF 1.0, by the crate `tough`),
//! fresh, never older than what was seen before; then the releases in it, and the choice among them.

mod choice;
mod error;
mod keep;
pub mod plan;
mod record;
mod repository;
mod transport;

pub use choice::{Choice, Refusal, Wish, check_store, choose};
pub use error::TrustError;
pub use repository::{Release, Releases, Repository, TargetInfo};

use crate::source::Source;
use berth_contract::release::{MAX_METADATA, MAX_SMALL_METADATA};
use jiff::Timestamp;
use keep::Keep;
use std::{path::Path, sync::Arc};
use tough::{ExpirationEnforcement, Limits, RepositoryLoader};
use transport::SourceTransport;
use url::Url;

/// Generations of root keys that are followed in one go.
const MAX_ROOTS: u64 = 256;

/// What time it is taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970 by the host's clock.
    pub host: u64,
    /// Seconds since 1970 when the running image was made: it cannot be earlier than that, whatever the clock says.
    pub epoch: u64,
}

impl Clock {
    /// The time by which metadata expires: a host whose clock does not run yet is no reason not to update.
    fn now(self) -> Timestamp {
        let seconds = self.host.max(self.epoch);
        i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
    }
}

/// What a host believes in.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The image's `root.json`: [`berth_contract::paths::TRUST_ROOT`].
    pub root: &'a [u8],
    /// Folder that keeps what was trusted last: [`berth_contract::paths::TRUSTED_METADATA`]. Made when it is missing.
    pub keep: &'a Path,
    /// What time it is.
    pub clock: Clock,
}

impl Trust<'_> {
    /// Reads and verifies the metadata of `source`, and keeps them as the oldest that will be taken of it from now on; the keys
    /// that they lead to are from now on those of every source. Nothing is kept of metadata that is refused for any reason:
    /// a wrong clock today does no harm tomorrow.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(&self, source: &Arc<Source>) -> Result<Repository, TrustError> {
        let keep = Keep::read(self.keep, self.root, source.address());
        let transport = SourceTransport::new(Arc::clone(source));
        let scratch = tempfile::tempdir().map_err(|source| TrustError::Scratch { source })?;
        keep.seed(scratch.path()).map_err(|source| TrustError::Scratch { source })?;
        let base = |folder| {
            Url::parse(&format!("{}:/{folder}/", transport::SCHEME)).map_err(|_| TrustError::Other("no URL".to_owned()))
        };
        let limits = Limits {
            max_root_size: MAX_SMALL_METADATA,
            max_targets_size: MAX_METADATA,
            max_timestamp_size: MAX_SMALL_METADATA,
            max_snapshot_size: MAX_METADATA,
            max_root_updates: MAX_ROOTS,
        };
        let root = keep.root();
        let loader = RepositoryLoader::new(
            &root,
            base(berth_contract::release::METADATA)?,
            base(berth_contract::release::TARGETS)?,
        )
        .transport(transport.clone())
        .datastore(scratch.path())
        .limits(limits)
        // By tough's clock, that is, which knows nothing of the image's age; see `check_fresh`.
        .expiration_enforcement(ExpirationEnforcement::Unsafe);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| TrustError::Other(error.to_string()))?;
        let loaded = runtime
            .block_on(loader.load())
            .map_err(|error| TrustError::of_tough(error, transport.failure(), source, keep.seen_file()))?;
        self.check_fresh(&loaded)?;
        if !loaded.root().signed.consistent_snapshot {
            return Err(TrustError::Malformed {
                role: "root".to_owned(),
                fault: "expected consistent_snapshot, found none".to_owned(),
            });
        }
        keep.write(scratch.path(), transport.roots())?;
        Ok(Repository::new(Arc::clone(source), &loaded.targets().signed))
    }

    fn check_fresh(&self, loaded: &tough::Repository) -> Result<(), TrustError> {
        let roles = [
            ("timestamp", loaded.timestamp().signed.expires),
            ("snapshot", loaded.snapshot().signed.expires),
            ("targets", loaded.targets().signed.expires),
            ("root", loaded.root().signed.expires),
        ];
        let now = self.clock.now();
        match roles.into_iter().min_by_key(|(_, expires)| *expires).filter(|(_, expires)| *expires <= now) {
            Some((role, expires)) => Err(TrustError::Expired { role, expires, now, clock: self.clock }),
            None => Ok(()),
        }
    }
}
