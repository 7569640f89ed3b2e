//! `berth lock`.

use super::{Global, environment};
use crate::{pipeline, report::Report};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Resolve the packages that a recipe asks for, and write them, exactly, into its lock file.
#[derive(Debug, Args)]
pub(super) struct Lock {
    /// The recipe.
    recipe: PathBuf,
}

impl Lock {
    /// Prints the lock file's path.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let written = pipeline::lock(&self.recipe, &global.sources()?, environment::now()?, report)?;
        Ok(report.data(written.display())?)
    }
}
