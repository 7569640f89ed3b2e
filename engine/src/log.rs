//! The output of containers, as an engine keeps it.

/// The wanted lines of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Whether to continue with new lines until the container ends.
    pub follow: bool,
    /// No line before this time, in nanoseconds since 1970.
    pub since_ns: Option<i64>,
}

/// A line of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerLine {
    /// Nanoseconds since 1970, if the engine has stored the time.
    pub time_ns: Option<i64>,
    /// Whether the container wrote it to stderr.
    pub is_error: bool,
    /// The text, without the line break.
    pub text: String,
}
