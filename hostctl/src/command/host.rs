//! `hostctl host`: the hosts that this computer knows.

use super::write_out;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use hostctl::desk::{Address, Desk, DeskError, Hosts, KnownHost, fingerprint};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Manage the hosts that this computer reaches over the network
#[derive(Debug, Subcommand)]
pub(crate) enum HostVerb {
    /// Add a host, or replace one of the same name, after a look at it
    Add(Add),
    /// List all hosts. The current one has a mark
    List,
    /// Make a host the current one, which commands without --host are for
    Use {
        /// Its name
        name: String,
    },
    /// Remove a host from the list
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// A name for the host
    name: String,
    /// Its address: ADDRESS[:PORT]
    address: Address,
    /// File with your certificate, PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// File with its private key, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with the authority of the host's certificate, PEM
    #[arg(long, value_name = "FILE", group = "identity")]
    ca: Option<PathBuf>,
    /// Fingerprint of the host's own certificate, from its console or `hostctl logs hostd`
    #[arg(long, value_name = "SHA256", group = "identity")]
    fingerprint: Option<String>,
    /// Add it even if it cannot be reached now
    #[arg(long)]
    offline: bool,
}

impl HostVerb {
    pub(crate) fn run(self) -> Result<()> {
        let path = Hosts::place().ok_or(DeskError::Homeless)?;
        let mut hosts = Hosts::read(&path)?;
        match self {
            Self::List => write_out(&list(&hosts)),
            Self::Add(add) => add.run(&mut hosts, &path),
            Self::Use { name } => {
                hosts.find(&name)?;
                hosts.current = Some(name);
                Ok(hosts.write(&path)?)
            }
            Self::Remove { name } => {
                let name = hosts.find(&name)?.0.to_owned();
                hosts.hosts.remove(&name);
                hosts.current = hosts.current.filter(|current| *current != name);
                Ok(hosts.write(&path)?)
            }
        }
    }
}

impl Add {
    fn run(self, hosts: &mut Hosts, path: &Path) -> Result<()> {
        let whole = |path: PathBuf| fs::canonicalize(&path).with_context(|| format!("cannot read {}", path.display()));
        if self.ca.is_none() && self.fingerprint.is_none() {
            let found = fingerprint(&self.address)?;
            anyhow::bail!(
                "expected --ca or --fingerprint: the machine at {} has a certificate with the fingerprint {found}. Compare it with the \
                 console of the host; if it is the same, add --fingerprint {found}",
                self.address
            );
        }
        let host = KnownHost {
            address: self.address,
            cert: whole(self.cert)?,
            key: whole(self.key)?,
            ca: self.ca.map(whole).transpose()?,
            fingerprint: self.fingerprint,
        };
        let desk = Desk::new(&host)?;
        if !self.offline {
            let status = desk.client(super::seed())?.status()?;
            write_out(&format!("{}: {} {}\n", status.hostname, status.image_id, status.version))?;
        }
        if hosts.hosts.is_empty() {
            hosts.current = Some(self.name.clone());
        }
        hosts.hosts.insert(self.name, host);
        Ok(hosts.write(path)?)
    }
}

fn list(hosts: &Hosts) -> String {
    let width = hosts.hosts.keys().map(String::len).max().unwrap_or(0);
    let line = |(name, host): (&String, &KnownHost)| {
        let mark = if hosts.current.as_ref() == Some(name) { '*' } else { ' ' };
        format!("{mark} {name:<width$}  {}\n", host.address)
    };
    hosts.hosts.iter().map(line).collect()
}
