//! The inputs of a build: Debian packages, OCI images, overlays and our own programs.

pub mod debian;
pub mod local;
pub mod oci;
pub mod programs;
