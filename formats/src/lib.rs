//! One module per on-disk format: bytes in, bytes out, no policy.
#![deny(missing_docs)]

pub mod cpio;
pub mod data;
pub mod deb;
pub mod delta;
mod elf;
pub mod erofs;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod kmod;
pub mod label;
pub mod ldcache;
pub mod pe;
pub mod qcow2;
pub mod range;
mod sparse;
pub mod verity;
mod workers;
