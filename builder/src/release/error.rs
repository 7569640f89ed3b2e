//! Errors of keys, repositories and releases.

use berth_file::FileError;
use berth_formats::{pe::PeError, verity::VerifyError};
use jiff::Timestamp;
use std::{
    io,
    path::{Path, PathBuf},
};
use tough::schema::RoleType;

/// Why keys, metadata or a release were refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// A file or folder cannot be created, read or moved.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation that failed, as a verb: `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file or folder of keys exists already.
    #[error("{} exists already, and keys are never overwritten", .0.display())]
    Exists(PathBuf),
    /// No folder of keys has root metadata, which assigns the keys to roles.
    #[error("no root.json in {}", folders(.0))]
    NoRoot(Vec<PathBuf>),
    /// A `.pem` file that is not an ed25519 private key.
    #[error("{}: expected {wanted}, found {found}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The expected content.
        wanted: &'static str,
        /// The content found.
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
        /// Number of signatures that the role needs.
        threshold: u64,
        /// The first digits of the ids of its keys.
        ids: Vec<String>,
        /// Number of private keys found.
        found: usize,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// Too few private keys to sign a role, because no passphrase opens the others.
    #[error("{role}: expected {threshold} private keys, found {found}, and no right passphrase for {}", folders(files))]
    Locked {
        /// The role.
        role: String,
        /// Number of signatures that the role needs.
        threshold: u64,
        /// Number of private keys found.
        found: usize,
        /// The encrypted files.
        files: Vec<PathBuf>,
    },
    /// Keys are to be encrypted, and there is no passphrase.
    #[error("no passphrase to encrypt the keys with")]
    NoPassphrase,
    /// The threshold is 0, or larger than the number of keys.
    #[error("{role}: expected a threshold of 1 to {keys}, found {threshold}")]
    Threshold {
        /// The role.
        role: String,
        /// Number of its keys.
        keys: u64,
        /// The requested threshold.
        threshold: u64,
    },
    /// Metadata is malformed, or its signatures are not valid.
    #[error("{}: {fault}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The fault as a sentence, with the expected and the found value.
        fault: String,
    },
    /// The metadata of a role has expired.
    #[error("{}: the metadata of role {role} expired at {end}", path.display())]
    Ended {
        /// The folder of metadata.
        path: PathBuf,
        /// The role.
        role: RoleType,
        /// The time of expiry.
        end: Timestamp,
    },
    /// A file is larger than the limit of hosts.
    #[error("{what}: expected at most {most} bytes, the limit of hosts, found {found}")]
    Large {
        /// The file.
        what: String,
        /// The limit in bytes.
        most: u64,
        /// Size of the file in bytes.
        found: u64,
        /// How the user can make the file smaller.
        hint: &'static str,
    },
    /// A bundle would not contain the newest release that its metadata lists.
    #[error("a bundle with {release}: expected the newest release of channel {channel}, which is {newest}")]
    NotNewest {
        /// The release for the bundle.
        release: String,
        /// Its channel.
        channel: String,
        /// The newer release in the repository.
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
    /// The folder is not a release repository.
    #[error("{} is not a release repository: it has no metadata/timestamp.json", .0.display())]
    NotARepository(PathBuf),
    /// A change of keys was killed: the new root metadata is published, but signatures of the new keys are missing.
    #[error("a change of keys in {} was not finished", .0.display())]
    Unfinished(PathBuf),
    /// Another process writes to the repository.
    #[error("another berth process is writing to {}", .0.display())]
    Busy(PathBuf),
    /// The folder has no build.
    #[error("{} is not a build: it has no SHA256SUMS", .0.display())]
    NotABuild(PathBuf),
    /// The files of a build do not match each other.
    #[error("{}: {what}: expected {wanted}, found {found}", path.display())]
    Build {
        /// The file.
        path: PathBuf,
        /// The property that differs, such as `length`.
        what: &'static str,
        /// The value in the manifest, or required by the format.
        wanted: String,
        /// The value found.
        found: String,
    },
    /// The root file system does not match its hash tree.
    #[error("{}", path.display())]
    Tree {
        /// The root file system.
        path: PathBuf,
        /// The difference.
        source: VerifyError,
    },
    /// The unified kernel image is malformed.
    #[error("{}", path.display())]
    Uki {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: PeError,
    },
    /// The version is already released with other content.
    #[error("{release} is already released with another {what}: {released}, not {given}")]
    Differs {
        /// Id, version and architecture.
        release: String,
        /// The property that differs, such as `root hash`.
        what: &'static str,
        /// The value in the repository.
        released: String,
        /// The value of the build.
        given: String,
    },
    /// No release or several releases match.
    #[error("expected one release {wanted}, found {found}")]
    NoSuchRelease {
        /// The requested id, version and architecture.
        wanted: String,
        /// The matching releases; if there are none, all releases.
        found: String,
    },
    /// A target of the repository is damaged.
    #[error("{}: expected {wanted}, found {found}", path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// Length and digest in the signed metadata.
        wanted: String,
        /// Length and digest of the file.
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
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            // The CLI adds a hint for I/O errors by their kind.
            Self::Io { .. } => return None,
            Self::Threshold { .. } => "make more keys (--root-keys, --targets-keys or --count), or lower the threshold",
            Self::NotABuild(_) => "name the output folder of `berth build`",
            Self::Exists(_) => "name another folder",
            Self::NoRoot(_) => "name the folder that `berth keys new` created",
            Self::Key { .. } => "remove files that are not keys from the folder, or restore the key from a backup",
            Self::MissingKeys { .. } => "repeat --keys for each folder (or USB stick) with keys",
            Self::Locked { .. } | Self::NoPassphrase => {
                "name a file with the passphrase (--passphrase-file), set BERTH_KEY_PASSPHRASE, or run this at a terminal, where it is asked"
            }
            Self::Metadata { .. } => "restore the repository from a backup, or from the server that publishes it",
            Self::Foreign { .. } => "name the keys of this repository, or another --repo",
            Self::NotARepository(_) => "name the folder that `berth release --repo` created",
            Self::Ended { role, .. } => renewal(*role),
            Self::Large { hint, .. } => hint,
            Self::NotNewest { .. } => {
                "also name the build of the newest release: builds that are already released are skipped"
            }
            Self::Unfinished(_) => "run the same `berth keys rotate` again: hosts refuse the repository until then",
            Self::Busy(_) => "wait until that process has ended",
            Self::Build { .. } | Self::Tree { .. } | Self::Uki { .. } => "build the image again with `berth build`",
            Self::Differs { .. } => {
                "give the build another version, or revoke the existing release first: berth repo revoke"
            }
            Self::NoSuchRelease { .. } => {
                "see `berth repo list`; --id and --arch select between releases of one version"
            }
            Self::Target { .. } => "restore the file from a backup, or revoke the release: berth repo revoke",
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
        RoleType::Root => "sign the metadata again with the root keys: berth keys renew",
        RoleType::Targets => "sign the metadata again with the targets keys: berth repo refresh",
        _ => "sign the metadata again: berth repo refresh",
    }
}

/// The hint for a list of releases that is too long.
pub(super) const REVOKE: &str = "revoke old releases: berth repo revoke";
