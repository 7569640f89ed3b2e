//! Releases: builds as signed targets of a repository of The Update Framework (TUF 1.0, consistent snapshots).
//!
//! A repository is a folder that any web server can serve. A process that is killed at any point leaves a valid repository:
//! targets and metadata have their digest or version in their names, and the timestamp, which leads to all others, is
//! replaced last.
//!
//! Metadata is signed over `tough::schema` and not with `tough::editor`: a change of keys has to be resumable. The editor signs
//! all roles at once with one set of keys and writes them in one go. A rotation that was killed between the new root metadata
//! and the new signatures must be finished by the next run, with old and new signatures side by side in between.

mod build;
mod bundle;
mod current;
mod delta;
mod error;
mod file;
mod file_lock;
mod key;
mod keys;
mod lifetime;
mod listing;
mod metadata;
mod outlook;
mod publish;
mod record;
mod repository;
mod root;
mod rotate;
mod targets;
mod trust;
mod upkeep;

pub use error::ReleaseError;
pub use keys::KeyRing;
pub use lifetime::{BadLifetime, Lifetime};
pub use listing::Listed;
pub use publish::{BadChannel, Channel, Wanted, release};
pub use repository::Terms;
pub use root::{Quorum, new_keys};
pub use rotate::{Change, rotate};
pub use tough::schema::RoleType;
pub use trust::trust_file;
pub use upkeep::{check, list, refresh, revoke};
