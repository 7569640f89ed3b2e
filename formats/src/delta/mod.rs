//! Deltas between root file systems: what a release holds so that a host fetches few bytes. The formats are our own.
//!
//! - [`index`] and [`chunks`]: the image in pieces that can be fetched one by one, for a host with any other version.
//! - [`patch`]: makes one version out of another, with as few bytes as possible.

pub mod chunks;
pub mod cuts;
pub mod index;
pub mod marks;
pub mod patch;

/// Bytes of a block: the unit of hash trees and of comparison.
pub const BLOCK: u64 = 4096;
/// Largest image, in bytes.
pub const MAX_IMAGE: u64 = 64 << 30;
