//! `berth why`.

use super::{Global, environment};
use crate::{pipeline, report::Report};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Print why a package or a file is in an image: the chain from the line of the recipe to it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recipe. It must have a lock file.
    recipe: PathBuf,
    /// A package, or a path in the image. An argument with a slash is a path.
    #[arg(value_name = "PKG|PATH")]
    what: String,
}

impl Arguments {
    /// Prints one sentence per line.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let lines = pipeline::why(&self.recipe, &self.what, &environment::programs()?, &global.supply()?, report)?;
        lines.iter().try_for_each(|line| Ok(report.data(line)?))
    }
}
