//! Releases: builds as signed targets of a repository of The Update Framework (TUF 1.0, consistent snapshots).
//!
//! A repository is a folder that any web server can give out. Whatever is killed at whatever point, it is a valid one: targets
//! and metadata get names of their own (digest, version), and the timestamp, which stands for all of it, changes last.

mod build;
mod bundle;
mod current;
mod delta;
mod error;
mod file;
mod keys;
mod lifetime;
mod listing;
mod lock;
mod metadata;
mod outlook;
mod publish;
mod record;
mod repository;
mod root;
mod rotate;
mod targets;
mod upkeep;

pub use error::ReleaseError;
pub use keys::KeyRing;
pub use lifetime::{BadLifetime, Lifetime};
pub use listing::Listed;
pub use publish::{BadChannel, Channel, Wanted, release};
pub use repository::Terms;
pub use root::{Quorum, check_trust, new_keys};
pub use rotate::{Change, rotate};
pub use tough::schema::RoleType;
pub use upkeep::{check, list, refresh, revoke};
