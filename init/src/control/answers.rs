//! What the protocol's server asks of the host.

use crate::supervisor::{Outcome, Started};
use berth_contract::control::{BootReport, ControlError, LogLine, Problem, ServiceStatus, StatusReport};

/// What `wait-ready` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not known yet.
    Booting,
    /// Everything required is up.
    Running,
    /// Something required is not.
    Degraded(Vec<Problem>),
    /// Going down.
    Stopping,
}

/// A log that is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogName {
    /// init's own.
    Init,
    /// A service's.
    Service(String),
    /// Of a program that was started, by its number.
    Program(u64),
}

/// The host, as far as clients can see and change it. Nothing here may wait.
pub trait Answers {
    /// The host at a glance.
    fn status(&self) -> StatusReport;
    /// The boot's timeline.
    fn boot(&self) -> BootReport;
    /// All services.
    fn services(&self) -> Vec<ServiceStatus>;
    /// Whether it is up.
    fn readiness(&self) -> Readiness;
    /// Names of the services that have a log.
    fn log_names(&self) -> Vec<String>;
    /// Lines of a log from number `from` on, of about `limit` bytes at most, and the number to go on with.
    fn log(&self, log: &LogName, from: u64, limit: usize) -> (Vec<LogLine>, u64);
    /// Starts the host's own hostctl. Its output is a log ([`LogName::Program`]).
    ///
    /// # Errors
    /// When it cannot be started.
    fn start_hostctl(&mut self, arguments: &[String]) -> Result<Started, String>;
    /// How it ended, when it has and all of its output is known; with its error when it failed.
    fn end_of(&self, program: &Started) -> Option<Result<(), ControlError>>;
    /// Begins to go down.
    ///
    /// # Errors
    /// When it is going down already, in another way.
    fn end(&mut self, outcome: Outcome) -> Result<(), String>;
}
