//! `hostctl containers`: the containers of the engine.

use super::{on_host, pass_on, print};
use anyhow::{Result, bail};
use berth_contract::{image_spec::ImageSpec, paths::IMAGE_SPEC, remote_api::ContainerInfo};
use berth_control::Client;
use berth_engine::{EngineClient, Limits, Listing, client};
use clap::Subcommand;
use hostctl::file;
use std::{fmt::Write, path::Path, time::Duration};

/// Limits for answers of the engine. A restart waits for the end of the container.
const LIMITS: Limits = Limits { body: 8 << 20, silence: Duration::from_secs(660) };

/// List containers, and restart them. `hostctl logs container:NAME` shows the output of one
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ContainersVerb {
    /// List all containers
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop a container and start it again
    Restart {
        /// Its name
        name: String,
    },
}

impl ContainersVerb {
    /// On this host.
    pub(crate) fn here(self) -> Result<()> {
        let engine = engine()?;
        match self {
            Self::List { json } => {
                let all = list(&*engine)?;
                print(json, &all, || show(&all))
            }
            Self::Restart { name } => {
                if engine.inspect(&name)?.is_none() {
                    bail!("no container has the name {name:?}");
                }
                Ok(engine.restart(&name)?)
            }
        }
    }

    /// On the host that `client` is connected to.
    pub(crate) fn there(self, client: &mut Client) -> Result<()> {
        let mut words = vec!["containers"];
        match &self {
            Self::List { json } => words.extend(["list"].into_iter().chain(json.then_some("--json"))),
            Self::Restart { name } => words.extend(["restart", "--", name.as_str()]),
        }
        on_host(client, words, pass_on)
    }
}

fn engine() -> Result<Box<dyn EngineClient>> {
    let image: ImageSpec = file::json(Path::new(IMAGE_SPEC))?;
    let Some(engine) = image.engine else { bail!("this host has no container engine") };
    Ok(client(engine.kind, Path::new(engine.kind.row().socket), LIMITS))
}

/// All containers of this host.
pub(crate) fn all() -> Result<Vec<ContainerInfo>> {
    list(&*engine()?)
}

fn list(engine: &dyn EngineClient) -> Result<Vec<ContainerInfo>> {
    let mut all = Vec::new();
    for listed in engine.list(Listing::All)? {
        // A container may have been removed meanwhile.
        let Some(found) = engine.inspect(&listed.name)? else { continue };
        all.push(ContainerInfo {
            exit_code: (!found.runs()).then_some(found.exit_code),
            declared: found.is_declared(),
            name: listed.name,
            image: found.image,
            state: found.state,
            restarts: found.restarts,
            error: found.error,
        });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

fn show(all: &[ContainerInfo]) -> String {
    let width = |text: fn(&ContainerInfo) -> usize, least: usize| all.iter().map(text).max().unwrap_or(0).max(least);
    let (names, images) = (width(|one| one.name.len(), 9), width(|one| one.image.len(), 5));
    let mut out = format!("{:<names$}  {:<images$}  {:<10}  restarts\n", "container", "image", "state");
    for one in all {
        let exit = one.exit_code.map(|code| format!("  status {code}")).unwrap_or_default();
        let error = one.error.as_ref().map(|error| format!("  {error}")).unwrap_or_default();
        let state = one.state.to_string();
        let _ = writeln!(
            out,
            "{:<names$}  {:<images$}  {state:<10}  {:>8}{exit}{error}",
            one.name, one.image, one.restarts
        );
    }
    out
}
