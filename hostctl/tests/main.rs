//! What hostctl does to slots, boot entries, trust and sources, without a machine.
//!
//! One program for all tests of this crate, because each program is linked with all dependencies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod choice;
mod deaf;
mod decoder;
mod desk;
mod entries;
mod health;
mod host;
mod kit;
mod slots;
mod slots_memory;
mod sources;
mod tiny_efi;
mod trust;
mod var;
mod verbs;
