//! A program that init runs for a change of the configuration.

use crate::control::Started;

/// A program that makes a change true.
#[derive(Debug)]
pub(super) struct Helper {
    pub(super) words: Vec<String>,
    pub(super) program: Started,
    /// Whether it is started again when it fails.
    pub(super) is_needed: bool,
}
