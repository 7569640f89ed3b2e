//! Debian archives: from the host's APT configuration to verified packages.
//!
//! The chain of trust is that of APT: OpenPGP signature of the InRelease → digest of each Packages index → digest of each
//! .deb. The module `lock` decides which packages are needed.

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
pub mod suite;
#[cfg(test)]
mod tests;
pub mod version;

// The file fixture.rs uses `super::Date`. Integration tests include that file too, with another parent module.
#[cfg(test)]
use crate::date::Date;
