//! Where a build's inputs come from.

pub mod debian;
pub mod oci;
