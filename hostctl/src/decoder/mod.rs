//! Unpacking of bytes that are not verified yet, in a process without privileges, network and files.
//!
//! A whole root file system is too long for the memory, so it is unpacked while it arrives, before its digest is known. The decoder is a large C
//! library. So hostctl runs itself as a child ([`child`]), writes the packed bytes to its stdin, and reads the unpacked bytes from its
//! stdout. Whatever the bytes do to the child, the worst result is wrong bytes, which the root hash shows, or an error of the upgrade.

pub mod child;
mod confinement;
mod program;
mod unpacking;

pub use child::Packing;
pub use program::{Decoder, THIS_PROGRAM};
pub use unpacking::{Limits, Unpacking};
