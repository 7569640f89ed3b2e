//! What can be wrong with a package.

use std::io;

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebError {
    /// The package cannot be read, or ends early.
    #[error("Debian package: cannot read {what}")]
    Read {
        /// The part that was being read.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is not a package.
    #[error("no Debian package: {what} is {found:?}, expected {wanted:?}")]
    Magic {
        /// The part that was checked.
        what: &'static str,
        /// The value expected.
        wanted: &'static str,
        /// The value found.
        found: String,
    },
    /// A member is not the one that the format requires next.
    #[error("Debian package: member {found:?} where {wanted} was expected")]
    Member {
        /// The expected member.
        wanted: &'static str,
        /// The value found.
        found: String,
    },
    /// An unknown compression.
    #[error("Debian package: {member:?} is compressed in an unknown way; known are .gz, .xz, .zst and none")]
    Compression {
        /// The member.
        member: String,
    },
    /// A part is larger than allowed.
    #[error("Debian package: {what} is larger than {limit} bytes")]
    TooLarge {
        /// The part.
        what: String,
        /// The largest size, in bytes.
        limit: u64,
    },
    /// The control part has no valid file `control`.
    #[error("Debian package: control.tar {reason}")]
    Control {
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry that is refused.
    #[error("Debian package: entry {path:?}: {reason}")]
    Entry {
        /// The path, as in the tar.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
