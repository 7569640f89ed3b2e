//! `berth lock`.

use super::{Global, environment};
use crate::{lock::Update, pipeline, report::Report};
use anyhow::Result;
use clap::{Args, error::ErrorKind};
use std::path::PathBuf;

/// Resolve the packages of a recipe, and write their exact versions into its lock file.
///
/// Packages keep their locked version if the archives still have it and the recipe allows it.
#[derive(Debug, Args)]
#[command(override_usage = "berth lock [OPTIONS] [--update [PKG]...] <RECIPE>")]
pub(super) struct Arguments {
    /// The recipe.
    #[arg(required_unless_present = "update")]
    recipe: Option<PathBuf>,
    /// Update these packages, and others only if these require it; without PKG, update all packages.
    #[arg(long, value_name = "PKG", num_args = 0..)]
    update: Option<Vec<String>>,
}

impl Arguments {
    /// Prints the lock file's path.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let Self { recipe, mut update } = self;
        // In `--update PKG RECIPE`, the parser takes the recipe as the last package.
        let last = || update.as_mut().and_then(Vec::pop).map(PathBuf::from);
        let Some(recipe) = recipe.or_else(last) else {
            let missing = "expected a recipe, found none: write `berth lock --update RECIPE`, or `berth lock RECIPE --update PKG...`\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, missing).exit()
        };
        let update = match update {
            None => Update::Needed,
            Some(names) if names.is_empty() => Update::All,
            Some(names) => Update::Only(names.into_iter().collect()),
        };
        let written = pipeline::lock(&recipe, &update, &global.supply()?, environment::now()?, report)?;
        Ok(report.data(written.display())?)
    }
}
