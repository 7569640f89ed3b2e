//! Why a delta was not made.

use crate::erofs::read::ReadError;
use libsais::LibsaisError;
use std::io;

/// Why a delta was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A root file system that is not valid.
    #[error("{which} root file system")]
    Image {
        /// `old` or `new`.
        which: &'static str,
        /// What is wrong.
        #[source]
        source: ReadError,
    },
    /// Bytes of a root file system that cannot be read.
    #[error("cannot read the {which} root file system's {len} bytes at {offset}")]
    Read {
        /// `old` or `new`.
        which: &'static str,
        /// Where.
        offset: u64,
        /// Number of bytes.
        len: u64,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// A file that is too large for a delta.
    #[error("{what} of {len} bytes: at most {most} can be compared")]
    Large {
        /// Which.
        what: &'static str,
        /// Its length.
        len: u64,
        /// The limit.
        most: u64,
    },
    /// The search for equal pieces failed.
    #[error("cannot compare {len} bytes with {with}: {cause}")]
    Compare {
        /// Length of the new bytes.
        len: usize,
        /// Length of the old bytes.
        with: usize,
        /// The message of the suffix array crate.
        cause: LibsaisError,
    },
    /// The delta cannot be compressed or written.
    #[error("cannot write the delta")]
    Output(#[source] io::Error),
}
