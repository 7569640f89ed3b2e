//! Where a build's inputs come from.

pub mod debian;
pub mod local;
pub mod oci;
pub mod programs;
