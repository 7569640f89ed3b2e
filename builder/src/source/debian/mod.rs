//! Debian archives: from a host's APT configuration to verified packages.
//!
//! The chain of trust is the archive's own: OpenPGP signature on InRelease → digest of each Packages index → digest of
//! each .deb. Nothing here decides which packages are wanted; that is `lock`.

pub mod apt_sources;
pub mod archive;
mod certificate;
pub mod debs;
pub mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod in_release;
pub mod keyring;
pub mod mirrors;
pub mod packages;
pub mod relation;
pub mod stanza;
#[cfg(test)]
mod tests;
pub mod version;

// What the fixture, which integration tests include too, finds in its parent.
#[cfg(test)]
use crate::date::Date;
