//! What can go wrong while bytes come in.

use crate::{settings::Pace, url::Url};
use berth_contract::digest::Sha256;
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Why something could not be fetched. Every variant names the place, and what was wanted and found where that applies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A file of this machine (store, `file:` URL, certificates) cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The certificate bundle holds no certificate.
    #[error("{}: expected PEM certificates, found none", path.display())]
    NoCertificate {
        /// The bundle.
        path: PathBuf,
    },
    /// The authority that was given beside the bundle is no certificate.
    #[error("additional certificate authority: expected PEM certificates, found none")]
    NoExtraCertificate,
    /// The server does not have it (HTTP 404 or 410, or no such file).
    #[error("{url}: not found")]
    NotFound {
        /// Where it was looked for.
        url: Url,
    },
    /// The server refuses or fails.
    #[error("{url}: expected HTTP status 200 or 206, found {status}")]
    Status {
        /// What was asked.
        url: Url,
        /// The answer's status.
        status: u16,
    },
    /// A web page instead of data: a captive portal, a proxy's or a server's error page.
    #[error("{asked}: expected data, found a web page (text/html){}", at(asked, answered))]
    Html {
        /// What was asked.
        asked: Url,
        /// Who answered, after redirects.
        answered: String,
    },
    /// No connection, no TLS, no valid answer.
    #[error("{url}: {source}")]
    Exchange {
        /// What was asked.
        url: Url,
        /// What happened.
        source: Box<ureq::Error>,
    },
    /// The transfer broke off.
    #[error("{url}: the transfer broke off after {found} bytes: {source}")]
    Interrupted {
        /// What was asked.
        url: Url,
        /// Bytes that came, with those of earlier tries.
        found: u64,
        /// What happened.
        source: io::Error,
    },
    /// The transfer crawls.
    #[error("{url}: slower than {} bytes per second for {} s, after {found} bytes", pace.floor, pace.window.as_secs())]
    Slow {
        /// What was asked.
        url: Url,
        /// Bytes that came, with those of earlier tries.
        found: u64,
        /// The limit.
        pace: Pace,
    },
    /// Too few or too many bytes.
    #[error("{url}: expected {wanted} bytes, found {}{found}", if *.found > *.wanted {"at least "} else {""})]
    Size {
        /// What was asked.
        url: Url,
        /// The size that was to come.
        wanted: u64,
        /// The size that was announced or came.
        found: u64,
    },
    /// Right size, wrong content, twice.
    #[error("{url}: expected SHA-256 {wanted}, found {found}")]
    Digest {
        /// What was asked.
        url: Url,
        /// The digest that was to come.
        wanted: Sha256,
        /// The digest of what came.
        found: Sha256,
    },
    /// The server sends whole files only.
    #[error("{url}: expected a part of the file (HTTP status 206), found all of it: this server has no ranges")]
    NoRanges {
        /// What was asked.
        url: Url,
    },
    /// Another part than the one that was asked for.
    #[error("{url}: expected {wanted}, found {found}")]
    WrongRange {
        /// What was asked.
        url: Url,
        /// The part.
        wanted: String,
        /// What the answer says of itself.
        found: String,
    },
    /// The server was waited for, in vain.
    #[error("{last} (waited for it for {} s)", waited.as_secs())]
    GaveUp {
        /// Since the last progress.
        waited: Duration,
        /// The last failure.
        last: Box<FetchError>,
    },
    /// An index beyond its limit.
    #[error("{url}: expected at most {limit} bytes, found more")]
    TooLarge {
        /// What was asked.
        url: Url,
        /// The limit.
        limit: u64,
    },
    /// Missing in the store while the network may not be used.
    #[error("offline, and not in the cache: {}", list(missing))]
    Offline {
        /// Names as given with the jobs, or URLs.
        missing: Vec<String>,
    },
    /// Nobody to ask.
    #[error("{name}: no mirror to fetch it from")]
    NoMirror {
        /// Name as given with the job.
        name: String,
    },
    /// Several mirrors failed, each for its own reason.
    #[error("{name}: no mirror could serve it{}", failures.iter().map(|e| format!("\n  {e}")).collect::<String>())]
    Mirrors {
        /// Name as given with the job.
        name: String,
        /// One failure per mirror, in their order.
        failures: Vec<FetchError>,
    },
    /// A blob in the store is not what its name says.
    #[error("{}: expected SHA-256 {wanted}, found {found}", path.display())]
    Corrupt {
        /// The blob.
        path: PathBuf,
        /// Its name.
        wanted: Sha256,
        /// The digest of its bytes.
        found: Sha256,
    },
    /// Bytes that were given to the store are not what they were said to be.
    #[error("{name}: expected {wanted_size} bytes of SHA-256 {wanted}, found {found_size} bytes of {found}")]
    Mismatch {
        /// What the bytes are.
        name: String,
        /// Size that was to come.
        wanted_size: u64,
        /// Digest that was to come.
        wanted: Sha256,
        /// Size that came.
        found_size: u64,
        /// Digest that came.
        found: Sha256,
    },
    /// Another download of the same [`crate::fetcher::Fetcher::fetch_all`] failed first; never handed to callers.
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
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => {
                "the mirror no longer serves this file: run `berth lock --update`, or name another mirror with --mirror"
            }
            Self::Html { .. } => "a login page or a proxy answers in the mirror's place: open the address in a browser",
            Self::Exchange { source, .. } => match **source {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => {
                    "set SSL_CERT_FILE to a PEM file of the authorities to trust"
                }
                ureq::Error::HostNotFound => "check the mirror's name and this machine's name resolution",
                ureq::Error::TooManyRedirects => "the server redirects in a circle: name another mirror with --mirror",
                _ => "check the network, or name another mirror with --mirror",
            },
            Self::Status { .. } | Self::Slow { .. } => "try again, or name another mirror with --mirror",
            Self::Interrupted { .. } => "try again: what has come so far is kept",
            Self::Size { .. } | Self::Digest { .. } => {
                "the mirror or a proxy serves another file under this name (it may just be updating): try again, \
                 name another mirror with --mirror, or run `berth lock --update`"
            }
            Self::Offline { .. } => "run once without --offline",
            Self::NoMirror { .. } => "name a mirror in the recipe or with --mirror",
            Self::Mirrors { failures, .. } => return failures.iter().find_map(Self::hint),
            Self::Corrupt { path, .. } => return Some(format!("remove {}: it will be fetched again", path.display())),
            Self::NoCertificate { .. } => "SSL_CERT_FILE must name a PEM file",
            Self::NoExtraCertificate => "it must hold a block of BEGIN CERTIFICATE",
            Self::NoRanges { .. } | Self::WrongRange { .. } => "try another server or proxy",
            Self::GaveUp { last, .. } => return last.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "free some space, then try again",
            Self::TooLarge { .. } => {
                "something else than the archive answers: check the mirror's address and the proxy"
            }
            Self::Mismatch { .. } => "it changed while it was read: try again",
            Self::Io { .. } | Self::Stopped => return None,
        };
        Some(hint.to_owned())
    }

    /// TLS failed: a certificate that is not trusted, or not valid at this time.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Exchange { source, .. } => match &**source {
                ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
                // What rustls finds while it reads comes wrapped.
                ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
                _ => false,
            },
            Self::GaveUp { last, .. } => last.is_tls(),
            _ => false,
        }
    }

    /// Whether trying the same mirror again, from where the transfer ended, may help.
    pub(crate) fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted { .. })
    }

    /// Whether the same question may be answered later: what a server that restarts or a cable that is out makes.
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
