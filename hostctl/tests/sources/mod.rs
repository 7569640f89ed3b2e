//! The same repository from every kind of source, and faults of servers.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod faults;
mod foreign_servers;
mod kinds;
mod reading;
