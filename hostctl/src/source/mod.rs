//! Where releases come from: a web server, a folder, a bundle file, or either of these on a stick. Nothing that a source says is
//! believed; [`crate::trust`] decides.

mod bundle;
mod error;
mod folder;
mod stick;

pub use error::SourceError;

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

/// How a source is reached.
#[derive(Clone, Debug)]
pub struct Manners {
    /// PEM bundle of the authorities that `https:` trusts; see [`berth_fetch::roots::bundle`].
    pub ca_bundle: Option<PathBuf>,
    /// PEM: `[update] ca`, trusted beside those.
    pub extra_ca: Option<String>,
    /// How long a server is waited for.
    pub patience: Patience,
    /// The slowest transfer that counts as progress.
    pub pace: Pace,
}

impl Default for Manners {
    fn default() -> Self {
        Self { ca_bundle: roots::bundle(None), extra_ca: None, patience: Patience::default(), pace: Pace::default() }
    }
}

/// A release repository: the files below `metadata/` and `targets/`.
#[derive(Debug)]
pub struct Source {
    name: String,
    kind: Kind,
    read: AtomicU64,
    /// What it lies on is mounted as long as it is read from.
    _stick: Option<Stick>,
}

#[derive(Debug)]
enum Kind {
    Web { base: Url, server: Box<Ranges> },
    Folder(Folder),
    Bundle(Bundle),
}

impl Source {
    /// The source that a user or a configuration names: an `http:`, `https:` or `file:` URL, a folder, or a bundle file; or
    /// `disk:LABEL[/PATH]`, a folder or bundle file on the disk whose file system has that label.
    /// Of a folder or bundle the table of contents is read; a server is not asked yet.
    ///
    /// # Errors
    /// A text that is none of these, nothing at that place, a folder without `metadata/`, a file that is no bundle.
    pub fn parse(text: &str, manners: &Manners) -> Result<Self, SourceError> {
        if let Some((label, path)) = stick::split(text) {
            let stick = Stick::mount(label)?;
            let kind = Self::local(&stick.path(path))?;
            return Ok(Self { name: text.to_owned(), kind, read: AtomicU64::new(0), _stick: Some(stick) });
        }
        let named = |kind| Ok(Self { name: text.to_owned(), kind, read: AtomicU64::new(0), _stick: None });
        if text.contains("://") {
            let base: Url = text.parse()?;
            if base.scheme() == Scheme::File {
                return Self::local(&base.file_path()).and_then(named);
            }
            if text.contains('?') {
                // Paths are joined to it.
                return Err(BadUrl { found: text.to_owned(), wanted: "the address of a folder, without `?`" }.into());
            }
            let mut settings = FetchSettings::new(Network::Online, manners.ca_bundle.clone());
            settings.extra_ca.clone_from(&manners.extra_ca);
            settings.pace = manners.pace;
            return named(Kind::Web { base, server: Box::new(Ranges::new(settings, manners.patience)) });
        }
        Self::local(Path::new(text)).and_then(named)
    }

    fn local(path: &Path) -> Result<Kind, SourceError> {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Folder::open(path).map(Kind::Folder),
            Ok(meta) if meta.is_file() => Bundle::open(path).map(Kind::Bundle),
            Ok(_) => Err(SourceError::NoSource { path: path.to_owned(), found: "neither" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(SourceError::NoSource { path: path.to_owned(), found: "nothing" })
            }
            Err(source) => Err(SourceError::Io { path: path.to_owned(), source }),
        }
    }

    /// What the user called it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells it from other sources: its name, however many slashes end it.
    #[must_use]
    pub fn address(&self) -> &str {
        self.name.trim_end_matches('/')
    }

    /// The host that is asked, where it is a server.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.kind {
            Kind::Web { base, .. } => base.host(),
            Kind::Folder(_) | Kind::Bundle(_) => None,
        }
    }

    /// Bytes that have come from it so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        match &self.kind {
            Kind::Web { server, .. } => server.received(),
            Kind::Folder(_) | Kind::Bundle(_) => self.read.load(Ordering::Relaxed),
        }
    }

    /// A whole small file. `path` is relative: `metadata/...` or `targets/...`.
    ///
    /// # Errors
    /// See [`SourceError`]; [`SourceError::is_not_found`] when the source does not have it, and an error beyond `limit`
    /// bytes.
    pub fn read_small(&self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        if let Kind::Web { base, server } = &self.kind {
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

    /// `len` bytes of a file from `start` on, or all that follow, as the source gives them: whoever reads must know
    /// their digest.
    ///
    /// # Errors
    /// See [`SourceError`]; [`SourceError::is_no_ranges`] when `start` is not 0 and a server only sends whole files.
    pub fn open(&self, path: &str, start: u64, len: Option<u64>) -> Result<Opened<'_>, SourceError> {
        let (inner, whole): (Inner<'_>, _) = match &self.kind {
            Kind::Web { base, server } => {
                let reader = server.open(&base.join(path), start, len)?;
                let whole = reader.whole();
                (Inner::Web(Box::new(reader)), whole)
            }
            Kind::Folder(folder) => {
                let (file, size) = folder.find(path)?;
                (Inner::local(file, 0, size, start, len, &self.in_messages(path))?, Some(size))
            }
            Kind::Bundle(bundle) => {
                let (file, first, size) = bundle.find(path)?;
                (Inner::local(file, first, size, start, len, &self.in_messages(path))?, Some(size))
            }
        };
        Ok(Opened { inner, whole, count: &self.read })
    }

    /// How a file of it is called in messages.
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
    /// Part of the `size` bytes that lie at `first` in `file`.
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
    /// Bytes of the whole file, where the source says so.
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
