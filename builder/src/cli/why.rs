//! `berth why`.

use super::{Global, environment};
use crate::{pipeline, report::Report};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Print why a package or a file is in an image: who asked for it, from the recipe's line on.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recipe, which must be locked.
    recipe: PathBuf,
    /// A package; or a path in the image: whatever has a slash in it.
    #[arg(value_name = "PKG|PATH")]
    what: String,
}

impl Arguments {
    /// Prints one sentence a line.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let lines = pipeline::why(&self.recipe, &self.what, &environment::programs()?, &global.supply()?, report)?;
        lines.iter().try_for_each(|line| Ok(report.data(line)?))
    }
}
