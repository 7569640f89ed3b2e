//! `berth size`.

use super::{Global, environment};
use crate::{
    image::size::{Cost, LEVEL},
    pipeline,
    report::Report,
};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Print the size of each package, overlay and program of an image, largest first.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The recipe. Its root tree is assembled from the lock file; no output is written.
    recipe: PathBuf,
}

impl Arguments {
    /// Prints a line for each origin, the sum, and the size of the root file system.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<()> {
        let sizes = pipeline::size(&self.recipe, &environment::programs()?, &global.supply()?, report)?;
        report.data(format_args!(
            "{:>12} {:>6} {:>12} {:>6}  origin",
            "bytes",
            "share",
            format!("zstd -{LEVEL}"),
            "files"
        ))?;
        let all = |part: fn(&Cost) -> u64| sizes.costs.iter().map(part).sum::<u64>();
        let (bytes, compressed, files) = (all(|cost| cost.bytes), all(|cost| cost.compressed), all(|cost| cost.files));
        let line = |name: &str, cost: [u64; 3]| {
            // In tenths of a percent, rounded.
            let share = (cost[0] * 1000 + bytes / 2) / bytes.max(1);
            let share = format!("{}.{}%", share / 10, share % 10);
            report.data(format_args!("{:>12} {share:>6} {:>12} {:>6}  {name}", cost[0], cost[1], cost[2]))
        };
        for cost in &sizes.costs {
            line(&cost.origin, [cost.bytes, cost.compressed, cost.files])?;
        }
        line("all files", [bytes, compressed, files])?;
        report
            .data(format_args!("{:>12} {:34}root file system, of {} bytes in the slot", sizes.root, "", sizes.slot))?;
        Ok(())
    }
}
