//! The control protocol: newline-delimited JSON over the Unix socket or the virtio-serial port.
//!
//! The client sends [`Call`]s, each with an id that the client chooses. The host answers with [`Frame`]s of the same id: any number of
//! `line`s, and then exactly one of `reply`, `end` and `error`. `cancel` ends a running call.
//!
//! A serial port has no connections. So a client ignores frames with another client's id, and both sides ignore lines that are not JSON.

pub use crate::log_line::{LogLine, LogRecord};
pub use crate::network_status::{InterfaceStatus, LeaseStatus, LinkStatus, NetworkStatus, RouteStatus, RuleStatus};
use crate::{
    boot_report::PhaseStamp,
    container_state::ContainerState,
    digest::RootHash,
    disk::Slot,
    engine::EngineKind,
    time_config::TimeStatus,
    version::{ImageId, OsVersion},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use crate::service_state::{Problem, ServiceState, ServiceStatus};

/// Size limit of a line for both sides, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// Longest text of [`Request::Announce`], in characters.
pub const MAX_ANNOUNCEMENT: usize = 300;

/// A request with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the client.
    pub id: u64,
    /// The request.
    pub request: Request,
}

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Answered with [`Reply::Status`].
    Status,
    /// Answered with [`Reply::Boot`].
    Boot,
    /// Answered with [`Reply::Services`].
    Services,
    /// Answered with the lines of a service's output, then `end`. `init` and `kernel` are also names of services here.
    Logs {
        /// Name of the service.
        service: String,
        /// Whether to continue with new lines until the call is cancelled.
        follow: bool,
    },
    /// Stops a service, if it runs, and starts it again. Answered with `end` before it begins.
    Restart {
        /// Name of the service.
        service: String,
    },
    /// Prints a text on the console of the host. Answered with `end`.
    Announce {
        /// One line. Control characters are left out, and what is longer than [`MAX_ANNOUNCEMENT`].
        text: String,
    },
    /// Answered with a `record` for each line of all logs: init, kernel, services, `bless` and `slots`. Then `end`.
    AllLogs {
        /// For each log, the number of the first record that is wanted. For other logs: from the oldest record that the host still has.
        #[serde(default)]
        from: BTreeMap<String, u64>,
        /// Whether to continue with new lines until the call is cancelled.
        follow: bool,
    },
    /// Answered with `end` once the host is `running`, or with an error when the host is `degraded`.
    WaitReady,
    /// Ordered shutdown, then restart. Answered with `end` before it begins.
    Reboot,
    /// Ordered shutdown, then power off. Answered with `end` before it begins.
    Poweroff,
    /// Takes the configuration in [`crate::paths::NEXT_CONFIG`], as far as that needs no reboot. Answered with [`Reply::Configured`]. Only
    /// hostctl sends it: it has checked and stored the text.
    Configure {
        /// The place of the configuration, for the status.
        place: String,
        /// Whether `hostctl config watch` is started, which ends a try.
        watch: bool,
    },
    /// Like [`Self::Reboot`], but all services together have at most this time to end. Also shortens a shutdown that has begun.
    RebootWithin {
        /// In seconds.
        seconds: u32,
    },
    /// Like [`Self::RebootWithin`], then power off.
    PoweroffWithin {
        /// In seconds.
        seconds: u32,
    },
    /// Runs the host's own hostctl. Answered with the lines of its output, then `end`. If its status is not 0: `error` with its output
    /// on stderr. Only one hostctl runs at a time for each client. When the call is cancelled, hostctl gets SIGTERM.
    Run {
        /// Its arguments, without the program's name.
        arguments: Vec<String>,
        /// The text on its standard input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
    },
    /// Ends a running call. That call is answered with `end`.
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
    /// The answer.
    pub body: Body,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The whole answer, as data.
    Reply(Box<Reply>),
    /// A line of output. More frames follow.
    Line(LogLine),
    /// A line of one of several logs. More frames follow.
    Record(LogRecord),
    /// The call is complete.
    End,
    /// The call failed.
    Error(ControlError),
}

/// Environment variable that init sets for hostctl. If hostctl fails, its last line on stderr is then a [`ControlError`] as JSON.
pub const JSON_ERRORS: &str = "BERTH_JSON_ERRORS";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ControlError {
    /// What happened.
    pub message: String,
    /// A hint: the next step for the user.
    pub hint: Option<String>,
    /// The exit status of hostctl for this error. `None` means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
}

/// Answers that carry data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// The state of the host.
    Status(Box<StatusReport>),
    /// The boot's timeline.
    Boot(BootReport),
    /// All services.
    Services(Vec<ServiceStatus>),
    /// The effect of a configuration.
    Configured(ConfigChange),
}

/// The effect of a configuration on the running host. All three lists are keys of host.toml, at the outermost level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// Keys whose values have changed.
    pub changed: Vec<String>,
    /// Those of them that take effect only at the next boot, at least in part.
    pub reboot: Vec<String>,
    /// Keys that could not be applied: one sentence each.
    pub failed: Vec<String>,
}

/// The state of the host in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Services or required containers are not up yet.
    Booting,
    /// All required services are ready and all required containers run.
    Running,
    /// A required service or container failed, or is being restarted.
    Degraded,
    /// The host is shutting down.
    Stopping,
}

/// The state of the host, for `hostctl status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// The state in one word.
    pub state: HostState,
    /// Why the host is not `running`. Failed phases of the boot are listed in every state.
    pub problems: Vec<Problem>,
    /// Microseconds since kernel start.
    pub uptime_us: u64,
    /// The engine, if the image has one.
    pub engine: Option<EngineStatus>,
    /// Where the machine configuration came from.
    pub config: ConfigStatus,
    /// netd's report; `None` until netd has written it.
    pub network: Option<NetworkStatus>,
    /// The state of the clock; `None` until timed has written it.
    #[serde(default)]
    pub time: Option<TimeStatus>,
    /// Memory in KiB.
    pub memory: MemoryStatus,
    /// `/var` in bytes.
    pub var: VarStatus,
    /// Declared containers.
    pub containers: Vec<ContainerStatus>,
}

/// The engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngineStatus {
    /// The kind of the engine.
    pub kind: EngineKind,
    /// Debian version of its package.
    pub version: String,
    /// Whether it answers.
    pub ready: bool,
}

/// The machine configuration in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigStatus {
    /// Where it was found: `fw_cfg`, `disk LABEL`, `esp`, `generation N` or `last good`. `None` if no machine configuration is in force.
    pub source: Option<String>,
    /// Why the machine configuration that was found is not in force.
    pub error: Option<String>,
    /// What a user should know about it, for example that a try was not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Memory in KiB, from `/proc/meminfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemoryStatus {
    /// `MemTotal`.
    pub total_kib: u64,
    /// `MemAvailable`.
    pub available_kib: u64,
}

/// `/var` in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VarStatus {
    /// Size of the file system.
    pub size: u64,
    /// Free space.
    pub available: u64,
    /// Whether /var is on the disk. False: it is in memory, because the disk's partition could not be mounted.
    pub persistent: bool,
}

/// A declared container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerStatus {
    /// Its name in the engine.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Whether the host is healthy only while this container runs.
    pub required: bool,
    /// Its state.
    pub state: ContainerState,
    /// The error, if there was one.
    pub error: Option<String>,
}

/// The boot's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BootReport {
    /// Phases and services, in the order of their start.
    pub phases: Vec<PhaseStamp>,
    /// When all required services were ready for the first time, in microseconds since kernel start.
    pub ready_us: Option<u64>,
    /// When the engine's service was ready for the first time, in microseconds since kernel start.
    pub engine_us: Option<u64>,
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
