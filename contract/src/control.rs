//! The control protocol: newline-delimited JSON over the Unix socket or the virtio-serial port.
//!
//! The client sends [`Call`]s, each with an id of its choice; the host answers with [`Frame`]s of the same id: `line`s (logs
//! only) and then exactly one of `reply`, `end`, `error`. A serial port has no connections, so a client ignores frames
//! with an id that is not its own, and both sides ignore lines that are not JSON. `cancel` ends a running call.

use crate::{
    boot_report::PhaseStamp,
    container_state::ContainerState,
    digest::RootHash,
    disk::Slot,
    engine::EngineKind,
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// A request with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the client.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// [`Reply::Status`].
    Status,
    /// [`Reply::Boot`].
    Boot,
    /// [`Reply::Services`].
    Services,
    /// Lines of a service's output (`init` and `kernel` are names as well), then `end`.
    Logs {
        /// Which service.
        service: String,
        /// Go on with new lines until cancelled.
        follow: bool,
    },
    /// Answers with `end` once the host is `running`, or with an error when it is `degraded`.
    WaitReady,
    /// Ordered shutdown, then restart. Answered with `end` before it begins.
    Reboot,
    /// Ordered shutdown, then power off. Answered with `end` before it begins.
    Poweroff,
    /// Runs the host's own hostctl: lines of its output, then `end`, or `error` with what it wrote to stderr when its status is not
    /// 0. One runs at a time for each client; a cancelled one is ended with SIGTERM.
    Run {
        /// Its arguments, without the program's name.
        arguments: Vec<String>,
    },
    /// Ends the call of this id, which is answered with `end`.
    Cancel {
        /// Id of the running call.
        call: u64,
    },
}

/// An answer with the id of its call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The call's id.
    pub id: u64,
    /// What is answered.
    pub body: Body,
}

/// What can be answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The one answer.
    Reply(Box<Reply>),
    /// One of many lines.
    Line(LogLine),
    /// Nothing more comes.
    End,
    /// It failed.
    Error(ControlError),
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Microseconds since kernel start.
    pub at_us: u64,
    /// Text without the line's end.
    pub text: String,
}

/// Set in hostctl's environment by init: the last line on stderr of a hostctl that fails is then a [`ControlError`] as JSON.
pub const JSON_ERRORS: &str = "BERTH_JSON_ERRORS";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlError {
    /// What happened.
    pub message: String,
    /// What can be done.
    pub hint: Option<String>,
}

/// Answers that carry data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The host at a glance.
    Status(Box<StatusReport>),
    /// The boot's timeline.
    Boot(BootReport),
    /// All services.
    Services(Vec<ServiceStatus>),
}

/// How the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Services or required containers are not up yet.
    Booting,
    /// All required services are ready and all required containers run.
    Running,
    /// Something required failed, or is being restarted.
    Degraded,
    /// Going down.
    Stopping,
}

/// The host at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// `IMAGE_ID`.
    pub image_id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Kernel release.
    pub kernel: String,
    /// The slot that runs.
    pub slot: Slot,
    /// Its root hash.
    pub root_hash: RootHash,
    /// Host name.
    pub hostname: String,
    /// Machine id, 32 hex digits.
    pub machine_id: String,
    /// How it is.
    pub state: HostState,
    /// Why it is not `running`; phases of the boot that failed are told in any state.
    pub problems: Vec<Problem>,
    /// Microseconds since kernel start.
    pub uptime_us: u64,
    /// The engine, where there is one.
    pub engine: Option<EngineStatus>,
    /// Where the machine configuration came from.
    pub config: ConfigStatus,
    /// Addresses and routes, once netd has said so.
    pub network: Option<NetworkStatus>,
    /// Memory in KiB.
    pub memory: MemoryStatus,
    /// `/var` in bytes.
    pub var: VarStatus,
    /// Declared containers.
    pub containers: Vec<ContainerStatus>,
}

/// Something that is wrong with the host. In JSON it is an object whose `kind` is the variant's name in kebab-case. The sentence for
/// people is made by `Display`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Problem {
    /// A phase of the boot failed. This alone does not make a version unhealthy: what needs the phase has a problem of its own.
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
    /// A service that the host needs is not ready, and was before or should be.
    Service {
        /// The service.
        name: String,
        /// Its state.
        state: ServiceState,
        /// How it last ended.
        end: String,
    },
    /// A container that the host needs is not as it was declared.
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

/// The engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// Which.
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
    /// Whether it answers.
    pub ready: bool,
}

/// The machine configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Where it was found: `fw_cfg`, `disk LABEL`, `esp`, `last good`, or nothing.
    pub source: Option<String>,
    /// What was wrong with the one that was found first.
    pub error: Option<String>,
}

/// What netd reports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Interfaces that have been configured.
    pub interfaces: Vec<InterfaceStatus>,
    /// Name servers in use.
    pub dns: Vec<std::net::IpAddr>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Kernel name.
    pub name: String,
    /// Addresses with prefix length, e.g. `10.0.2.15/24`.
    pub addresses: Vec<String>,
    /// Default gateway.
    pub gateway: Option<std::net::IpAddr>,
    /// Seconds the DHCP lease lasts.
    pub lease_seconds: Option<u32>,
}

/// Memory in KiB, as `/proc/meminfo` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// `MemTotal`.
    pub total_kib: u64,
    /// `MemAvailable`.
    pub available_kib: u64,
}

/// `/var` in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VarStatus {
    /// Size of the file system.
    pub size: u64,
    /// Free for use.
    pub available: u64,
    /// Whether it is on the disk (false: in memory, because the disk's could not be mounted).
    pub persistent: bool,
}

/// A declared container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Whether the host needs it.
    pub required: bool,
    /// What it does.
    pub state: ContainerState,
    /// What went wrong, if it did.
    pub error: Option<String>,
}

/// The boot's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootReport {
    /// Phases and services in order of their start.
    pub phases: Vec<PhaseStamp>,
    /// When engine and required containers were up, in microseconds since kernel start.
    pub ready_us: Option<u64>,
    /// When the engine was up.
    pub engine_us: Option<u64>,
}

/// A service's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Its needs are not ready.
    Waiting,
    /// Started, not ready.
    Starting,
    /// Ready (a one-shot: done).
    Ready,
    /// Ended; started again after a delay.
    Backoff,
    /// Being stopped.
    Stopping,
    /// Stopped on purpose.
    Stopped,
    /// Ended and not to be started again.
    Failed,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Name.
    pub name: String,
    /// State.
    pub state: ServiceState,
    /// Whether the host needs it.
    pub required: bool,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended: `status 1`, `signal 9 (SIGKILL)`.
    pub last_exit: Option<String>,
    /// Microseconds since kernel start of the last change of state.
    pub since_us: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_one_line_of_json() {
        let call = Call { id: 7, request: Request::Logs { service: "netd".into(), follow: true } };
        let text = serde_json::to_string(&call).unwrap();
        assert_eq!(text, r#"{"id":7,"request":{"logs":{"service":"netd","follow":true}}}"#);
        assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), call);
        assert_eq!(
            serde_json::to_string(&Call { id: 1, request: Request::Status }).unwrap(),
            r#"{"id":1,"request":"status"}"#
        );
        let problem =
            Problem::Service { name: "netd".into(), state: ServiceState::Backoff, end: "signal 9 (SIGKILL)".into() };
        let text = serde_json::to_string(&problem).unwrap();
        assert_eq!(text, r#"{"kind":"service","name":"netd","state":"backoff","end":"signal 9 (SIGKILL)"}"#);
        assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        assert_eq!(problem.to_string(), "service netd is started again: signal 9 (SIGKILL)");
        let frame = Frame { id: 7, body: Body::Line(LogLine { at_us: 5, text: "a\nb".into() }) };
        let text = serde_json::to_string(&frame).unwrap();
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    }
}
