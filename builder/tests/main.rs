//! The `berth` program and the steps of a build.
//!
//! One program for all tests of this crate, because each program is linked with all dependencies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod alone;
mod archives;
mod assemble;
mod assemble_cache;
mod assemble_faults;
mod assemble_indexes;
mod assemble_kit;
mod assemble_scripts;
mod build_kit;
mod check;
mod cli;
mod copyright;
mod ctrl_c;
mod image_check;
mod interrupted;
mod oci;
mod packages_page;
mod recipe;
mod refusal_kit;
mod refusals_archive;
mod refusals_output;
mod refusals_package;
mod refusals_recipe;
mod release;
mod resolver;
mod run;
mod same_bytes;
mod schema;
