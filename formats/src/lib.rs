//! One module per on-disk format: bytes in, bytes out, no policy.
#![deny(missing_docs)]

pub mod cpio;
pub mod data;
pub mod deb;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod pe;
pub mod range;
