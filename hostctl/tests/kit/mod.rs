//! The test kit for trust and sources.

pub(crate) mod keys;
pub(crate) mod repo;
pub(crate) mod server;

use berth_fetch::settings::{Pace, Patience};
use hostctl::{
    decoder::Decoder,
    source::{HttpOptions, Source},
};
use std::{path::Path, sync::Arc, time::Duration};

/// hostctl itself unpacks, as on a host.
pub(crate) fn decoder() -> Decoder<'static> {
    Decoder(Path::new(env!("CARGO_BIN_EXE_hostctl")))
}

/// Options with short timeouts.
pub(crate) fn http_options() -> HttpOptions {
    let patience = Patience {
        total: Duration::from_secs(10),
        first: Duration::from_millis(300),
        pause: Duration::from_millis(20),
        longest: Duration::from_millis(200),
    };
    HttpOptions { ca_bundle: None, extra_ca: None, patience, pace: Pace::default() }
}

pub(crate) fn source(name: &str) -> Arc<Source> {
    Arc::new(Source::parse(name, &http_options()).unwrap())
}

pub(crate) fn folder(path: &Path) -> Arc<Source> {
    source(path.to_str().unwrap())
}
