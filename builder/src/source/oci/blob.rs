//! Blobs of OCI images.

use berth_contract::digest::Sha256;
use berth_formats::data::Data;

/// Content that is identified by its digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its media type, as in the descriptor.
    pub media_type: String,
    /// SHA-256 of the content.
    pub digest: Sha256,
    /// The content.
    pub data: Data,
}
