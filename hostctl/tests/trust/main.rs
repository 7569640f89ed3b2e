//! What is not believed: each test is named by the sin.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

#[path = "../kit/mod.rs"]
mod kit;
mod memory;
mod metadata;
mod releases;
mod roots;
