//! What the tests of trust and transport share.

pub(crate) mod keys;
pub(crate) mod repo;
pub(crate) mod server;

use berth_fetch::settings::{Pace, Patience};
use hostctl::source::{Manners, Source};
use std::{path::Path, sync::Arc, time::Duration};

/// Patience of a test.
pub(crate) fn manners() -> Manners {
    let patience = Patience {
        total: Duration::from_secs(10),
        first: Duration::from_millis(300),
        pause: Duration::from_millis(20),
        longest: Duration::from_millis(200),
    };
    Manners { ca_bundle: None, extra_ca: None, patience, pace: Pace::default() }
}

pub(crate) fn source(name: &str) -> Arc<Source> {
    Arc::new(Source::parse(name, &manners()).unwrap())
}

pub(crate) fn folder(path: &Path) -> Arc<Source> {
    source(path.to_str().unwrap())
}
