//! Content that is known by its digest.

use berth_contract::digest::Sha256;
use berth_formats::data::Data;

/// Content that is known by its digest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Sha256,
    /// Its bytes.
    pub data: Data,
}
