//! The host that a command is for: this one, a virtual machine, or one that is reached over the network.

use super::{PATIENCE, seed};
use anyhow::{Result, bail};
use berth_contract::paths::CONTROL_SOCKET;
use berth_control::{Client, ClientError, answering};
use hostctl::desk::{Desk, DeskError, Hosts};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// A host.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The host that this program runs on.
    Here,
    /// A virtual machine: the socket of its serial port.
    Socket(PathBuf),
    /// A host that hosts.toml names.
    Remote {
        /// Its name.
        name: String,
        /// How to reach it.
        desk: Box<Desk>,
    },
}

impl Target {
    /// The target of the options `--connect` and `--host`. Without both it is this host, if it is a Berth host, or else the current host of
    /// hosts.toml.
    pub(crate) fn of(connect: Option<PathBuf>, host: Option<String>) -> Result<Self> {
        if let Some(path) = connect {
            return Ok(Self::Socket(path));
        }
        if host.is_none() && Path::new(CONTROL_SOCKET).exists() {
            return Ok(Self::Here);
        }
        let place = Hosts::place();
        let hosts = match &place {
            Some(path) => Hosts::read(path)?,
            None if host.is_some() => return Err(DeskError::Homeless.into()),
            None => Hosts::default(),
        };
        match host.or(hosts.current.clone()) {
            None => Ok(Self::Here),
            Some(wanted) => {
                let (name, host) = hosts.find(&wanted)?;
                Ok(Self::Remote { name: name.to_owned(), desk: Box::new(Desk::new(host)?) })
            }
        }
    }

    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }

    /// How to reach the host, for what only goes over the network.
    pub(crate) fn desk(&self) -> Result<(&str, &Desk)> {
        match self {
            Self::Remote { name, desk } => Ok((name, desk)),
            Self::Here | Self::Socket(_) => {
                bail!("this command is for a host that is reached over the network: expected --host NAME")
            }
        }
    }

    /// Connects once.
    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        match self {
            Self::Here => Client::connect(CONTROL_SOCKET.as_ref(), seed()),
            Self::Socket(path) => Client::connect(path, seed()),
            Self::Remote { desk, .. } => desk.client(seed()),
        }
    }

    /// Connects. A serial port may need several attempts.
    pub(crate) fn client(&self) -> Result<Client> {
        let client = match self {
            Self::Here | Self::Remote { .. } => self.connect()?,
            Self::Socket(_) => {
                let end = Instant::now() + PATIENCE;
                answering(
                    || self.connect(),
                    |error| match error {
                        ClientError::Lost { .. } if Instant::now() < end => Ok(()),
                        error => Err(error),
                    },
                )?
            }
        };
        client.set_timeout(Some(PATIENCE))?;
        Ok(client)
    }
}
