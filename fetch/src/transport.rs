//! Opening a URL for reading, from any byte on.

use crate::{
    error::FetchError,
    roots,
    settings::Settings,
    store::io_error,
    url::{Scheme, Url},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::OnceLock,
};
use ureq::{
    Agent, Body, ResponseExt as _, Timeout,
    http::{Response, StatusCode, header},
    tls::TlsConfig,
};

/// An open transfer.
pub(crate) struct Answer {
    pub(crate) reader: Box<dyn Read>,
    /// The byte that comes first: the one asked for, or 0 when the server cannot start there.
    pub(crate) start: u64,
    /// Bytes to come, where the server says so.
    pub(crate) announced: Option<u64>,
}

/// All ways to open a URL.
pub(crate) struct Transport {
    settings: Settings,
    /// Made at the first use: an offline build reads no certificates.
    agent: OnceLock<Agent>,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, agent: OnceLock::new() }
    }

    /// Opens `url` at byte `start`, which must lie below its size.
    pub(crate) fn open(&self, url: &Url, start: u64) -> Result<Answer, FetchError> {
        match url.scheme() {
            Scheme::File => open_file(url, start),
            Scheme::Http | Scheme::Https => self.open_http(url, start),
        }
    }

    fn agent(&self) -> Result<&Agent, FetchError> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let tls = TlsConfig::builder().root_certs(roots::read(self.settings.ca_bundle.as_deref())?).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(self.settings.connect))
            .timeout_connect(Some(self.settings.connect))
            .timeout_recv_response(Some(self.settings.pace.window))
            .timeout_per_read(Some(self.settings.pace.window))
            .max_idle_connections_per_host(self.settings.threads)
            .build()
            .new_agent();
        Ok(self.agent.get_or_init(|| agent))
    }

    fn open_http(&self, url: &Url, start: u64) -> Result<Answer, FetchError> {
        let mut request = self.agent()?.get(url.as_str());
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let response = request.call().map_err(|source| match source {
            ureq::Error::Timeout(Timeout::RecvResponse) => {
                FetchError::Slow { url: url.clone(), found: start, pace: self.settings.pace }
            }
            source => FetchError::Exchange { url: url.clone(), source: Box::new(source) },
        })?;
        let first = match response.status() {
            StatusCode::OK => 0,
            // Another part than the one asked for, or none: take it all.
            StatusCode::PARTIAL_CONTENT if start > 0 && first_byte(&response) == Some(start) => start,
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                return self.open_http(url, 0);
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(FetchError::NotFound { url: url.clone() }),
            other => return Err(FetchError::Status { url: url.clone(), status: other.as_u16() }),
        };
        if response.body().mime_type() == Some("text/html") {
            return Err(FetchError::Html { asked: url.clone(), answered: response.get_uri().to_string() });
        }
        let body = response.into_body();
        Ok(Answer { start: first, announced: body.content_length(), reader: Box::new(body.into_reader()) })
    }
}

/// The first byte's place by `Content-Range: bytes FIRST-LAST/SIZE` (RFC 9110, 14.4).
fn first_byte(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn open_file(url: &Url, start: u64) -> Result<Answer, FetchError> {
    let path = url.file_path();
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FetchError::NotFound { url: url.clone() }),
        opened => opened.map_err(io_error("read", &path))?,
    };
    let meta = file.metadata().map_err(io_error("read", &path))?;
    if !meta.is_file() {
        // Reading a FIFO could hang for ever.
        return Err(io_error("read", &path)(io::Error::other("not a regular file")));
    }
    let start = if start < meta.len() { start } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(io_error("read", &path))?;
    Ok(Answer { reader: Box::new(file), start, announced: Some(meta.len() - start) })
}
