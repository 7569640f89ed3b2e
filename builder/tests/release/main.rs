//! Releases as a repository has them, judged by python-tuf, zstd, tar and veritysetup.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../assemble_kit/mod.rs"]
mod assemble_kit;
#[path = "../build_kit/mod.rs"]
mod build_kit;
mod killed;
mod limits;
mod published;
mod refused;
mod site;
mod trust;
mod upkeep;
