//! The interface between the protocol's server and the host.

use crate::ending::Ending;
use berth_contract::control::{BootReport, ConfigChange, ControlError, LogLine, Problem, ServiceStatus, StatusReport};
use std::rc::Rc;

/// The state that `wait-ready` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Required services are still starting.
    Booting,
    /// All required services are ready.
    Running,
    /// The host has problems: something required has failed.
    Degraded(Vec<Problem>),
    /// The host is going down.
    Stopping,
}

/// The name of a log that is kept in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogName {
    /// The log of init.
    Init,
    /// The log of a service.
    Service(String),
    /// The output of the program with this number.
    Program(u64),
}

/// A handle of a program that the host runs for a client. When all clones but that of the host are dropped, the program is told to end, and
/// its output is deleted.
#[derive(Clone, Debug)]
pub struct Started(Rc<u64>);

impl Started {
    /// A handle of the program with this number. Every program has a different number.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(Rc::new(number))
    }

    /// The program's number.
    #[must_use]
    pub fn number(&self) -> u64 {
        *self.0
    }

    /// Whether a clone besides this one exists.
    #[must_use]
    pub fn is_held(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

/// The interface of the host for clients. No method may block.
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
    /// Lines of a log from number `from` on, about `limit` bytes at most, and the number to continue with.
    fn log(&self, log: &LogName, from: u64, limit: usize) -> (Vec<LogLine>, u64);
    /// Severity of the line of init with this number, as in syslog(3).
    fn level_in_init(&self, _number: u64) -> u8 {
        6
    }
    /// Takes the configuration that hostctl has written for init.
    ///
    /// # Errors
    /// When it cannot be read or is not valid. Then nothing has changed.
    fn configure(&mut self, place: &str, watch: bool) -> Result<ConfigChange, String>;
    /// Starts hostctl, with a text on its standard input. Its output is a log ([`LogName::Program`]).
    ///
    /// # Errors
    /// When hostctl cannot be started.
    fn start_hostctl(&mut self, arguments: &[String], input: Option<&str>) -> Result<Started, String>;
    /// How the program ended. `None` until it has ended and all of its output was read. The error comes from its stderr.
    fn end_of(&self, program: &Started) -> Option<Result<(), ControlError>>;
    /// Stops a service, if it runs, and starts it again.
    ///
    /// # Errors
    /// When there is no such service, or the host is going down.
    fn restart(&mut self, service: &str) -> Result<(), String>;
    /// Starts the shutdown. With `limit`, all services together have at most so many seconds, also in a shutdown that has begun.
    ///
    /// # Errors
    /// When a shutdown of the other kind has started already.
    fn end(&mut self, ending: Ending, limit: Option<u64>) -> Result<(), String>;
}
