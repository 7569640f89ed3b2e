//! What a host does not trust. Each test is named after the fault.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod hostile;
mod memory;
mod metadata;
mod releases;
mod roots;
