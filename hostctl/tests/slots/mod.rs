//! Every way fills the idle slot from every state, and only the signed image ever stays in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod devices;
mod faults;
pub(crate) mod kit;
mod patches;
mod repairs;
mod uki;
mod ways;
