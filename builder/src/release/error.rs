//! What can go wrong with keys, repositories and releases.

use berth_file::FileError;
use berth_formats::{pe::PeError, verity::VerifyError};
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};
use tough::schema::RoleType;

/// Why keys, metadata or a release were refused. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A file or folder cannot be made, read or moved.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Keys are never overwritten.
    #[error("{} is there already, and keys are never overwritten", .0.display())]
    Exists(PathBuf),
    /// A folder of keys without the metadata that says what they are for.
    #[error("no root.json in {}", folders(.0))]
    NoRoot(Vec<PathBuf>),
    /// A `.pem` file that is not an ed25519 private key.
    #[error("{}: expected {wanted}, found {found}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What it has to be.
        wanted: &'static str,
        /// What it is.
        found: String,
    },
    /// Too few private keys to sign a role.
    #[error(
        "{role}: expected private keys for at least {threshold} of {}, found {found} in {}",
        ids.join(", "),
        folders(searched)
    )]
    MissingKeys {
        /// The role.
        role: String,
        /// How many signatures it needs.
        threshold: u64,
        /// The first digits of its keys' ids.
        ids: Vec<String>,
        /// How many of them are there.
        found: usize,
        /// Where they were looked for.
        searched: Vec<PathBuf>,
    },
    /// More signatures than keys, or none at all.
    #[error("{role}: expected a threshold of 1 to {keys}, found {threshold}")]
    Threshold {
        /// The role.
        role: String,
        /// How many keys it has.
        keys: u64,
        /// How many signatures were asked for.
        threshold: u64,
    },
    /// Metadata that is malformed, or not signed as it has to be.
    #[error("{}: {fault}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        fault: String,
    },
    /// The metadata of a role has expired.
    #[error("{}: the metadata of role {role} expired at {end}", path.display())]
    Ended {
        /// The metadata.
        path: PathBuf,
        /// The role.
        role: RoleType,
        /// Its end.
        end: Timestamp,
    },
    /// A file that is larger than the limit of hosts.
    #[error("{what}: expected at most {most} bytes, which hosts read, found {found}")]
    Large {
        /// The file.
        what: String,
        /// The limit.
        most: u64,
        /// Its bytes.
        found: u64,
        /// What makes it smaller.
        hint: &'static str,
    },
    /// A bundle without the newest release that its metadata lists.
    #[error("a bundle with {release}: expected the newest release of channel {channel}, which is {newest}")]
    NotNewest {
        /// What was to be in it.
        release: String,
        /// Its channel.
        channel: String,
        /// What is newer.
        newest: String,
    },
    /// The keys are those of another repository.
    #[error("{} is signed with other keys than those of {}", repo.display(), folders(keys))]
    Foreign {
        /// The repository.
        repo: PathBuf,
        /// The folders of keys.
        keys: Vec<PathBuf>,
    },
    /// No repository yet, where one is needed.
    #[error("{} is no release repository: it has no metadata/timestamp.json", .0.display())]
    NotARepository(PathBuf),
    /// A change of keys that was killed: the new root metadata is published, the signatures of the new keys are missing.
    #[error("a change of keys in {} was not finished", .0.display())]
    Unfinished(PathBuf),
    /// Another process writes to the repository.
    #[error("another berth is writing to {}", .0.display())]
    Busy(PathBuf),
    /// A build whose parts do not agree.
    #[error("{}: {what}: expected {wanted}, found {found}", path.display())]
    Build {
        /// The file.
        path: PathBuf,
        /// What of it.
        what: &'static str,
        /// What its manifest, or the contract, says.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The root file system does not match its hash tree.
    #[error("{}", path.display())]
    Tree {
        /// The root file system.
        path: PathBuf,
        /// Where they differ.
        source: VerifyError,
    },
    /// The unified kernel image is malformed.
    #[error("{}", path.display())]
    Uki {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PeError,
    },
    /// The version has been released already, with other content.
    #[error("{release} is released already with another {what}: {released}, not {given}")]
    Differs {
        /// Id, version and architecture.
        release: String,
        /// What differs.
        what: &'static str,
        /// What is in the repository.
        released: String,
        /// What was to be released.
        given: String,
    },
    /// No release, or several releases, of the version that was asked for.
    #[error("expected one release {wanted}, found {found}")]
    NoSuchRelease {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// A target of the repository that is missing or damaged.
    #[error("{}: expected {wanted}, found {found}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// What the signed metadata says.
        wanted: String,
        /// What is there.
        found: String,
    },
}

impl From<FileError> for ReleaseError {
    fn from(error: FileError) -> Self {
        let (action, path, source) = error.into_parts();
        Self::Io { action, path, source }
    }
}

fn folders(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl ReleaseError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            // The hint depends on the system's reason.
            Self::Io { .. } | Self::Threshold { .. } => return None,
            Self::Exists(_) => "name another folder",
            Self::NoRoot(_) => "name the folder that `berth keys new` made",
            Self::Key { .. } => "move away what is no key, or take it from a backup",
            Self::MissingKeys { .. } => "give --keys once more for each folder (or stick) with keys",
            Self::Metadata { .. } => "restore the repository from a backup, or from the server that it is published on",
            Self::Foreign { .. } => "name the keys of this repository, or another --repo",
            Self::NotARepository(_) => "name the folder that `berth release --repo` made",
            Self::Ended { role, .. } => renewal(*role),
            Self::Large { hint, .. } => hint,
            Self::NotNewest { .. } => "name the build of the newest as well: what is released already stays as it is",
            Self::Unfinished(_) => {
                "give the same `berth keys rotate` once more; hosts refuse the repository until then"
            }
            Self::Busy(_) => "wait until it has ended",
            Self::Build { .. } | Self::Tree { .. } | Self::Uki { .. } => "build it again with `berth build`",
            Self::Differs { .. } => {
                "give the build a version of its own; or take the release back first: berth repo revoke"
            }
            Self::NoSuchRelease { .. } => {
                "see `berth repo list`; --id and --arch choose between releases of one version"
            }
            Self::Target { .. } => "restore the file from a backup, or take the release back: berth repo revoke",
        };
        Some(hint.to_owned())
    }

    pub(super) fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// The command that signs a role with a later expiry.
pub(super) fn renewal(role: RoleType) -> &'static str {
    match role {
        RoleType::Root => "sign it anew with the root keys: berth keys renew",
        RoleType::Targets => "sign it anew with the targets keys: berth repo refresh",
        _ => "sign it anew: berth repo refresh",
    }
}

/// What to do about a list of releases that is too long.
pub(super) const REVOKE: &str = "take old releases back: berth repo revoke";
