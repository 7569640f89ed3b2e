//! What can be wrong with a package.

use std::io;

/// What is wrong with a package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebError {
    /// The package cannot be read, or ends early.
    #[error("Debian package: cannot read {what}")]
    Read {
        /// What was being read.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a package.
    #[error("no Debian package: {what} is {found:?}, expected {wanted:?}")]
    Magic {
        /// What was looked at.
        what: &'static str,
        /// What it has to be.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// A member is not the one that the format wants next.
    #[error("Debian package: member {found:?} where {wanted} was expected")]
    Member {
        /// What was expected.
        wanted: &'static str,
        /// What stands there.
        found: String,
    },
    /// A compression that we do not know.
    #[error("Debian package: {member:?} is compressed in an unknown way; known are .gz, .xz, .zst and none")]
    Compression {
        /// The member.
        member: String,
    },
    /// Something is larger than it may be.
    #[error("Debian package: {what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// What it may have at most.
        limit: u64,
    },
    /// The control part has no, or no proper, file `control`.
    #[error("Debian package: control.tar {reason}")]
    Control {
        /// What is wrong.
        reason: &'static str,
    },
    /// An entry of a tar that we do not take.
    #[error("Debian package: entry {path:?}: {reason}")]
    Entry {
        /// As it stands in the tar.
        path: String,
        /// What is wrong.
        reason: String,
    },
}
