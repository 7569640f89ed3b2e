//! `berth run`.

use super::{Global, environment};
use crate::{
    image::measure::RawDigest,
    pipeline::{self, BuildOptions},
    report::Report,
};
use anyhow::{Context, Result, bail, ensure};
use berth_contract::arch::Arch;
use berth_qemu::run::{Options, Session, start};
use clap::{Args, value_parser};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, UNIX_EPOCH},
};

/// Boot an image in a temporary virtual machine that this machine's docker client can use.
#[derive(Debug, Args)]
#[command(
    after_help = "Without COMMAND, this terminal is the console: Ctrl-A X ends the virtual machine, Ctrl-A C opens QEMU's prompt.\n\
    COMMAND runs on this machine as soon as the host is running. Its environment has DOCKER_HOST, DOCKER_TLS_VERIFY, \
    DOCKER_CERT_PATH, BERTH_CONTROL and BERTH_PORT_<GUEST>. Then the virtual machine is powered off, and the exit status of \
    COMMAND is the exit status of `berth run`."
)]
pub(super) struct Arguments {
    /// A recipe, which is built first, or an existing disk image (raw or qcow2).
    #[arg(value_name = "RECIPE|IMAGE")]
    what: PathBuf,
    /// Forward a TCP port of 127.0.0.1 to the virtual machine; repeatable. HOST 0 means any free port.
    #[arg(short, long, value_name = "HOST:GUEST", value_parser = port)]
    publish: Vec<(u16, u16)>,
    /// Memory in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = value_parser!(u32).range(64..))]
    memory: u32,
    /// Processors.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=255))]
    cpus: u32,
    /// The virtual machine's host.toml. If it has no TLS listener for docker, the listener is added.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the image that is built, and for a copy of the console output.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: PathBuf,
    /// Do not let the virtual machine reach the network. Forwarded ports still work.
    #[arg(long)]
    isolated: bool,
    /// Program to run on this machine, and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

fn port(text: &str) -> Result<(u16, u16), String> {
    let parse = |text: &str| text.parse::<u16>().ok();
    match text.split_once(':').and_then(|(host, guest)| Some((parse(host)?, parse(guest)?))) {
        Some((host, guest)) if guest != 0 => Ok((host, guest)),
        _ => Err(format!("expected HOST:GUEST, found {text:?}")),
    }
}

impl Arguments {
    /// Exports of variables go to stdout; all other messages go to stderr.
    pub(super) fn run(self, global: &Global, report: &Report) -> Result<ExitCode> {
        let (image, arch) = self.image(global, report)?;
        let options = Options {
            console: self.output.join("console.log"),
            image,
            arch,
            memory: self.memory,
            cpus: self.cpus,
            forwards: self.publish,
            config: self.config,
            reach_out: !self.isolated,
            now: UNIX_EPOCH + Duration::from_secs(environment::now()?),
        };
        report.step("run", options.image.display());
        match self.command.split_first() {
            None => interactive(&options, report),
            Some((program, arguments)) => with_command(&options, program, arguments, report),
        }
    }

    /// The disk image and its architecture. An existing disk image is assumed to have the default architecture.
    fn image(&self, global: &Global, report: &Report) -> Result<(PathBuf, Arch)> {
        ensure!(self.what.exists(), "{} does not exist: expected a recipe or a disk image", self.what.display());
        if self.what.extension().is_none_or(|extension| extension != "toml") {
            return Ok((self.what.clone(), Arch::DEFAULT));
        }
        let options = BuildOptions {
            version: None,
            output: self.output.clone(),
            epoch: environment::source_date_epoch()?,
            raw_digest: RawDigest::default(),
            programs: environment::programs()?,
            supply: global.supply()?,
        };
        let built = pipeline::build(&self.what, &options, report)?;
        Ok((built.folder.join(built.outputs.raw), built.arch))
    }
}

fn interactive(options: &Options, report: &Report) -> Result<ExitCode> {
    let mut session = start(options, true)?;
    for (name, value) in session.environment().iter().filter(|(name, _)| name.starts_with("DOCKER_")) {
        report.data(format_args!("export {name}={}", value.to_string_lossy()))?;
    }
    report
        .step("control", format_args!("hostctl --connect unix:{} status", session.machine().control_path().display()));
    session.wait_for_end()?;
    Ok(ExitCode::SUCCESS)
}

fn with_command(options: &Options, program: &OsString, arguments: &[OsString], report: &Report) -> Result<ExitCode> {
    let mut session = start(options, false)?;
    let console = || format!("the console is in {}", options.console.display());
    session.wait_ready().with_context(console)?;
    report.step("ready", ready(&mut session, &options.console));
    let status = session.command(program, arguments)?;
    session.power_off().with_context(console)?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("{} ended by a signal: {status}", Path::new(program).display()),
    }
}

/// The boot time that the host reports.
fn ready(session: &mut Session, console: &Path) -> String {
    let limit = Duration::from_secs(10);
    let boot = session.machine().control(limit).and_then(|mut client| Ok(client.boot()?));
    match boot.ok().and_then(|boot| boot.ready_us) {
        Some(us) => format!("{}.{:02} s after the kernel's start", us / 1_000_000, us / 10_000 % 100),
        None => format!("see {}", console.display()),
    }
}
