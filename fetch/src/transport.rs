//! Opens URLs for reading, from any byte position.

use crate::{
    error::{FetchError, io_error},
    roots,
    settings::FetchSettings,
    url::{Scheme, Url},
};
use berth_contract::credentials::without_credentials;
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
    pub(crate) reader: Box<dyn Read + Send>,
    /// Position of the first byte: the requested position, or 0 if the server sends the whole file.
    pub(crate) start: u64,
    /// Number of bytes that will follow, if the server announces it.
    pub(crate) announced: Option<u64>,
}

/// An open transfer of a part of a file.
pub(crate) struct Part {
    pub(crate) reader: Box<dyn Read + Send>,
    /// Position of the first byte: the requested position, or 0 if the server does not support ranges.
    pub(crate) start: u64,
    /// Position after the last byte, if the server announces it.
    pub(crate) end: Option<u64>,
    /// Size of the whole file, if the server announces it.
    pub(crate) whole: Option<u64>,
}

/// Opens `http:`, `https:` and `file:` URLs.
pub(crate) struct Transport {
    settings: FetchSettings,
    /// Created at the first request, so that an offline build reads no certificates.
    agent: OnceLock<Agent>,
}

impl Transport {
    pub(crate) fn new(settings: FetchSettings) -> Self {
        Self { settings, agent: OnceLock::new() }
    }

    /// Opens `url` at byte `start`, which must be less than the file's size.
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
        let roots = roots::read(self.settings.ca_bundle.as_deref(), self.settings.extra_ca.as_deref())?;
        let tls = TlsConfig::builder().root_certs(roots).build();
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

    /// Opens `len` bytes of `url` from byte `start`, or all bytes from there if `len` is `None`. A response with another
    /// range is an error. A response with the whole file is not: the caller must check [`Part::start`].
    pub(crate) fn open_part(&self, url: &Url, start: u64, len: Option<u64>) -> Result<Part, FetchError> {
        if url.scheme() == Scheme::File {
            let answer = open_file(url, start)?;
            let whole = answer.announced.map(|rest| answer.start + rest);
            return Ok(Part { reader: answer.reader, start: answer.start, end: whole, whole });
        }
        let asked = match len {
            Some(len) => Some(format!("bytes={start}-{}", start.saturating_add(len).saturating_sub(1))),
            None => (start > 0).then(|| format!("bytes={start}-")),
        };
        let response = self.ask(url, start, asked.as_deref())?;
        let (status, length) = (response.status(), response.body().content_length());
        let (first, end, whole) = match status {
            StatusCode::OK => (0, length, length),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if asked.is_some() => {
                let range = content_range(&response);
                let fits = range.filter(|&(first, last, whole)| {
                    // The range must end where the request ends, or at the end of the file.
                    let limit = len.map(|len| start.saturating_add(len));
                    let end = limit.into_iter().chain(whole).min();
                    let reaches = if whole.is_some() || len.is_none() {
                        end.is_none_or(|end| Some(end) == last.checked_add(1))
                    } else {
                        limit > Some(last)
                    };
                    status == StatusCode::PARTIAL_CONTENT && first == start && last >= first && reaches
                });
                let Some((first, last, whole)) = fits else {
                    let named = response.headers().get(header::CONTENT_RANGE);
                    return Err(FetchError::WrongRange {
                        url: url.clone(),
                        wanted: asked.unwrap_or_default(),
                        found: format!(
                            "HTTP status {}, Content-Range {:?}, {} bytes",
                            status.as_u16(),
                            named.map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into()),
                            length.map_or_else(|| "any number of".to_owned(), |length| length.to_string()),
                        ),
                    });
                };
                (first, last.checked_add(1), whole)
            }
            other => return Err(self.refusal(url, other)),
        };
        not_a_page(url, &response)?;
        Ok(Part { reader: Box::new(response.into_body().into_reader()), start: first, end, whole })
    }

    /// Sends the request and reads the headers of the response. `found` is the number of bytes received earlier, for messages.
    fn ask(&self, url: &Url, found: u64, range: Option<&str>) -> Result<Response<Body>, FetchError> {
        let mut request = self.agent()?.get(url.as_str());
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        request.call().map_err(|source| match source {
            ureq::Error::Timeout(Timeout::RecvResponse) => {
                FetchError::Slow { url: url.clone(), found, pace: self.settings.pace }
            }
            source => FetchError::Exchange { url: url.clone(), source: Box::new(source) },
        })
    }

    fn refusal(&self, url: &Url, status: StatusCode) -> FetchError {
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => FetchError::NotFound { url: url.clone() },
            other => FetchError::Status { url: url.clone(), status: other.as_u16() },
        }
    }

    fn open_http(&self, url: &Url, start: u64) -> Result<Answer, FetchError> {
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let response = self.ask(url, start, range.as_deref())?;
        let first = match response.status() {
            StatusCode::OK => 0,
            // The server sent another range or refused the range: request the whole file.
            StatusCode::PARTIAL_CONTENT
                if start > 0 && content_range(&response).is_some_and(|range| range.0 == start) =>
            {
                start
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                return self.open_http(url, 0);
            }
            other => return Err(self.refusal(url, other)),
        };
        not_a_page(url, &response)?;
        let body = response.into_body();
        Ok(Answer { start: first, announced: body.content_length(), reader: Box::new(body.into_reader()) })
    }
}

fn not_a_page(url: &Url, response: &Response<Body>) -> Result<(), FetchError> {
    if response.body().mime_type() == Some("text/html") {
        return Err(FetchError::Html {
            asked: url.clone(),
            answered: without_credentials(&response.get_uri().to_string()),
        });
    }
    Ok(())
}

/// Parses `Content-Range: bytes FIRST-LAST/SIZE` into first byte, last byte and size. The size `*` means that the size is
/// unknown (RFC 9110, 14.4).
fn content_range(response: &Response<Body>) -> Option<(u64, u64, Option<u64>)> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (first, rest) = range.strip_prefix("bytes ")?.split_once('-')?;
    let (last, whole) = rest.split_once('/')?;
    let whole = if whole == "*" { None } else { Some(whole.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, whole))
}

fn open_file(url: &Url, start: u64) -> Result<Answer, FetchError> {
    let path = url.file_path();
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FetchError::NotFound { url: url.clone() }),
        opened => opened.map_err(io_error("read", &path))?,
    };
    let meta = file.metadata().map_err(io_error("read", &path))?;
    if !meta.is_file() {
        // Reading a FIFO could block forever.
        return Err(io_error("read", &path)(io::Error::other("not a regular file")));
    }
    let start = if start < meta.len() { start } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(io_error("read", &path))?;
    Ok(Answer { reader: Box::new(file), start, announced: Some(meta.len() - start) })
}
