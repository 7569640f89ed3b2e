//! Clients of container engines. Each engine is one implementation of [`EngineClient`] and one row in
//! [`berth_contract::engine`].
#![deny(missing_docs)]

mod client;
mod container;
mod docker;
mod http;

pub use client::{EngineClient, EngineError};
pub use container::{Container, Listed, Listing, RestartPolicy};
pub use http::{HttpError, Limits};

use berth_contract::engine::EngineKind;
use std::path::Path;

/// Makes a client of the engine that listens at `socket`. Sends nothing yet.
#[must_use]
pub fn client(kind: EngineKind, socket: &Path, limits: Limits) -> Box<dyn EngineClient> {
    match kind {
        EngineKind::Docker => Box::new(docker::Docker::new(socket, limits)),
    }
}
