//! The idle slot is filled by every way from every state, and nothing but the signed image ever stays in it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod devices;
mod faults;
mod kit;
mod patches;
mod uki;
mod ways;
