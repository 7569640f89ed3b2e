//! What can go wrong in making a delta.

use crate::erofs::read::ReadError;
use libsais::LibsaisError;
use std::io;

/// Why no delta was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A root file system that cannot be read.
    #[error("{which} root file system")]
    Image {
        /// `old` or `new`.
        which: &'static str,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
    /// Bytes of one that cannot be read.
    #[error("cannot read the {which} root file system's {len} bytes at {offset}")]
    Read {
        /// `old` or `new`.
        which: &'static str,
        /// Where.
        offset: u64,
        /// How much.
        len: u64,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// More than a delta can be made of.
    #[error("{what} of {len} bytes: at most {most} can be compared")]
    Large {
        /// Which.
        what: &'static str,
        /// Its length.
        len: u64,
        /// The limit.
        most: u64,
    },
    /// The search for what is the same fails.
    #[error("cannot compare {len} bytes with {with}: {cause}")]
    Compare {
        /// Length of the new bytes.
        len: usize,
        /// Length of the old ones.
        with: usize,
        /// What the suffix array's maker says.
        cause: LibsaisError,
    },
    /// The delta cannot be packed or written.
    #[error("cannot write the delta")]
    Output(#[source] io::Error),
}
