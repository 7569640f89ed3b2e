//! Release repositories, checked with python-tuf, zstd, tar and veritysetup.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod encrypted;
mod killed;
mod limits;
mod published;
mod refused;
mod site;
mod trust;
mod upkeep;
