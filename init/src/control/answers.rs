//! The interface between the protocol's server and the host.

use crate::ending::Ending;
use berth_contract::control::{BootReport, ControlError, LogLine, Problem, ServiceStatus, StatusReport};
use std::rc::Rc;

/// The state that `wait-ready` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Required services are still starting.
    Booting,
    /// All required services are ready.
    Running,
    /// Something required has failed, with the problems.
    Degraded(Vec<Problem>),
    /// The host is going down.
    Stopping,
}

/// A log that is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogName {
    /// The log of init.
    Init,
    /// The log of a service.
    Service(String),
    /// The output of a program, by its number.
    Program(u64),
}

/// A program that the host runs for a client. When the last clone is dropped, the program is told to end, and its output is
/// deleted.
#[derive(Clone, Debug)]
pub struct Started(Rc<u64>);

impl Started {
    /// The program with this number. Every program has another number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(Rc::new(number))
    }

    /// The program's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        *self.0
    }

    /// Whether there is another clone.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

/// The host, as clients see and change it. No method may block.
pub trait Answers {
    /// The status of the host.
    fn status(&self) -> StatusReport;
    /// The timeline of the boot.
    fn boot(&self) -> BootReport;
    /// The status of all services.
    fn services(&self) -> Vec<ServiceStatus>;
    /// Whether the host is up.
    fn readiness(&self) -> Readiness;
    /// Names of the services that have a log.
    fn log_names(&self) -> Vec<String>;
    /// Lines of a log from number `from` on, at most about `limit` bytes, and the number to continue with.
    fn log(&self, log: &LogName, from: u64, limit: usize) -> (Vec<LogLine>, u64);
    /// Starts hostctl. Its output is a log ([`LogName::Program`]).
    ///
    /// # Errors
    /// When hostctl cannot be started.
    fn start_hostctl(&mut self, arguments: &[String]) -> Result<Started, String>;
    /// How the program ended, once it has ended and all of its output was read. The error is its stderr.
    fn end_of(&self, program: &Started) -> Option<Result<(), ControlError>>;
    /// Starts to go down.
    ///
    /// # Errors
    /// When the host is already going down in another way.
    fn end(&mut self, ending: Ending) -> Result<(), String>;
}
