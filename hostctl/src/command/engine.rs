//! `hostctl docker`: the API of a host's container engine as a Unix socket of this computer, and this computer's client of the engine.

use super::{target::Target, write_out};
use anyhow::{Context, Result};
use berth_contract::engine::EngineKind;
use clap::Args;
use hostctl::{
    desk::{DeskError, Tunnels},
    exit::Exit,
};
use std::{
    env, fs,
    io::{Write, stderr},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process,
};

/// Use the engine of a host: run this computer's client with ARGUMENTS, or without them provide a socket until Ctrl-C
#[derive(Debug, Args)]
pub(crate) struct Engine {
    /// The socket to make. Default: a file in a folder of this user
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Arguments for the client, e.g. `ps --all`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl Engine {
    pub(crate) fn run(self, target: &Target) -> Result<Exit> {
        let (name, desk) = target.desk()?;
        let path = match self.socket {
            Some(path) => path,
            None => folder()?.join(format!("{name}-{}.sock", process::id())),
        };
        let tunnels = Tunnels::open(desk.clone(), &path)?;
        let report = |error: &DeskError| {
            // If stderr cannot be written, the message has nowhere else to go.
            let _ = writeln!(stderr(), "error: {error}");
        };
        let address = format!("unix://{}", path.display());
        if self.arguments.is_empty() {
            write_out(&format!("DOCKER_HOST={address}\n"))?;
            tunnels.serve(tokio::signal::ctrl_c(), report)??;
            return Ok(Exit::Done);
        }
        let program = EngineKind::Docker.row().name;
        let mut command = tokio::process::Command::new(program);
        command
            .args(&self.arguments)
            .env("DOCKER_HOST", address)
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_TLS_VERIFY");
        let status = tunnels.serve(async move { command.status().await }, report)?;
        let status =
            status.with_context(|| format!("cannot run {program}: is the client installed on this computer?"))?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(Exit::Failed, Exit::Client))
    }
}

/// A folder that only this user can enter.
fn folder() -> Result<PathBuf> {
    let base =
        env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()).map_or_else(env::temp_dir, PathBuf::from);
    let folder = base.join(format!("berth-{}", rustix::process::getuid().as_raw()));
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make the folder {}", folder.display()));
        }
        _ => {}
    }
    // In a folder that all users can write to, another user may have made it.
    let found = fs::symlink_metadata(&folder)?;
    let is_own = std::os::unix::fs::MetadataExt::uid(&found) == rustix::process::getuid().as_raw();
    anyhow::ensure!(found.is_dir() && is_own, "{}: expected a folder of this user", folder.display());
    Ok(folder)
}
