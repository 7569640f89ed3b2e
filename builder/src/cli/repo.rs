//! `berth repo`.

use super::{
    environment,
    passphrase::PassphraseArgs,
    release::{RELEASING, TermArgs},
};
use crate::{
    release::{KeyRing, Listed, RoleType, check, list, refresh, revoke},
    report::Report,
};
use anyhow::Result;
use berth_contract::{
    arch::ArchName,
    version::{ImageId, OsVersion},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Manage a release repository.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Refresh(Refresh),
    List(List),
    Revoke(Revoke),
    Check(Check),
}

/// Sign the metadata again before it expires.
#[derive(Debug, Args)]
struct Refresh {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    terms: TermArgs,
}

/// Print the releases: id, version, architecture, channel, bytes.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    place: Place,
}

/// Revoke a release: hosts can no longer update to it.
#[derive(Debug, Args)]
struct Revoke {
    /// Version of the release.
    version: OsVersion,
    /// Id of the release, if several ids have this version.
    #[arg(long)]
    id: Option<ImageId>,
    /// Architecture of the release, if several architectures have this version.
    #[arg(long)]
    arch: Option<ArchName>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    terms: TermArgs,
}

/// Verify everything: signatures, expiry, and every file.
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The repository.
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Folder of keys; repeatable. For commands that do not sign, root.json alone is enough.
    #[arg(long, value_name = "DIR", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

impl Place {
    fn keys(&self, needed: &[RoleType]) -> Result<KeyRing> {
        Ok(KeyRing::load(&self.keys, needed, &mut self.passphrases.passphrases()?)?)
    }
}

impl Arguments {
    /// Prints the releases, for `list` and `check`.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let listed = match self.verb {
            Verb::Refresh(Refresh { place, terms }) => {
                // The targets key signs too if it is at hand, but nobody is asked for its passphrase.
                let keys = place.keys(&[RoleType::Snapshot, RoleType::Timestamp])?;
                let end = refresh(&place.repo, &keys, terms.terms()?, report)?;
                report.step("refresh", format_args!("valid until {end}"));
                Vec::new()
            }
            Verb::List(List { place }) => list(&place.repo, &place.keys(&[])?)?,
            Verb::Revoke(Revoke { version, id, arch, place, terms }) => {
                let which = (&version, id.as_ref(), arch.as_ref());
                let gone = revoke(&place.repo, &place.keys(&RELEASING)?, which, terms.terms()?, report)?;
                report.step("revoke", gone);
                Vec::new()
            }
            Verb::Check(Check { place }) => check(&place.repo, &place.keys(&[])?, environment::now()?, report)?,
        };
        for Listed { custom, targets } in listed {
            let bytes: u64 = targets.iter().map(|(_, bytes)| bytes).sum();
            report.data(format_args!("{} {} {} {} {bytes}", custom.id, custom.version, custom.arch, custom.channel))?;
        }
        Ok(())
    }
}
