//! Releases: builds as signed targets of a repository of The Update Framework (TUF 1.0, consistent snapshots).
//!
//! A repository is a folder that any web server can serve. If a process is killed at any point, the repository stays valid:
//! targets and metadata have their digest or version in their names, and the timestamp, which refers to all other files, is
//! replaced last.
//!
//! Metadata is signed with the types of `tough::schema`, not with `tough::editor`, because a change of keys must be resumable.
//! The editor signs all roles at once with one set of keys. But if a rotation was killed between the new root metadata and the
//! new signatures, the next run must finish it, and until then some metadata needs both old and new signatures.

mod build;
mod bundle;
mod changes;
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
mod passphrase;
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
pub(crate) use passphrase::encrypt;
pub use passphrase::{Ask, Passphrase, Passphrases, Question};
pub use publish::{BadChannel, Channel, Wanted, release};
pub use repository::Terms;
pub use root::{Quorum, new_keys};
pub use rotate::{Change, rotate};
pub use tough::schema::RoleType;
pub use trust::trust_file;
pub use upkeep::{check, list, refresh, revoke};
