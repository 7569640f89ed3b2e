//! Certificates for the remote API of hosts: an authority, and the certificates of clients and hosts that it signs.

mod authority;
mod error;
mod leaf;

pub use authority::{Authority, Validity, new_authority};
pub use error::AccessError;
pub use leaf::{Made, Replace, Subject};
