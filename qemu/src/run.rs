//! `berth run`: boots an image in a temporary virtual machine. The docker client of this computer can use docker in the machine.

use crate::{
    accel,
    error::VmError,
    firmware,
    machine::{Description, Machine, Serial},
    pki,
};
use berth_contract::{arch::Arch, control::Problem, engine::EngineKind, host_config::HostConfig};
use berth_control::ClientError;
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, SystemTime},
};

/// At most this many lines of a log are shown.
const LOG_LINES: usize = 20;
/// Longest time for an answer of a degraded host.
const ANSWER: Duration = Duration::from_secs(20);
/// Service that runs the declared containers.
const WORKLOAD: &str = "workload";
/// Log of PID 1.
const INIT: &str = "init";
/// Longest time for an orderly shutdown with KVM. Emulation gets a multiple of it.
const STOP: Duration = Duration::from_secs(30);

/// Options of `berth run`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The disk image.
    pub image: PathBuf,
    /// Architecture of the disk image.
    pub arch: Arch,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Size of the disk in bytes, if it is larger than the image.
    pub disk: Option<u64>,
    /// Forwarded TCP ports: (port of 127.0.0.1 on this computer, port of the guest).
    pub forwards: Vec<(u16, u16)>,
    /// A host.toml for the guest.
    pub config: Option<PathBuf>,
    /// Whether the image has docker. Docker's TLS listener is then added to the guest's host.toml.
    pub docker: bool,
    /// File for a copy of the console.
    pub console: PathBuf,
    /// Whether the guest may use this computer's network.
    pub reach_out: bool,
    /// The current time. Certificates are valid from shortly before it.
    pub now: SystemTime,
}

/// A machine, and what docker's client needs to reach it.
#[derive(Debug)]
pub struct Session {
    machine: Machine,
    /// `None` if the image has no docker.
    docker_port: Option<u16>,
}

/// The state of a host that has come up.
#[derive(Clone, Debug)]
pub enum Health {
    /// It is running.
    Running,
    /// It is degraded.
    Degraded {
        /// Its problems, one sentence each.
        problems: Vec<String>,
        /// The last lines of the logs that belong to them, by service.
        logs: Vec<(String, Vec<String>)>,
    },
}

/// Starts a machine for `options`. Its console is always written to a file. If `on_terminal` is set, it is on the terminal too.
///
/// # Errors
/// If a program or file that the machine needs is missing, or if the machine does not start.
pub fn start(options: &Options, on_terminal: bool) -> Result<Session, VmError> {
    let accel = accel::choose(options.arch, std::env::var("BERTH_ACCEL").ok().as_deref())?;
    let firmware =
        firmware::find(options.arch, std::env::var_os("BERTH_OVMF_CODE"), std::env::var_os("BERTH_OVMF_VARS"))?;
    let pki = pki::make(options.now)?;
    let mut config = options.config.as_deref().map(read_config).transpose()?.unwrap_or_default();
    if options.docker {
        config = pki.serve(config);
    }
    let text = toml::to_string(&config).map_err(|error| VmError::Certificates(error.to_string()))?;
    let mut description = Description::new(Some(options.image.clone()), accel, firmware, options.console.clone());
    description.arch = options.arch;
    description.memory = options.memory;
    description.cpus = options.cpus;
    description.reach_out = options.reach_out;
    description.forwards.clone_from(&options.forwards);
    let listener = config.docker.and_then(|docker| docker.tls).map(|tls| tls.listen.port());
    let guest_port = options.docker.then(|| listener.unwrap_or(EngineKind::Docker.row().tls_port));
    description.forwards.extend(guest_port.map(|port| (0, port)));
    description.disk_size = options.disk;
    description.host_config = Some(text);
    if on_terminal {
        description.serial = Serial::Terminal(options.console.clone());
    }
    let machine = description.start()?;
    pki.write_client(&machine.folder().join("docker"))?;
    let docker_port = guest_port.and_then(|port| machine.port(port));
    Ok(Session { machine, docker_port })
}

fn read_config(path: &Path) -> Result<HostConfig, VmError> {
    let text =
        fs::read_to_string(path).map_err(|source| VmError::Io { doing: "read", path: path.to_owned(), source })?;
    let fault = |fault: String| VmError::Config { path: path.to_owned(), fault };
    let config = berth_settings::host_config(&text).map_err(|wrong| fault(wrong.to_string()))?;
    Ok(config)
}

impl Session {
    /// The machine.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Environment variables for docker's client, the control port, and the forwarded ports.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, OsString)> {
        let control = format!("unix:{}", self.machine.control_path().display());
        let mut all: Vec<(String, OsString)> = vec![("BERTH_CONTROL".to_owned(), control.into())];
        if let Some(port) = self.docker_port {
            all.extend([
                ("DOCKER_HOST".to_owned(), format!("tcp://127.0.0.1:{port}").into()),
                ("DOCKER_TLS_VERIFY".to_owned(), "1".into()),
                ("DOCKER_CERT_PATH".to_owned(), self.machine.folder().join("docker").into()),
            ]);
        }
        for (host, guest) in self.machine.forwards() {
            all.push((format!("BERTH_PORT_{guest}"), host.to_string().into()));
        }
        all
    }

    /// Waits until the host is running or degraded. `limit` is for KVM: emulation gets a multiple of it.
    ///
    /// # Errors
    /// If it is neither within the time limit.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<Health, VmError> {
        let limit = limit * self.machine.accel().patience();
        match self.machine.wait_ready(limit) {
            Ok(()) => Ok(Health::Running),
            Err(VmError::Control(ClientError::Refused(_))) => self.degraded(),
            Err(error) => Err(error),
        }
    }

    fn degraded(&mut self) -> Result<Health, VmError> {
        let mut client = self.machine.control(ANSWER * self.machine.accel().patience())?;
        let problems = client.status()?.problems;
        let service = |problem: &Problem| match problem {
            Problem::Service { name, .. } => name.clone(),
            Problem::Container { .. } => WORKLOAD.to_owned(),
            Problem::Phase { .. } | Problem::ServiceFile { .. } => INIT.to_owned(),
        };
        let names: BTreeSet<String> = problems.iter().map(service).collect();
        let mut logs = Vec::new();
        for name in names {
            let mut lines = Vec::new();
            client.logs(&name, false, |line| {
                lines.push(line.text);
                Ok::<_, ClientError>(())
            })?;
            lines.drain(..lines.len().saturating_sub(LOG_LINES));
            logs.push((name, lines));
        }
        Ok(Health::Degraded { problems: problems.iter().map(ToString::to_string).collect(), logs })
    }

    /// Runs a program on this computer with [`Self::environment`], and waits until it ends.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn command(&self, program: &OsString, arguments: &[OsString]) -> Result<ExitStatus, VmError> {
        let name = program.to_string_lossy().into_owned();
        let status = Command::new(program).args(arguments).envs(self.environment()).status();
        status.map_err(|source| VmError::Program { program: name, source })
    }

    /// Waits until the machine ends by itself. There is no time limit.
    ///
    /// # Errors
    /// If the state of QEMU cannot be read.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus, VmError> {
        loop {
            match self.machine.wait_for_end(Duration::from_secs(3600)) {
                Err(VmError::TimeOut { .. }) => {}
                ended => return ended,
            }
        }
    }

    /// Tells the host to shut down, and waits until the machine is off.
    ///
    /// # Errors
    /// If the host does not power off within the time limit. QEMU is then killed.
    pub fn power_off(mut self) -> Result<(), VmError> {
        let limit = STOP * self.machine.accel().patience();
        self.machine.control(limit)?.poweroff()?;
        self.machine.wait_for_end(limit).map(drop)
    }
}
