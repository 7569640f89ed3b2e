//! `berth release`.

use super::environment;
use crate::{
    release::{Channel, KeyRing, Lifetime, Terms, Wanted, release},
    report::Report,
};
use anyhow::Result;
use berth_contract::release::STABLE;
use clap::Args;
use std::path::PathBuf;

/// Sign builds into a release repository, which hosts update from.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Output folders of `berth build`.
    #[arg(required = true, value_name = "BUILD")]
    builds: Vec<PathBuf>,
    /// The repository: a folder for any web server; made where it is not there.
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Folder of keys that `berth keys new` made; repeatable, where keys are kept apart.
    #[arg(long, value_name = "DIR", required = true)]
    keys: Vec<PathBuf>,
    /// Which hosts it is for.
    #[arg(long, value_name = "NAME", default_value = STABLE)]
    channel: Channel,
    /// From how many older releases deltas are made.
    #[arg(long, value_name = "N", default_value_t = 3)]
    deltas: usize,
    /// Put the releases with the metadata into one file as well.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// zstd level: lower is quicker, and larger.
    #[arg(long, value_name = "N", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    #[command(flatten)]
    terms: TermArgs,
}

/// How long signatures are good.
#[derive(Debug, Args)]
pub(super) struct TermArgs {
    /// How long hosts may go by what is signed now: refresh it before.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    expires: Lifetime,
    /// How long the list of releases itself is good.
    #[arg(long, value_name = "TIME", default_value = "365d")]
    targets_expires: Lifetime,
}

impl TermArgs {
    /// From now on.
    pub(super) fn terms(&self) -> Result<Terms> {
        Ok(Terms { now: environment::now()?, online: self.expires, targets: self.targets_expires })
    }
}

impl Arguments {
    /// Prints the names of the releases.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let keys = KeyRing::load(&self.keys)?;
        let wanted = Wanted {
            builds: self.builds,
            repo: self.repo,
            channel: self.channel,
            deltas: self.deltas,
            bundle: self.bundle,
            level: self.level,
            terms: self.terms.terms()?,
        };
        for listed in release(&wanted, &keys, report)? {
            report.data(listed)?;
        }
        Ok(())
    }
}
