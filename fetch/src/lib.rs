//! Downloads. All bytes from the network come through this crate. Every read has a size limit, and a digest if one is known
//! in advance.
//!
//! A [`fetcher::Fetcher`] downloads blobs (SHA-256 and size are known) from mirrors into a content-addressed
//! [`store::Store`]. It downloads signed indices (digest not known) into memory, with a size limit.
//! A [`ranges::Ranges`] reads parts of files from one server without a store, and retries while the server is unreachable.
#![deny(missing_docs)]

pub mod blob;
pub mod error;
pub mod fetcher;
mod pace;
mod part;
pub mod progress;
pub mod ranges;
pub mod roots;
pub mod settings;
pub mod store;
mod transport;
pub mod url;
mod waits;
