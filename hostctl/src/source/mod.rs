//! Where releases come from: a web server, a folder, a bundle file, or a folder or bundle file on a USB stick. Nothing from a source is
//! trusted here; [`crate::trust`] verifies it.

mod bundle;
mod error;
mod folder;
mod stick;

pub use error::SourceError;

use berth_contract::credentials::without_credentials;
use berth_fetch::{
    ranges::{RangeReader, Ranges},
    roots,
    settings::{FetchSettings, Network, Pace, Patience},
    url::{BadUrl, Scheme, Url},
};
use bundle::Bundle;
use folder::Folder;
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use stick::Stick;

/// Options for sources that are web servers.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// PEM bundle of the certificate authorities that `https:` trusts; see [`berth_fetch::roots::bundle`].
    pub ca_bundle: Option<PathBuf>,
    /// `[update] ca` as PEM: trusted in addition.
    pub extra_ca: Option<String>,
    /// How long to wait for a server.
    pub patience: Patience,
    /// The slowest transfer that counts as progress.
    pub pace: Pace,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { ca_bundle: roots::bundle(None), extra_ca: None, patience: Patience::default(), pace: Pace::default() }
    }
}

/// A release repository: the files below `metadata/` and `targets/`.
#[derive(Debug)]
pub struct Source {
    name: String,
    location: Location,
    read: AtomicU64,
    /// The USB stick, mounted as long as the source is used.
    _stick: Option<Stick>,
}

#[derive(Debug)]
enum Location {
    Web { base: Url, server: Box<Ranges> },
    Folder(Folder),
    Bundle(Bundle),
}

impl Source {
    /// Opens the source that a user or the configuration names: an `http:`, `https:` or `file:` URL, a folder, a bundle file, or
    /// `disk:LABEL[/PATH]` for a folder or bundle file on the disk whose file system has that label. The headers of a bundle are read now.
    /// A server is not contacted yet.
    /// # Errors
    /// When the text is none of these, the path does not exist, the folder has no `metadata/`, or the file is not a bundle.
    pub fn parse(text: &str, http_options: &HttpOptions) -> Result<Self, SourceError> {
        if let Some((label, path)) = stick::split(text) {
            let stick = Stick::mount(label)?;
            let location = Self::local(&stick.path(path))?;
            return Ok(Self { name: text.to_owned(), location, read: AtomicU64::new(0), _stick: Some(stick) });
        }
        let named = |location| Ok(Self { name: text.to_owned(), location, read: AtomicU64::new(0), _stick: None });
        if text.contains("://") {
            let base: Url = text.parse()?;
            if base.scheme() == Scheme::File {
                return Self::local(&base.file_path()).and_then(named);
            }
            if text.contains('?') {
                // File paths are appended to the address.
                return Err(BadUrl {
                    found: without_credentials(text),
                    wanted: "the address of a folder, without `?`",
                }
                .into());
            }
            let mut settings = FetchSettings::new(Network::Online, http_options.ca_bundle.clone());
            settings.extra_ca.clone_from(&http_options.extra_ca);
            settings.pace = http_options.pace;
            return named(Location::Web { base, server: Box::new(Ranges::new(settings, http_options.patience)) });
        }
        Self::local(Path::new(text)).and_then(named)
    }

    fn local(path: &Path) -> Result<Location, SourceError> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Folder::open(path).map(Location::Folder),
            Ok(meta) if meta.is_file() => Bundle::open(path).map(Location::Bundle),
            Ok(_) => Err(SourceError::NoSource { path: path.to_owned(), found: "neither" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SourceError::NoSource { path: path.to_owned(), found: "nothing" })
            }
            Err(source) => Err(SourceError::Io { path: path.to_owned(), source }),
        }
    }

    /// The name that the user gave.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identity of the source: its name without slashes at the end.
    #[must_use]
    pub fn address(&self) -> &str {
        self.name.trim_end_matches('/')
    }

    /// Host name of the server; `None` for other sources.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.location {
            Location::Web { base, .. } => base.host(),
            Location::Folder(_) | Location::Bundle(_) => None,
        }
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        match &self.location {
            Location::Web { server, .. } => server.received(),
            Location::Folder(_) | Location::Bundle(_) => self.read.load(Ordering::Relaxed),
        }
    }

    /// Reads a whole small file. `path` is relative: `metadata/...` or `targets/...`.
    ///
    /// # Errors
    /// See [`SourceError`]. [`SourceError::is_not_found`] is true when the source does not have the file. A file longer than `limit` bytes
    /// is an error.
    pub fn read_small(&self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        if let Location::Web { base, server } = &self.location {
            return Ok(server.read_small(&base.join(path), limit)?);
        }
        let mut opened = self.open(path, 0, None)?;
        let size = opened.whole.unwrap_or(0);
        if size > limit {
            return Err(SourceError::TooLarge { name: self.in_messages(path), limit, found: size });
        }
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).map_err(|error| SourceError::of_reader(error, &self.in_messages(path)))?;
        Ok(bytes)
    }

    /// Reads `len` bytes of a file from `start` on, or all that follow. The bytes are not verified: the caller must know their digest.
    ///
    /// # Errors
    /// See [`SourceError`]. [`SourceError::is_no_ranges`] is true when `start` is not 0 and the server sends whole files only.
    pub fn open(&self, path: &str, start: u64, len: Option<u64>) -> Result<Opened<'_>, SourceError> {
        let (inner, whole): (Inner<'_>, _) = match &self.location {
            Location::Web { base, server } => {
                let reader = server.open(&base.join(path), start, len)?;
                let whole = reader.whole();
                (Inner::Web(Box::new(reader)), whole)
            }
            Location::Folder(folder) => {
                let (file, size) = folder.find(path)?;
                (Inner::local(file, 0, size, start, len, &self.in_messages(path))?, Some(size))
            }
            Location::Bundle(bundle) => {
                let (file, first, size) = bundle.find(path)?;
                (Inner::local(file, first, size, start, len, &self.in_messages(path))?, Some(size))
            }
        };
        Ok(Opened { inner, whole, count: &self.read })
    }

    /// The name of a file in messages.
    #[must_use]
    pub fn in_messages(&self, path: &str) -> String {
        format!("{}/{path}", self.address())
    }
}

/// An open file of a source.
#[derive(Debug)]
pub struct Opened<'a> {
    inner: Inner<'a>,
    whole: Option<u64>,
    count: &'a AtomicU64,
}

#[derive(Debug)]
enum Inner<'a> {
    Web(Box<RangeReader<'a>>),
    Local { file: std::fs::File, at: u64, left: u64 },
}

impl Inner<'_> {
    /// A part of the `size` bytes at `first` in `file`.
    fn local(
        file: std::fs::File,
        first: u64,
        size: u64,
        start: u64,
        len: Option<u64>,
        name: &str,
    ) -> Result<Self, SourceError> {
        let left = len.unwrap_or(size.saturating_sub(start));
        match start.checked_add(left).filter(|&end| end <= size) {
            Some(_) => Ok(Self::Local { file, at: first + start, left }),
            None => Err(SourceError::Size { name: name.to_owned(), wanted: start.saturating_add(left), found: size }),
        }
    }
}

impl Opened<'_> {
    /// Size of the whole file in bytes, if the source tells.
    #[must_use]
    pub fn whole(&self) -> Option<u64> {
        self.whole
    }
}

impl Read for Opened<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Web(reader) => reader.read(buffer),
            Inner::Local { file, at, left } => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let read = std::os::unix::fs::FileExt::read_at(file, &mut buffer[..wanted], *at)?;
                if read == 0 && wanted > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                (*at, *left) = (*at + read as u64, *left - read as u64);
                self.count.fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
        }
    }
}
