//! Lines of logs, as the control protocol sends them.

use serde::{Deserialize, Serialize};

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LogLine {
    /// Microseconds since kernel start.
    pub at_us: u64,
    /// The text, without the line break.
    pub text: String,
}

/// A line of one of several logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// The log: `init`, `kernel`, or the name of a service.
    pub log: String,
    /// Number of the line in this log. The numbers of a log grow during a boot. Lines that were dropped, or belong to another log, leave
    /// gaps.
    pub number: u64,
    /// Severity as in syslog(3): 0 is an emergency, 3 an error, 6 information.
    pub level: u8,
    /// Microseconds since kernel start.
    pub at_us: u64,
    /// The text, without the line break.
    pub text: String,
}
