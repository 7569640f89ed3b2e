//! `berth run`.

use super::{Global, disk_image::DiskImage, environment};
use crate::{
    image::measure::RawDigest,
    pipeline::{self, BuildOptions},
    report::{Advised, Report},
};
use anyhow::{Context, Result, bail};
use berth_contract::container::ByteSize;
use berth_qemu::run::{Health, Options, Session, start};
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
    COMMAND is the exit status of `berth run`. If the host is degraded, its problems and the logs of its services are shown; on a \
    terminal the virtual machine then stays until Ctrl-C."
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
    /// Size of the disk, such as 20GiB; /var grows to its end. Default: the size of the image.
    #[arg(long, value_name = "SIZE")]
    disk: Option<ByteSize>,
    /// The virtual machine's host.toml. If it has no TLS listener for docker, the listener is added.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the image that is built, and for a copy of the console output.
    #[arg(short, long, value_name = "DIR", default_value = "out")]
    output: PathBuf,
    /// Do not let the virtual machine reach the network. Forwarded ports still work.
    #[arg(long)]
    isolated: bool,
    /// How long the host may take until it is running, before COMMAND. Emulation gets four to eight times as long.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u32).range(1..=86_400))]
    limit: u32,
    /// Run COMMAND even if the host is degraded.
    #[arg(long)]
    anyway: bool,
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
        // Before the build and the boot: both take longer than a typing error should.
        if let Some(program) = self.command.first() {
            environment::find_program(program)?;
        }
        let image = self.image(global, report)?;
        if let Some(size) = self.disk {
            image.check_size(size)?;
        }
        let options = Options {
            console: self.output.join("console.log"),
            image: image.path,
            arch: image.arch,
            memory: self.memory,
            cpus: self.cpus,
            disk: self.disk.map(|size| size.0),
            forwards: self.publish,
            config: self.config,
            docker: image.has_engine,
            reach_out: !self.isolated,
            now: UNIX_EPOCH + Duration::from_secs(environment::now()?),
        };
        report.step("run", options.image.display());
        match self.command.split_first() {
            None => interactive(&options, report),
            Some(command) => {
                let limit = Duration::from_secs(self.limit.into());
                with_command(&options, command, (limit, self.anyway), report)
            }
        }
    }

    /// The disk image. A recipe is built first.
    fn image(&self, global: &Global, report: &Report) -> Result<DiskImage> {
        if !self.what.exists() {
            let message = format!("{} does not exist: expected a recipe or a disk image", self.what.display());
            let hint = "name a recipe (.toml), or the .raw or .qcow2 file of a build".to_owned();
            return Err(Advised::new(message, Some(hint)).into());
        }
        if self.what.is_dir() || self.what.extension().is_none_or(|extension| extension != "toml") {
            return DiskImage::open(&self.what);
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
        DiskImage::open(&built.folder.join(built.outputs.raw))
    }
}

fn interactive(options: &Options, report: &Report) -> Result<ExitCode> {
    let mut session = start(options, true)?;
    exports(&mut session, report)?;
    session.wait_for_end()?;
    Ok(ExitCode::SUCCESS)
}

/// Prints how to reach the machine.
fn exports(session: &mut Session, report: &Report) -> Result<()> {
    for (name, value) in session.environment().iter().filter(|(name, _)| name.starts_with("DOCKER_")) {
        report.data(format_args!("export {name}={}", value.to_string_lossy()))?;
    }
    report
        .step("control", format_args!("hostctl --connect unix:{} status", session.machine().control_path().display()));
    Ok(())
}

fn with_command(
    options: &Options,
    (program, arguments): (&OsString, &[OsString]),
    (limit, anyway): (Duration, bool),
    report: &Report,
) -> Result<ExitCode> {
    let mut session = start(options, false)?;
    let console = || format!("the console is in {}", options.console.display());
    match session.wait_ready(limit).with_context(console)? {
        Health::Running => report.step("ready", ready(&mut session, &options.console)),
        Health::Degraded { problems, logs } => {
            for problem in problems {
                report.warning(format_args!("the host is degraded: {problem}"));
            }
            for (name, lines) in logs {
                lines.iter().for_each(|line| report.step("log", format_args!("{name}: {line}")));
            }
            if !anyway {
                return refuse(session, program, &options.console, report);
            }
        }
    }
    let status = session.command(program, arguments)?;
    session.power_off().with_context(console)?;
    match status.code() {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!("{} ended by a signal: {status}", Path::new(program).display()),
    }
}

/// Ends without the command. On a terminal the machine stays, so that the user can look at it.
fn refuse(mut session: Session, program: &OsString, console: &Path, report: &Report) -> Result<ExitCode> {
    if environment::is_interactive() {
        exports(&mut session, report)?;
        report.step("kept", "the virtual machine stays until Ctrl-C");
        session.wait_for_end()?;
    }
    let message = format!("the host is degraded: {} was not run", Path::new(program).display());
    let hint = format!("--anyway runs it all the same; the whole console is in {}", console.display());
    Err(Advised::new(message, Some(hint)).into())
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
