//! What the protocol's server asks of the host.

use crate::ending::Ending;
use berth_contract::control::{BootReport, LogLine, ServiceStatus, StatusReport};
use std::rc::Rc;

/// What `wait-ready` waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not known yet.
    Booting,
    /// Everything required is up.
    Running,
    /// Something required is not.
    Degraded(Vec<String>),
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

/// A program that the host runs for a client. When the last clone is dropped, the program is told to end, and its output is deleted.
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
    /// How it ended, when it has and all of its output is known; with what it said on stderr when that was not well.
    fn end_of(&self, program: &Started) -> Option<Result<(), String>>;
    /// Begins to go down.
    ///
    /// # Errors
    /// When it is going down already, in another way.
    fn end(&mut self, ending: Ending) -> Result<(), String>;
}
