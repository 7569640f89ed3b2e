//! The transport through which tough reads a source.

use super::{error::TrustError, inspection, root_keys};
use crate::source::Source;
use berth_contract::release::{MAX_METADATA, MAX_SMALL_METADATA};
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};
use tough::{Transport, TransportError, TransportErrorKind, TransportStream, schema::RoleType};
use url::Url;

/// Scheme of the URLs for tough. The rest of such a URL is a path in the source.
pub(super) const SCHEME: &str = "repository";

#[derive(Clone, Debug)]
pub(super) struct SourceTransport {
    source: Arc<Source>,
    failure: Arc<Mutex<Option<TrustError>>>,
    roots: Arc<Mutex<Vec<String>>>,
}

impl SourceTransport {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self { source, failure: Arc::default(), roots: Arc::default() }
    }

    /// The error that ended the transfer.
    pub(super) fn failure(&self) -> Option<TrustError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The root.json files that the source had. If tough refused nothing, it has followed them all.
    pub(super) fn roots(&self) -> Vec<String> {
        std::mem::take(&mut self.roots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, path: &str, role: RoleType) -> Result<Vec<u8>, TrustError> {
        let limit = match role {
            RoleType::Root | RoleType::Timestamp => MAX_SMALL_METADATA,
            _ => MAX_METADATA,
        };
        let bytes = self.source.read_small(path, limit)?;
        let malformed = |fault| TrustError::Malformed { role, fault };
        if role == RoleType::Root {
            root_keys::parse(&bytes).map_err(malformed)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        } else {
            inspection::inspect(&bytes).map_err(malformed)?;
        }
        Ok(bytes)
    }
}

/// The role of a metadata file by its name.
fn role(path: &str) -> RoleType {
    let ending = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".json");
    match ending.rsplit('.').next() {
        Some("root") => RoleType::Root,
        Some("timestamp") => RoleType::Timestamp,
        Some("snapshot") => RoleType::Snapshot,
        _ => RoleType::Targets,
    }
}

#[tough::async_trait]
impl Transport for SourceTransport {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.path().trim_start_matches('/');
        let role = role(path);
        let result = match self.read(path, role) {
            Ok(bytes) => Ok(Bytes::from(bytes)),
            // tough looks for newer root keys until one is not found.
            Err(TrustError::Source(error)) if role == RoleType::Root && error.is_not_found() => {
                return Err(TransportError::new(TransportErrorKind::FileNotFound, &url));
            }
            Err(error) => {
                let failure = TransportError::new_with_cause(TransportErrorKind::Other, &url, error.to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(failure)
            }
        };
        // Return errors through the stream: tough takes an error of this function as a sign that there is no newer N.root.json.
        Ok(Box::pin(futures::stream::iter([result])))
    }
}
