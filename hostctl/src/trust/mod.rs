//! Trust in a source: its metadata (TUF 1.0, by the crate `tough`) must be signed by keys that the image trusts, must not be expired, and
//! must not be older than what this host has seen there. Then the releases in it, and the selection of one.

mod clock;
mod datastore;
mod error;
pub mod plan;
mod record;
mod release;
mod repository;
mod selection;
mod targets;
mod transport;

pub use clock::Clock;
pub use error::TrustError;
pub use release::{Release, Releases, TargetInfo};
pub use repository::Repository;
pub use selection::{Criteria, Refusal, check_engine, select};

use crate::source::Source;
use berth_contract::release::{MAX_METADATA, MAX_SMALL_METADATA};
use datastore::Datastore;
use std::{path::Path, sync::Arc};
use tough::{ExpirationEnforcement, Limits, RepositoryLoader, schema::RoleType};
use transport::SourceTransport;
use url::Url;

/// Most generations of root keys that are followed at once.
const MAX_ROOTS: u64 = 256;

/// What a host trusts.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The image's `root.json`: [`berth_contract::paths::TRUST_ROOT`].
    pub root: &'a [u8],
    /// Folder with the metadata that were trusted last: [`berth_contract::paths::TRUSTED_METADATA`]. Created if missing.
    pub datastore: &'a Path,
    /// The present time.
    pub clock: Clock,
}

impl Trust<'_> {
    /// Reads and verifies the metadata of `source`, and stores them: older metadata of this source are refused from then on, and new root
    /// keys apply to every source. Metadata that are refused for any reason are not stored, so a wrong clock today does no harm later.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(&self, source: &Arc<Source>) -> Result<Repository, TrustError> {
        let datastore = Datastore::read(self.datastore, self.root, source.address());
        let transport = SourceTransport::new(Arc::clone(source));
        let scratch = tempfile::tempdir().map_err(|source| TrustError::Scratch { source })?;
        datastore.seed(scratch.path()).map_err(|source| TrustError::Scratch { source })?;
        let base = |folder| {
            Url::parse(&format!("{}:/{folder}/", transport::SCHEME))
                .map_err(|error| TrustError::Other(error.to_string()))
        };
        let limits = Limits {
            max_root_size: MAX_SMALL_METADATA,
            max_targets_size: MAX_METADATA,
            max_timestamp_size: MAX_SMALL_METADATA,
            max_snapshot_size: MAX_METADATA,
            max_root_updates: MAX_ROOTS,
        };
        let root = datastore.root();
        let loader = RepositoryLoader::new(
            &root,
            base(berth_contract::release::METADATA)?,
            base(berth_contract::release::TARGETS)?,
        )
        .transport(transport.clone())
        .datastore(scratch.path())
        .limits(limits)
        // tough would use the system clock and does not know the age of the image; `check_fresh` checks the expiry instead.
        .expiration_enforcement(ExpirationEnforcement::Unsafe);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| TrustError::Other(error.to_string()))?;
        let loaded = runtime
            .block_on(loader.load())
            .map_err(|error| TrustError::of_tough(error, transport.failure(), source, datastore.seen_file()))?;
        self.check_fresh(&loaded)?;
        if !loaded.root().signed.consistent_snapshot {
            return Err(TrustError::Malformed {
                role: RoleType::Root,
                fault: "expected consistent_snapshot = true, found false".to_owned(),
            });
        }
        datastore.write(scratch.path(), transport.roots())?;
        Ok(Repository::new(Arc::clone(source), &loaded.targets().signed))
    }

    fn check_fresh(&self, loaded: &tough::Repository) -> Result<(), TrustError> {
        let roles = [
            (RoleType::Timestamp, loaded.timestamp().signed.expires),
            (RoleType::Snapshot, loaded.snapshot().signed.expires),
            (RoleType::Targets, loaded.targets().signed.expires),
            (RoleType::Root, loaded.root().signed.expires),
        ];
        let now = self.clock.now();
        match roles.into_iter().min_by_key(|(_, expires)| *expires).filter(|(_, expires)| *expires <= now) {
            Some((role, expires)) => Err(TrustError::Expired { role, expires, now, clock: self.clock }),
            None => Ok(()),
        }
    }
}
