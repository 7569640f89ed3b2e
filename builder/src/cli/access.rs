//! `berth keys host-ca`, `client` and `host`: certificates for the remote API of hosts.

use super::{environment, passphrase::PassphraseArgs};
use crate::{
    access::{Authority, Replace, Subject, Validity, new_authority},
    release::Lifetime,
    report::{Advised, Report},
};
use anyhow::Result;
use berth_contract::remote_api::Role;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Create an authority that signs the certificates of clients and hosts.
#[derive(Debug, Args)]
pub(super) struct HostCa {
    /// Folder to create. It must not exist yet.
    dir: PathBuf,
    /// How long the authority is valid.
    #[arg(long, value_name = "TIME", default_value = "3650d")]
    expires: Lifetime,
    #[command(flatten)]
    lock: Lock,
}

/// Create the certificate of a person or program that reaches hosts with `hostctl --host`.
#[derive(Debug, Args)]
pub(super) struct ClientArgs {
    /// Folder of the authority. The new files are written there.
    dir: PathBuf,
    /// Name of the person or program, for the log of the hosts.
    name: String,
    /// What it may do.
    #[arg(long, default_value = "read")]
    role: RoleName,
    #[command(flatten)]
    leaf: Leaf,
}

/// Create the certificate of a host. Without one, a host makes its own, which clients know by its fingerprint.
#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// Folder of the authority. The new files are written there.
    dir: PathBuf,
    /// Name of the host.
    name: String,
    /// Further name or IP address; repeatable.
    #[arg(long, value_name = "NAME")]
    address: Vec<String>,
    #[command(flatten)]
    leaf: Leaf,
}

#[derive(Debug, Args)]
struct Leaf {
    /// How long the certificate is valid.
    #[arg(long, value_name = "TIME", default_value = "365d")]
    expires: Lifetime,
    /// Replace the certificate of the same name: renew it.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

#[derive(Debug, Args)]
struct Lock {
    /// Encrypt the private key of the authority with a passphrase.
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrases: PassphraseArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Read,
    Admin,
}

impl HostCa {
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let Lock { encrypt, passphrases } = self.lock;
        if passphrases.has_file() && !encrypt {
            let message = "--passphrase-file without --encrypt: the new key would not be encrypted".to_owned();
            return Err(Advised::new(message, Some("add --encrypt".to_owned())).into());
        }
        let passphrase = if encrypt { Some(passphrases.passphrases()?.for_new_keys()?) } else { None };
        let validity = validity(self.expires)?;
        for path in new_authority(&self.dir, validity, passphrase.as_ref())? {
            report.data(path.display())?;
        }
        Ok(())
    }
}

impl ClientArgs {
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let role = match self.role {
            RoleName::Read => Role::Read,
            RoleName::Admin => Role::Admin,
        };
        self.leaf.issue(&self.dir, &self.name, Subject::Client(role), report)
    }
}

impl HostArgs {
    pub(super) fn run(self, report: &Report) -> Result<()> {
        self.leaf.issue(&self.dir, &self.name, Subject::Host(&self.address), report)
    }
}

impl Leaf {
    fn issue(self, dir: &std::path::Path, name: &str, subject: Subject<'_>, report: &Report) -> Result<()> {
        let authority = Authority::open(dir, &mut self.passphrases.passphrases()?)?;
        let replace = if self.replace { Replace::Allow } else { Replace::Refuse };
        let made = authority.issue(name, subject, validity(self.expires)?, replace)?;
        for path in made.paths {
            report.data(path.display())?;
        }
        report.step("serial number", made.serial);
        Ok(())
    }
}

fn validity(expires: Lifetime) -> Result<Validity> {
    let now = environment::now()?;
    let until = u64::try_from(expires.from(now).as_second()).unwrap_or(u64::MAX);
    Ok(Validity { now, until })
}
