//! From one root file system to another over a wire: what a release holds so that a host fetches little.
//!
//! - [`index`] and [`chunks`]: the image in pieces that can be fetched one by one, for a host with any other version.
//! - [`patch`]: what makes one version of one other, as small as can be.

pub mod chunks;
pub mod cuts;
pub mod index;
pub mod marks;
pub mod patch;

/// Bytes of a block: what a hash tree digests, and what is compared.
pub const BLOCK: u64 = 4096;
/// Largest image that is described, in bytes.
pub const MAX_IMAGE: u64 = 64 << 30;
