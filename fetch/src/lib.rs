//! The only way bytes come in: every read has a size limit, and a digest wherever one is known beforehand.
//!
//! A [`fetcher::Fetcher`] gets blobs (known by SHA-256 and size) from mirrors into a content-addressed
//! [`store::Store`], and signed indices (whose digest nobody knows before) into memory under a limit.
//! A [`ranges::Ranges`] reads parts of the files of one server, without a store, and is patient with it.
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
