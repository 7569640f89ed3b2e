//! `berth release`.

use super::{environment, passphrase::PassphraseArgs};
use crate::{
    release::{Channel, KeyRing, Lifetime, RoleType, Terms, Wanted, release},
    report::Report,
};
use anyhow::Result;
use berth_contract::release::STABLE;
use clap::Args;
use std::path::PathBuf;

/// Sign builds and add them to a release repository, from which hosts update.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Output folders of `berth build`.
    #[arg(required = true, value_name = "BUILD")]
    builds: Vec<PathBuf>,
    /// The repository: a folder that any web server can serve. It is created if it does not exist.
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Folder of keys that `berth keys new` created; repeatable if keys are in several folders.
    #[arg(long, value_name = "DIR", required = true)]
    keys: Vec<PathBuf>,
    /// Channel of the release: only hosts of this channel get it.
    #[arg(long, value_name = "NAME", default_value = STABLE)]
    channel: Channel,
    /// Number of older releases to make deltas from.
    #[arg(long, value_name = "N", default_value_t = 3)]
    deltas: usize,
    /// Also write a bundle: one file with the releases and the metadata.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// zstd level. A lower level is faster, but files are larger.
    #[arg(long, value_name = "N", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=22))]
    level: i32,
    #[command(flatten)]
    terms: TermArgs,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

/// The roles that sign a release.
pub(super) const RELEASING: [RoleType; 3] = [RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp];

/// How long signatures are valid.
#[derive(Debug, Args)]
pub(super) struct TermArgs {
    /// How long hosts accept the new metadata. Run `berth repo refresh` before that time.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    expires: Lifetime,
    /// How long the list of releases itself is valid.
    #[arg(long, value_name = "TIME", default_value = "365d")]
    targets_expires: Lifetime,
}

impl TermArgs {
    /// The terms of signatures that are made now.
    pub(super) fn terms(&self) -> Result<Terms> {
        Ok(Terms { now: environment::now()?, online: self.expires, targets: self.targets_expires })
    }
}

impl Arguments {
    /// Prints the names of the releases.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let keys = KeyRing::load(&self.keys, &RELEASING, &mut self.passphrases.passphrases()?)?;
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
