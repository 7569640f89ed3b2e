//! Is this version of the OS healthy? What `hostctl bless` finds out before it blesses the boot entry.
//!
//! Everything is looked at again and again until all of it has been well for a while, or the time is up; only a service that init has
//! given up is waited for no longer. The order is the one in which things come up.

pub mod baseline;
pub mod dns;
pub mod engine;
pub mod program;
mod steady;

use crate::{
    client::{Client, ClientError},
    file,
};
use berth_contract::{
    chain::Chain,
    control::{HostState, ServiceState, ServiceStatus, StatusReport},
    engine::EngineKind,
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths,
    update::{Baseline, HealthCheck, Verdict, check_timeout},
};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use steady::{Starts, Steady};

/// From one look to the next.
const PAUSE: Duration = Duration::from_secs(1);
/// What is wrong when what worked before an update does not any more, as in [`Verdict::Bad`].
pub(crate) const BASELINE: &str = "baseline";
/// How long init may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is left to init of its limit, so that a verdict comes before it.
const MARGIN: Duration = Duration::from_secs(5);

/// For how long a host must be well: what ends soon after its start does so within this time.
pub const STEADY: Duration = Duration::from_secs(10);

/// Bytes of what is said of a fault.
const LONGEST_WORD: usize = 500;

/// What a check gets even when the time is up: it may be the one that was wrong a moment ago.
const LEAST: Duration = Duration::from_secs(2);

/// Where things are. The default is a host's own.
#[derive(Clone, Debug)]
pub struct Places {
    /// init's control socket.
    pub control: PathBuf,
    /// docker's socket.
    pub docker: PathBuf,
    /// containerd's socket.
    pub containerd: PathBuf,
    /// Folder of the image's checks.
    pub checks: PathBuf,
    /// [`ImageSpec`].
    pub image_spec: PathBuf,
    /// [`HostConfig`].
    pub host_config: PathBuf,
    /// The last host.toml that a version could read.
    pub last_good_config: PathBuf,
    /// [`Baseline`].
    pub baseline: PathBuf,
    /// The kernel's routes: `/proc/net/route` (IPv4) and `/proc/net/ipv6_route`.
    pub routes: [PathBuf; 2],
    /// Where name servers listen.
    pub dns_port: u16,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            control: paths::CONTROL_SOCKET.into(),
            docker: paths::DOCKER_SOCKET.into(),
            containerd: paths::CONTAINERD_SOCKET.into(),
            checks: paths::HEALTH_CHECKS.into(),
            image_spec: paths::IMAGE_SPEC.into(),
            host_config: paths::HOST_CONFIG.into(),
            last_good_config: paths::LAST_GOOD_CONFIG.into(),
            baseline: paths::BASELINE.into(),
            routes: ["/proc/net/route".into(), "/proc/net/ipv6_route".into()],
            dns_port: dns::PORT,
        }
    }
}

/// Something is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What, as in [`Verdict::Bad`].
    pub what: String,
    /// One sentence.
    pub why: String,
    /// It will not get better.
    pub is_final: bool,
}

impl Fault {
    /// Texts of others may be of any length and shape; init takes the verdict from one of the last lines, of at most 8 KiB.
    fn new(what: impl Into<String>, why: impl ToString) -> Self {
        Self { what: one_line(&what.into()), why: one_line(&why.to_string()), is_final: false }
    }
}

fn one_line(text: &str) -> String {
    let mut line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(LONGEST_WORD));
    line
}

/// The time by which there must be a verdict, on the monotonic clock, which starts with the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Duration);

impl Deadline {
    /// A little before `seconds` since the kernel's start.
    #[must_use]
    pub fn before(seconds: u32) -> Self {
        let limit = Duration::from_secs(seconds.into());
        Self(limit.saturating_sub(MARGIN.min(limit / 10)))
    }

    /// So long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// What is left; nothing when it is over.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Finds out how the host is, and when it has been well for `steady`, or all that is left until the deadline, calls `bless`, which makes
/// the running version's boot entry a good one. `say` is told what is not well yet, each time it changes. A host that is not well in
/// time is `Bad` with what was wrong last.
pub fn judge(
    places: &Places,
    deadline: Deadline,
    steady: Duration,
    say: &mut dyn FnMut(&str),
    bless: &mut dyn FnMut() -> Result<(), String>,
) -> Verdict {
    let (mut last, mut steady) = (None, Steady::new(steady));
    loop {
        let began = now();
        let found = steady.add(examine(places, deadline), began, deadline).and_then(|enough| {
            if enough { bless().map_err(|error| Fault::new("boot entry", error)).map(|()| true) } else { Ok(false) }
        });
        let fault = match found {
            Ok(true) => {
                if let Err(error) = baseline::forget(places) {
                    say(&error.to_string());
                }
                return Verdict::Good;
            }
            Ok(false) => {
                std::thread::sleep(PAUSE);
                continue;
            }
            Err(fault) => fault,
        };
        let over = fault.is_final || deadline.left() <= PAUSE;
        if last.as_ref() != Some(&fault) {
            say(&format!("{}: {}", fault.what, fault.why));
        }
        if over {
            return Verdict::Bad { what: fault.what, why: fault.why };
        }
        last = Some(fault);
        std::thread::sleep(PAUSE);
    }
}

/// One look at everything, in the order in which it comes up.
fn examine(places: &Places, deadline: Deadline) -> Result<Starts, Fault> {
    let image: ImageSpec =
        file::json(&places.image_spec).map_err(|error| Fault::new("image", Chain(&error).to_string()))?;
    let (status, services) = ask_init(places).map_err(|error| Fault::new("init", error))?;
    if !status.var.persistent {
        return Err(Fault { is_final: true, ..Fault::new("phase var", "/var is in memory") });
    }
    // Another version could read it: without it this is another machine, with none of its checks.
    let was_good = places.last_good_config.exists();
    if let (Some(error), None, true) = (&status.config.error, &status.config.source, was_good) {
        return Err(Fault { is_final: true, ..Fault::new("host.toml", error) });
    }
    services_are_ready(&status, &services)?;
    let mut starts = Starts::of(&services);
    let docker = engine::Docker::new(&places.docker);
    match image.engine.as_ref().map(|engine| engine.kind) {
        Some(EngineKind::Docker) => {
            docker.ping().map_err(|error| Fault::new("engine docker", error))?;
            starts.add(required_containers_run(&status, &docker)?);
        }
        Some(EngineKind::Containerd) => {
            let connected = std::os::unix::net::UnixStream::connect(&places.containerd);
            connected.map_err(|error| {
                Fault::new("engine containerd", format!("cannot connect to {}: {error}", places.containerd.display()))
            })?;
        }
        // podman has no daemon that could answer.
        Some(EngineKind::Podman) | None => {}
    }
    let baseline: Option<Baseline> =
        file::json_if_there(&places.baseline).map_err(|error| Fault::new(BASELINE, Chain(&error).to_string()))?;
    if let Some(baseline) = baseline.filter(|baseline| baseline.to.as_ref() == Some(&image.version)) {
        let running = baseline::still_holds(&baseline, places, &status, &docker);
        starts.add(running.map_err(|why| Fault::new(BASELINE, why))?);
    }
    for check in checks(places)? {
        program::run(&check, deadline.left().max(LEAST))
            .map_err(|why| Fault::new(format!("check {}", check.name), why))?;
    }
    Ok(starts)
}

fn ask_init(places: &Places) -> Result<(StatusReport, Vec<ServiceStatus>), ClientError> {
    let mut client = Client::connect(&places.control, 0)?;
    client.set_timeout(Some(PATIENCE))?;
    Ok((client.status()?, client.services()?))
}

fn services_are_ready(status: &StatusReport, services: &[ServiceStatus]) -> Result<(), Fault> {
    if status.state == HostState::Stopping {
        return Err(Fault { is_final: true, ..Fault::new("init", "the host is going down") });
    }
    let Some(service) = services.iter().find(|one| one.required && one.state != ServiceState::Ready) else {
        // What is wrong with a service's file. A phase of the boot that failed is no reason: what needs it will say so.
        return match status.problems.iter().find(|problem| !problem.starts_with("boot phase ")) {
            Some(problem) => Err(Fault::new("init", problem)),
            None => Ok(()),
        };
    };
    let why = service.last_exit.clone().unwrap_or_else(|| "not ready yet".to_owned());
    let is_final = service.state == ServiceState::Failed;
    Err(Fault { is_final, ..Fault::new(format!("service {}", service.name), why) })
}

/// What init knows of containers is from their start; the engine knows of now.
fn required_containers_run(
    status: &StatusReport,
    docker: &engine::Docker,
) -> Result<Vec<(String, engine::Container)>, Fault> {
    let mut running = Vec::new();
    for container in status.containers.iter().filter(|container| container.required && container.state == "running") {
        let fault = |why: String| Fault::new(format!("container {}", container.name), why);
        match docker.container(&container.name).map_err(|error| fault(error.to_string()))? {
            Some(found) if found.runs() => running.push((container.name.clone(), found)),
            Some(found) => return Err(fault(format!("is {}, with status {}", found.status, found.exit_code))),
            None => return Err(fault("is not there any more".to_owned())),
        }
    }
    Ok(running)
}

/// The image's checks, then host.toml's.
fn checks(places: &Places) -> Result<Vec<HealthCheck>, Fault> {
    let mut programs: Vec<PathBuf> = match fs::read_dir(&places.checks) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_program(path)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Fault::new("checks", format!("cannot list {}: {error}", places.checks.display()))),
    };
    programs.sort();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let of_image = |path: PathBuf| HealthCheck {
        name: name(&path),
        exec: vec![path.display().to_string()],
        timeout: check_timeout(),
    };
    let mut all: Vec<HealthCheck> = programs.into_iter().map(of_image).collect();
    let config = file::json_if_there::<HostConfig>(&places.host_config);
    all.extend(config.map_err(|error| Fault::new("checks", Chain(&error).to_string()))?.unwrap_or_default().health);
    Ok(all)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
