//! A line of a stored log.

/// A stored line.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoredLine {
    /// Number of the boot.
    pub boot: u32,
    /// The kernel's id of the boot.
    pub boot_id: String,
    /// Number of the line in the boot.
    pub line: u64,
    /// Microseconds since 1970. `None` if the clock was not read in this boot.
    pub wall_us: Option<i64>,
    /// Microseconds since kernel start.
    pub at_us: i64,
    /// The log.
    pub log: String,
    /// Severity as in syslog(3).
    pub level: u8,
    /// The text.
    pub text: String,
}
