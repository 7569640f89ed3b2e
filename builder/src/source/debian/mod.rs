//! Debian archives: from a host's APT configuration to verified packages.
//!
//! The chain of trust is the archive's own: OpenPGP signature on InRelease → digest of each Packages index → digest of
//! each .deb. Nothing here decides which packages are wanted; that is `lock`.

pub mod apt_sources;
pub mod archive;
mod certificate;
pub mod date;
pub mod debs;
pub mod error;
#[cfg(test)]
pub(crate) mod fixture;
pub mod keyring;
pub mod mirrors;
pub mod packages;
pub mod relation;
pub mod release;
pub mod stanza;
#[cfg(test)]
mod tests;
pub mod version;
