//! `berth build`.

use super::{Global, environment};
use crate::{
    pipeline::{self, BuildOptions},
    report::Report,
};
use anyhow::Result;
use berth_contract::version::OsVersion;
use clap::Args;
use std::path::PathBuf;

/// Build a recipe's disk image from its lock file.
#[derive(Debug, Args)]
#[command(after_help = "SOURCE_DATE_EPOCH sets the time that every file bears, instead of the date of the lock.")]
pub(super) struct Build {
    /// The recipe.
    recipe: PathBuf,
    /// Version of the image, instead of the recipe's.
    #[arg(long, value_name = "V")]
    version: Option<OsVersion>,
    /// Output folder; it is replaced as a whole, other files in it stay.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: PathBuf,
}

impl Build {
    /// Prints the paths of all outputs.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let options = BuildOptions {
            version: self.version,
            output: self.output,
            epoch: environment::source_date_epoch()?,
            programs: environment::programs()?,
            sources: global.sources()?,
        };
        let built = pipeline::build(&self.recipe, &options, report)?;
        for name in &built.names {
            report.data(built.folder.join(name).display())?;
        }
        Ok(())
    }
}
