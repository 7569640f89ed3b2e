//! The states of services, and the problems of a host.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Not started: a service that it needs is not ready.
    Waiting,
    /// Started, but not ready yet.
    Starting,
    /// Ready. A one-shot service has exited with status 0.
    Ready,
    /// Exited. It will be restarted after a delay.
    Backoff,
    /// Being stopped.
    Stopping,
    /// Stopped on purpose.
    Stopped,
    /// Exited, and it will not be restarted.
    Failed,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Name.
    pub name: String,
    /// Its state.
    pub state: ServiceState,
    /// Whether the host is healthy only while this service is ready.
    pub required: bool,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// Number of restarts.
    pub restarts: u32,
    /// How it last exited: `status 1`, `signal 9 (SIGKILL)`.
    pub last_exit: Option<String>,
    /// Time of the last change of state, in microseconds since kernel start.
    pub since_us: u64,
}

/// A problem of the host. In JSON it is an object whose `kind` is the variant's name in kebab-case. `Display` makes a sentence for
/// people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Problem {
    /// A phase of the boot failed. This problem alone does not make a version unhealthy: if a service or container needs the phase, it
    /// fails too.
    Phase {
        /// The phase.
        name: String,
        /// What happened.
        error: String,
    },
    /// The file of a service cannot be used.
    ServiceFile {
        /// The file, what was expected, and what was found.
        error: String,
    },
    /// A required service is not ready although it was ready before, or should be ready by now.
    Service {
        /// The service.
        name: String,
        /// Its state.
        state: ServiceState,
        /// How it last exited.
        end: String,
    },
    /// A required container does not run as declared.
    Container {
        /// The container.
        name: String,
        /// What happened.
        error: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phase { name, error } => write!(f, "boot phase {name}: {error}"),
            Self::ServiceFile { error } => f.write_str(error),
            Self::Service { name, state, end } => {
                let what = match state {
                    ServiceState::Failed => "failed",
                    ServiceState::Stopped => "has ended",
                    ServiceState::Stopping => "is being stopped",
                    ServiceState::Waiting | ServiceState::Starting | ServiceState::Ready | ServiceState::Backoff => {
                        "is started again"
                    }
                };
                write!(f, "service {name} {what}: {end}")
            }
            Self::Container { name, error } => write!(f, "container {name}: {error}"),
        }
    }
}
