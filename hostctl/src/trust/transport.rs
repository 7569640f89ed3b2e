//! The transport through which tough reads a source.

use crate::source::{Source, SourceError};
use berth_contract::{
    digest::Sha256,
    release::{MAX_METADATA, MAX_SMALL_METADATA},
};
use bytes::Bytes;
use sha2::Digest as _;
use std::sync::{Arc, Mutex, PoisonError};
use tough::{Transport, TransportError, TransportErrorKind, TransportStream};
use url::Url;

/// Scheme of the URLs for tough. The rest of such a URL is a path in the source.
pub(super) const SCHEME: &str = "repository";

#[derive(Clone, Debug)]
pub(super) struct SourceTransport {
    source: Arc<Source>,
    failure: Arc<Mutex<Option<SourceError>>>,
    roots: Arc<Mutex<Vec<Sha256>>>,
}

impl SourceTransport {
    pub(super) fn new(source: Arc<Source>) -> Self {
        Self { source, failure: Arc::default(), roots: Arc::default() }
    }

    /// The error of the source that ended the transfer.
    pub(super) fn failure(&self) -> Option<SourceError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Digests of the root.json files that the source had. If tough refused nothing, it has followed them all.
    pub(super) fn roots(&self) -> Vec<Sha256> {
        std::mem::take(&mut self.roots.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tough::async_trait]
impl Transport for SourceTransport {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let path = url.path().trim_start_matches('/');
        let root = path.ends_with(".root.json");
        let limit = if root || path.ends_with("/timestamp.json") { MAX_SMALL_METADATA } else { MAX_METADATA };
        let result = match self.source.read_small(path, limit) {
            Ok(bytes) => {
                if root {
                    let digest = Sha256(sha2::Sha256::digest(&bytes).into());
                    self.roots.lock().unwrap_or_else(PoisonError::into_inner).push(digest);
                }
                Ok(Bytes::from(bytes))
            }
            // tough looks for newer root keys until one is not found.
            Err(error) if root && error.is_not_found() => {
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
