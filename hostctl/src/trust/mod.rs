//! Trust in a source: its metadata (TUF 1.0, by the crate `tough`) must be signed by keys that the image trusts, must not be expired, and
//! must not be older than what this host has seen. Then the releases in it, and the selection of one.

mod chain;
mod clock;
mod error;
mod inspection;
mod memory;
pub mod plan;
mod record;
mod release;
mod repository;
mod root_keys;
mod selection;
mod targets;
mod transport;

pub use clock::{Clock, TimeSource};
pub use error::TrustError;
pub use release::{Release, Releases, TargetInfo};
pub use repository::Repository;
pub use selection::{Criteria, Refusal, check_engine, installed, select};

use crate::source::Source;
use berth_contract::{
    release::{MAX_METADATA, MAX_SMALL_METADATA},
    update::UpgradeEvent,
};
use clock::Now;
use memory::Memory;
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
    /// Folder with what was trusted before: [`berth_contract::paths::TRUSTED_METADATA`]. Created if missing.
    pub memory: &'a Path,
    /// The present time.
    pub clock: Clock,
}

impl Trust<'_> {
    /// Reads and verifies the metadata of `source`, and remembers them: older metadata signed by the same keys are refused from then on,
    /// from every source. Metadata that are refused for any reason are not stored, so a wrong clock today does no harm later. `report`
    /// receives damage of the memory.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn open(&self, source: &Arc<Source>, report: &mut dyn FnMut(UpgradeEvent)) -> Result<Repository, TrustError> {
        let memory = Memory::read(self.memory, self.root, report)?;
        let now = self.clock.now(memory.latest());
        let transport = SourceTransport::new(Arc::clone(source));
        let scratch = tempfile::tempdir().map_err(|source| TrustError::Scratch { source })?;
        memory.seed(scratch.path()).map_err(|source| TrustError::Scratch { source })?;
        let loaded = load(memory.newest_root(), &transport, scratch.path(), |error, failure| {
            TrustError::of_tough(error, failure, source, memory.path())
        })?;
        check_fresh(&loaded, now)?;
        memory.write(scratch.path(), &transport.roots(), now.seconds)?;
        Ok(Repository::new(Arc::clone(source), &loaded.targets().signed))
    }
}

/// Lets tough verify the metadata, starting with the trusted `root`. `scratch` contains the metadata that were seen before.
fn load(
    root: &str,
    transport: &SourceTransport,
    scratch: &Path,
    failed: impl FnOnce(tough::error::Error, Option<TrustError>) -> TrustError,
) -> Result<tough::Repository, TrustError> {
    let other = |error: &dyn std::fmt::Display| TrustError::Other(error.to_string());
    let base = |folder| Url::parse(&format!("{}:/{folder}/", transport::SCHEME)).map_err(|error| other(&error));
    let limits = Limits {
        max_root_size: MAX_SMALL_METADATA,
        max_targets_size: MAX_METADATA,
        max_timestamp_size: MAX_SMALL_METADATA,
        max_snapshot_size: MAX_METADATA,
        max_root_updates: MAX_ROOTS,
    };
    let root = root.as_bytes();
    let folders = (base(berth_contract::release::METADATA)?, base(berth_contract::release::TARGETS)?);
    let loader = RepositoryLoader::new(&root, folders.0, folders.1)
        .transport(transport.clone())
        .datastore(scratch)
        .limits(limits)
        // tough would use the system clock and knows no other; `check_fresh` checks the expiry instead.
        .expiration_enforcement(ExpirationEnforcement::Unsafe);
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| other(&error))?;
    runtime.block_on(loader.load()).map_err(|error| failed(error, transport.failure()))
}

fn check_fresh(loaded: &tough::Repository, now: Now) -> Result<(), TrustError> {
    let roles = [
        (RoleType::Timestamp, loaded.timestamp().signed.expires),
        (RoleType::Snapshot, loaded.snapshot().signed.expires),
        (RoleType::Targets, loaded.targets().signed.expires),
        (RoleType::Root, loaded.root().signed.expires),
    ];
    let time = now.timestamp();
    match roles.into_iter().min_by_key(|(_, expires)| *expires).filter(|(_, expires)| *expires <= time) {
        Some((role, expires)) => Err(TrustError::Expired { role, expires, now: time, clock: now.source }),
        None => Ok(()),
    }
}
