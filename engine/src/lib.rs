//! Clients of container engines. Each engine is one implementation of [`EngineClient`] and one row in
//! [`berth_contract::engine`].
#![deny(missing_docs)]

mod client;
mod container;
mod docker;
mod docker_arguments;
mod docker_logs;
mod http;
mod http_stream;
mod log;

pub use client::{EngineClient, EngineError};
pub use container::{Container, Listed, Listing, RestartPolicy};
pub use http::{HttpError, Limits};
pub use log::{ContainerLine, LogRequest};

use berth_contract::engine::EngineKind;
use std::path::Path;

/// Makes a client of the engine that listens at `socket`. Sends nothing yet.
#[must_use]
pub fn client(kind: EngineKind, socket: &Path, limits: Limits) -> Box<dyn EngineClient> {
    match kind {
        EngineKind::Docker => Box::new(docker::Docker::new(socket, limits)),
    }
}

/// Arguments for the engine's program, so that its networks have the MTU of the host's link. `settings` is the text of its settings file
/// ([`berth_contract::engine::Engine::settings`]).
#[must_use]
pub fn mtu_arguments(kind: EngineKind, settings: &str, mtu: u32) -> Vec<String> {
    match kind {
        EngineKind::Docker => docker_arguments::mtu_arguments(settings, mtu),
    }
}
