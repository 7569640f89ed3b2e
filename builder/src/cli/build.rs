//! `berth build`.

use super::{Global, environment};
use crate::{
    image::{measure::RawDigest, outputs},
    pipeline::{self, BuildOptions},
    report::Report,
};
use anyhow::Result;
use berth_contract::version::OsVersion;
use clap::Args;
use std::path::PathBuf;

/// Build a recipe's disk image from its lock file.
#[derive(Debug, Args)]
#[command(after_help = "SOURCE_DATE_EPOCH sets the time of all files in the image, instead of the date of the lock.")]
pub(super) struct Arguments {
    /// The recipe.
    recipe: PathBuf,
    /// Version of the image, instead of the recipe's.
    #[arg(long, value_name = "V")]
    version: Option<OsVersion>,
    /// Output folder. All outputs are replaced in one step; other files in it stay.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: PathBuf,
    /// List the raw disk in SHA256SUMS too. This is slow: it reads all bytes of the disk, also holes.
    #[arg(long)]
    checksum_raw: bool,
    /// Build twice. Publish the result only if both builds are identical, else show the first difference.
    #[arg(long)]
    check: bool,
}

impl Arguments {
    /// Prints the paths of all outputs.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let options = BuildOptions {
            version: self.version,
            output: self.output,
            epoch: environment::source_date_epoch()?,
            raw_digest: if self.checksum_raw { RawDigest::Sha256Too } else { RawDigest::FsVerity },
            programs: environment::programs()?,
            supply: global.supply()?,
        };
        let build = if self.check { pipeline::check } else { pipeline::build };
        let built = build(&self.recipe, &options, report)?;
        for name in outputs::all(&built.outputs) {
            report.data(built.folder.join(name).display())?;
        }
        Ok(())
    }
}
