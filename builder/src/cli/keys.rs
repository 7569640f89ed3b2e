//! `berth keys`.

use super::{
    access::{ClientArgs, HostArgs, HostCa},
    environment,
    passphrase::PassphraseArgs,
    release::TermArgs,
};
use crate::{
    release::{Change, KeyRing, Lifetime, Quorum, RoleType, new_keys, rotate},
    report::{Advised, Report},
};
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Create and replace the keys that sign releases, and the certificates for the remote API of hosts.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    New(New),
    Rotate(Rotate),
    Renew(Renew),
    HostCa(HostCa),
    Client(ClientArgs),
    Host(HostArgs),
}

/// Create keys for all roles, and the root.json that images trust.
#[derive(Debug, Args)]
struct New {
    /// Folder to create. It must not exist yet.
    dir: PathBuf,
    /// Number of root keys. With more keys than the threshold, the others replace a key that is lost.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=MOST_KEYS))]
    root_keys: u64,
    /// How many of the root keys must sign.
    #[arg(long, value_name = "N", default_value_t = 1)]
    threshold: u64,
    /// Number of targets keys, which sign releases.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_KEYS))]
    targets_keys: u64,
    /// How many of the targets keys must sign.
    #[arg(long, value_name = "N", default_value_t = 1)]
    targets_threshold: u64,
    /// How long root.json is valid. It must be renewed before that time.
    #[arg(long, value_name = "TIME", default_value = ROOT_LIFETIME)]
    expires: Lifetime,
    /// Encrypt the keys with a passphrase.
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

const ROOT_LIFETIME: &str = "365d";
const MOST_KEYS: u64 = 100;

/// Replace the keys of a role in a repository. Hosts of the repository learn the new keys with their next update.
#[derive(Debug, Args)]
struct Rotate {
    /// Folder of keys. New keys are written there.
    dir: PathBuf,
    /// The role whose keys are replaced.
    role: Role,
    #[command(flatten)]
    place: Place,
    /// Number of new keys [default: as many as before].
    #[arg(long, value_name = "N", requires = "threshold", value_parser = clap::value_parser!(u64).range(1..=MOST_KEYS))]
    count: Option<u64>,
    /// How many of the new keys must sign [default: as before].
    #[arg(long, value_name = "N", requires = "count")]
    threshold: Option<u64>,
}

/// Sign root.json again before it expires. The keys stay the same.
#[derive(Debug, Args)]
struct Renew {
    /// Folder of keys.
    dir: PathBuf,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// The repository.
    #[arg(long, value_name = "DIR")]
    repo: PathBuf,
    /// Additional folder of keys; repeatable.
    #[arg(long, value_name = "DIR")]
    keys: Vec<PathBuf>,
    /// How long the new root.json is valid.
    #[arg(long, value_name = "TIME", default_value = ROOT_LIFETIME)]
    root_expires: Lifetime,
    #[command(flatten)]
    terms: TermArgs,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Root,
    Targets,
    Snapshot,
    Timestamp,
}

impl From<Role> for RoleType {
    fn from(role: Role) -> Self {
        match role {
            Role::Root => Self::Root,
            Role::Targets => Self::Targets,
            Role::Snapshot => Self::Snapshot,
            Role::Timestamp => Self::Timestamp,
        }
    }
}

impl Arguments {
    /// Prints the paths of the new files.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let made = match self.verb {
            Verb::New(new) => {
                let New { dir, root_keys, threshold, targets_keys, targets_threshold, expires, encrypt, passphrases } =
                    new;
                if passphrases.has_file() && !encrypt {
                    let message = "--passphrase-file without --encrypt: the new keys would not be encrypted".to_owned();
                    return Err(Advised::new(message, Some("add --encrypt".to_owned())).into());
                }
                let passphrase = if encrypt { Some(passphrases.passphrases()?.for_new_keys()?) } else { None };
                let root = Quorum { keys: root_keys, threshold };
                let targets = Quorum { keys: targets_keys, threshold: targets_threshold };
                new_keys(&dir, root, targets, expires.from(environment::now()?), passphrase.as_ref())?
            }
            Verb::Rotate(Rotate { dir, role, place, count, threshold }) => {
                let quorum = count.zip(threshold).map(|(keys, threshold)| Quorum { keys, threshold });
                place.change(dir, Change::Role(role.into(), quorum), report)?
            }
            Verb::HostCa(new) => return new.run(report),
            Verb::Client(new) => return new.run(report),
            Verb::Host(new) => return new.run(report),
            Verb::Renew(Renew { dir, place }) => place.change(dir, Change::Renewal, report)?,
        };
        for path in made {
            report.data(path.display())?;
        }
        Ok(())
    }
}

impl Place {
    fn change(self, dir: PathBuf, change: Change, report: &Report) -> Result<Vec<PathBuf>> {
        let terms = self.terms.terms()?;
        let folders: Vec<_> = [dir].into_iter().chain(self.keys).collect();
        let expires = self.root_expires.from(terms.now);
        // Every role may have to be signed again.
        let keys = KeyRing::load(
            &folders,
            &[RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp],
            &mut self.passphrases.passphrases()?,
        )?;
        Ok(rotate(&self.repo, keys, change, (expires, terms), report)?)
    }
}
