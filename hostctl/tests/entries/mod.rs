//! Every change of boot entries, on an ESP in a file.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod hosts;
mod images;
pub(crate) mod kit;
mod reports;
mod rollbacks;
mod upgrades;
