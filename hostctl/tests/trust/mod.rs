//! What is not believed: each test is named by the sin.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod memory;
mod metadata;
mod releases;
mod roots;
