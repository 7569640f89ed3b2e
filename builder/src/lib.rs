//! The `berth` command: from a recipe to a bootable, versioned, read-only disk image.
//!
//! Imports go one way: cli → pipeline → {image, assemble} → plan → lock → source → {tree, recipe}.

pub mod assemble;
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
