//! Errors of downloads and of the store.

use crate::{settings::Pace, url::Url};
use berth_contract::{credentials::without_credentials, digest::Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why a fetch failed. The messages name the place and, where it applies, the expected and the found value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A local file cannot be used: a file of the store, of a `file:` URL, or the certificates.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation that failed, as a verb: `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The certificate bundle contains no certificate.
    #[error("{}: expected PEM certificates, found none", path.display())]
    NoCertificate {
        /// The bundle.
        path: PathBuf,
    },
    /// The additional certificate authority ([`crate::settings::FetchSettings::extra_ca`]) contains no certificate.
    #[error("additional certificate authority: expected PEM certificates, found none")]
    NoExtraCertificate,
    /// The server does not have the file (HTTP 404 or 410), or a local file does not exist.
    #[error("{url}: not found")]
    NotFound {
        /// The requested URL.
        url: Url,
    },
    /// The server refuses the request or fails.
    #[error("{url}: expected HTTP status 200 or 206, found {status}")]
    Status {
        /// The requested URL.
        url: Url,
        /// HTTP status of the response.
        status: u16,
    },
    /// A web page instead of data: from a captive portal, or the error page of a proxy or server.
    #[error("{asked}: expected data, found a web page (text/html){}", at(asked, answered))]
    Html {
        /// The requested URL.
        asked: Url,
        /// The URL of the response, after redirects.
        answered: String,
    },
    /// The connection or TLS failed, or the response is invalid.
    #[error("{url}: {}", without_credentials(&source.to_string()))]
    Exchange {
        /// The requested URL.
        url: Url,
        /// The cause.
        source: Box<ureq::Error>,
    },
    /// The connection failed during the transfer.
    #[error("{url}: the transfer broke off after {found} bytes: {source}")]
    Interrupted {
        /// The requested URL.
        url: Url,
        /// Bytes received so far, including those of earlier attempts.
        found: u64,
        /// The cause.
        source: io::Error,
    },
    /// The transfer is slower than the limit.
    #[error("{url}: slower than {} bytes per second for {} s, after {found} bytes", pace.floor, pace.window.as_secs())]
    Slow {
        /// The requested URL.
        url: Url,
        /// Bytes received so far, including those of earlier attempts.
        found: u64,
        /// The limit.
        pace: Pace,
    },
    /// Too few or too many bytes.
    #[error("{url}: expected {wanted} bytes, found {}{found}", if *.found > *.wanted {"at least "} else {""})]
    Size {
        /// The requested URL.
        url: Url,
        /// The expected size.
        wanted: u64,
        /// The announced or received size.
        found: u64,
    },
    /// The size is right but the content is wrong, also after a second download.
    #[error("{url}: expected SHA-256 {wanted}, found {found}")]
    Digest {
        /// The requested URL.
        url: Url,
        /// The expected digest.
        wanted: Sha256,
        /// The digest of the received bytes.
        found: Sha256,
    },
    /// The server does not support range requests: it sends only whole files.
    #[error(
        "{url}: expected a part of the file (HTTP status 206), found the whole file: the server ignores range requests"
    )]
    NoRanges {
        /// The requested URL.
        url: Url,
    },
    /// The response contains another range than the requested one.
    #[error("{url}: expected {wanted}, found {found}")]
    WrongRange {
        /// The requested URL.
        url: Url,
        /// The requested range.
        wanted: String,
        /// Status, range and length of the response.
        found: String,
    },
    /// The server did not recover within the time limit for retries.
    #[error("{last} (gave up after {} s)", waited.as_secs())]
    GaveUp {
        /// Time since the last progress.
        waited: Duration,
        /// The failure of the last attempt.
        last: Box<FetchError>,
    },
    /// The file is larger than its limit.
    #[error("{url}: expected at most {limit} bytes, found more")]
    TooLarge {
        /// The requested URL.
        url: Url,
        /// The limit in bytes.
        limit: u64,
    },
    /// No mirror has some of the files. All files that could be fetched are in the store.
    #[error("no mirror has {}", list(names))]
    Gone {
        /// Names of the jobs.
        names: Vec<String>,
    },
    /// Files are missing in the store, and the network must not be used.
    #[error("offline, and not in the cache: {}", list(missing))]
    Offline {
        /// Names of the jobs, or URLs.
        missing: Vec<String>,
    },
    /// The job has no mirror.
    #[error("{name}: expected at least one mirror, found none")]
    NoMirror {
        /// Name of the job.
        name: String,
    },
    /// All of several mirrors failed.
    #[error("{name}: all mirrors failed{}", failures.iter().map(|e| format!("\n  {e}")).collect::<String>())]
    Mirrors {
        /// Name of the job.
        name: String,
        /// One failure per mirror, in the order of the mirrors.
        failures: Vec<FetchError>,
    },
    /// The content of a blob in the store does not match the digest in its name.
    #[error("{}: expected SHA-256 {wanted}, found {found}", path.display())]
    Corrupt {
        /// The blob's file.
        path: PathBuf,
        /// The digest in its name.
        wanted: Sha256,
        /// The digest of its content.
        found: Sha256,
    },
    /// Bytes that were put into the store do not have the expected size and digest.
    #[error("{name}: expected {wanted_size} bytes of SHA-256 {wanted}, found {found_size} bytes of {found}")]
    Mismatch {
        /// Name of the content, for messages.
        name: String,
        /// The expected size.
        wanted_size: u64,
        /// The expected digest.
        wanted: Sha256,
        /// The size found.
        found_size: u64,
        /// The digest found.
        found: Sha256,
    },
    /// Another download of the same [`crate::fetcher::Fetcher::fetch_all`] failed first. Callers never see this error.
    #[error("stopped")]
    Stopped,
}

fn at(asked: &Url, answered: &str) -> String {
    if asked.as_str() == answered { String::new() } else { format!(" at {answered}") }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

impl FetchError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } | Self::Gone { .. } => {
                "the archive no longer has them: run `berth lock RECIPE`, which replaces only what is gone; to build the same image \
                 again, name a mirror or a pool that has them with --mirror, or copy the cache of the machine that made the lock"
            }
            Self::Html { .. } => "a login page or a proxy answers instead of the mirror: open the address in a browser",
            Self::Exchange { source, .. } => match **source {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
                    "set SSL_CERT_FILE to a PEM file with the certificate authorities to trust"
                }
                ureq::Error::HostNotFound => "check the mirror's name and this machine's name resolution",
                ureq::Error::TooManyRedirects => "the server redirects in a loop: name another mirror with --mirror",
                _ => "check the network, or name another mirror with --mirror",
            },
            Self::Status { .. } | Self::Slow { .. } => "try again, or name another mirror with --mirror",
            Self::Interrupted { .. } => "try again: the bytes received so far are kept",
            Self::Size { .. } | Self::Digest { .. } => {
                "the mirror or a proxy serves another file under this name (it may be updating now): try again, \
                 name another mirror with --mirror, or run `berth lock --update`"
            }
            Self::Offline { .. } => "run once without --offline",
            Self::NoMirror { .. } => "name a mirror in the recipe or with --mirror",
            // The mirror that got furthest: one that has the file is nearer than one that has not.
            Self::Mirrors { failures, .. } => {
                return failures.iter().rev().max_by_key(|failure| !failure.is_missing())?.hint();
            }
            Self::Corrupt { path, .. } => return Some(format!("remove {}: it will be fetched again", path.display())),
            Self::NoCertificate { .. } => "set SSL_CERT_FILE to a PEM file that contains certificates",
            Self::NoExtraCertificate => "its text must contain a BEGIN CERTIFICATE block",
            Self::NoRanges { .. } | Self::WrongRange { .. } => "try another server or proxy",
            Self::GaveUp { last, .. } => return last.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "free some space, then try again",
            Self::TooLarge { .. } => {
                "another server may answer instead of the archive: check the mirror's address and the proxy"
            }
            Self::Mismatch { .. } => "the content changed while it was read: try again",
            Self::Io { .. } | Self::Stopped => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether no mirror has the file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Gone { .. } => true,
            Self::Mirrors { failures, .. } => failures.iter().all(Self::is_missing),
            _ => false,
        }
    }

    /// Whether TLS failed, for example because a certificate is not trusted or not valid at this time.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Exchange { source, .. } => match &**source {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
                // ureq wraps errors that rustls finds while reading in an I/O error.
                ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
                _ => false,
            },
            Self::GaveUp { last, .. } => last.is_tls(),
            _ => false,
        }
    }

    /// Whether to retry at the same mirror, from the byte where the transfer stopped.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }

    /// Whether the same request may succeed later. True for errors that a restarting server or an unplugged cable causes.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Interrupted { .. } | Self::Slow { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Exchange { source, .. } if !self.is_tls() => matches!(
                **source,
                ureq::Error::Io(_)
                    | ureq::Error::Timeout(_)
                    | ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
            ),
            _ => false,
        }
    }
}

pub(crate) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FetchError + 'a {
    move |source| FetchError::Io { action, path: path.to_owned(), source }
}
