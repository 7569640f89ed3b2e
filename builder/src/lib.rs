//! The `berth` command. Builds a bootable, versioned disk image with a read-only root file system from a recipe.
//!
//! Modules import only from the right: cli → pipeline → {image, check} → assemble → plan → lock → source → {tree, recipe}.

pub mod access;
pub mod assemble;
pub mod check;
pub mod cli;
pub mod date;
pub mod image;
pub mod lock;
pub mod pipeline;
pub mod plan;
pub mod recipe;
pub mod release;
pub mod report;
pub mod scratch;
pub mod source;
pub mod tree;
