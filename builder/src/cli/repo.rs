//! `berth repo`.

use super::{environment, release::TermArgs};
use crate::{
    release::{KeyRing, Listed, check, list, refresh, revoke},
    report::Report,
};
use anyhow::Result;
use berth_contract::{
    arch::ArchName,
    version::{ImageId, OsVersion},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Look after a release repository.
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

/// Sign the metadata anew, before its time ends.
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

/// Take a release back: hosts are not offered it any more.
#[derive(Debug, Args)]
struct Revoke {
    /// Its version.
    version: OsVersion,
    /// Its id, where others have the same version.
    #[arg(long)]
    id: Option<ImageId>,
    /// Its architecture, where there are several.
    #[arg(long)]
    arch: Option<ArchName>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    terms: TermArgs,
}

/// Verify everything: signatures, their time, every file.
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
    /// Folder of keys; root.json alone is enough where nothing is signed. Repeatable.
    #[arg(long, value_name = "DIR", required = true)]
    keys: Vec<PathBuf>,
}

impl Arguments {
    /// Prints the releases, for `list` and `check`.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let listed = match self.verb {
            Verb::Refresh(Refresh { place, terms }) => {
                let end = refresh(&place.repo, &KeyRing::load(&place.keys)?, terms.terms()?, report)?;
                report.step("refresh", format_args!("good until {end}"));
                Vec::new()
            }
            Verb::List(List { place }) => list(&place.repo, &KeyRing::load(&place.keys)?)?,
            Verb::Revoke(Revoke { version, id, arch, place, terms }) => {
                let which = (&version, id.as_ref(), arch.as_ref());
                let gone = revoke(&place.repo, &KeyRing::load(&place.keys)?, which, terms.terms()?, report)?;
                report.step("revoke", gone);
                Vec::new()
            }
            Verb::Check(Check { place }) => {
                check(&place.repo, &KeyRing::load(&place.keys)?, environment::now()?, report)?
            }
        };
        for Listed { custom, targets } in listed {
            let bytes: u64 = targets.iter().map(|(_, bytes)| bytes).sum();
            report.data(format_args!("{} {} {} {} {bytes}", custom.id, custom.version, custom.arch, custom.channel))?;
        }
        Ok(())
    }
}
