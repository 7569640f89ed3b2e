//! `netd firewall`: makes the rules from host.toml and gives them to nft. A process and a service of its own: it ends when the rules are in
//! force, and reads no packet.

mod ruleset;

pub use ruleset::Rules;

use berth_contract::{
    fault::{At, Failure},
    host_config::DockerConfig,
    image_spec::ImageSpec,
    network_config::NetworkConfig,
    paths,
    service::ServiceSpec,
};
use berth_file::read_json;
use serde::Deserialize;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The name of this service: its file of settings has it.
const SERVICE: &str = "firewall";
/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Files and programs. Tests have others.
#[derive(Clone, Debug)]
pub struct Options {
    /// The part of host.toml that this service reads, written by init.
    pub settings: PathBuf,
    /// The description of the image.
    pub image: PathBuf,
    /// nft.
    pub program: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: ServiceSpec::config_file(SERVICE).into(),
            image: paths::IMAGE_SPEC.into(),
            program: paths::NFT.into(),
        }
    }
}

/// The part of host.toml.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    network: NetworkConfig,
    #[serde(default)]
    docker: Option<DockerConfig>,
}

/// Puts the rules in force. If this fails, the rules before stay in force.
///
/// # Errors
/// The settings cannot be read, or nft refuses the rules.
pub fn run(options: &Options, log: &mut dyn Write) -> Result<(), Failure> {
    if !options.program.exists() {
        let _ = writeln!(log, "nothing is filtered: the image has no {}", options.program.display());
        return Ok(());
    }
    let settings = match read_json::<Settings>(&options.settings, paths::MAX_JSON) {
        Err(error) if error.is_missing() => Settings::default(),
        other => other?,
    };
    let rules = rules(&settings, read_json(&options.image, paths::MAX_JSON)?);
    apply(&options.program, &rules.text())?;
    let openings = rules.openings.len() + rules.listeners.len();
    let _ = writeln!(log, "input: {:?}, {openings} ports are open", rules.policy);
    Ok(())
}

fn rules(settings: &Settings, image: ImageSpec) -> Rules {
    let mut rules = Rules::default();
    rules.add_network(&settings.network);
    let tls = settings.docker.as_ref().and_then(|docker| docker.tls.as_ref());
    rules.listeners.extend(tls.map(|tls| (tls.listen, "engine")));
    // A published port that the kernel does not pass on (IPv6 to a container without IPv6) has a program of the engine behind it. init
    // has made the groups of all services.
    let group = image.engine.map(|engine| format!("system/{}", engine.kind.row().service));
    rules.group = group.filter(|group| Path::new(CGROUPS).join(group).is_dir());
    rules
}

fn apply(program: &Path, text: &str) -> Result<(), Failure> {
    let mut child = Command::new(program).args(["-f", "-"]).stdin(Stdio::piped()).spawn().at("run", program)?;
    let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(text.as_bytes()));
    let status = child.wait().at("wait for", program)?;
    if !status.success() {
        return Err(format!("{} refuses the rules ({status}): the rules before stay in force", program.display()).into());
    }
    Ok(written.at("write to", program)?)
}
