//! The same repository by every way it can come, and what servers do to those who read from them.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod faults;
mod foreign_servers;
mod kinds;
mod reading;
