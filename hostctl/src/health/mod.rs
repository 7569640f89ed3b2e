//! The health checks of `hostctl bless`: the running version must pass them before its boot entry is blessed.
//!
//! All checks are repeated until all of them have passed for some time, or the time limit has passed. A final fault, such as a service
//! that init does not restart any more, ends the checks at once. The checks follow the order in which the host starts.

pub mod baseline;
pub mod dns;
pub mod program;
mod steady;

use crate::file;
use berth_contract::{
    chain::Chain,
    container_state::ContainerState,
    control::{ContainerStatus, HostState, Problem, ServiceState, ServiceStatus, StatusReport},
    engine::EngineKind,
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths,
    subject::Subject,
    update::{Baseline, HealthCheck, Verdict, check_timeout},
};
use berth_control::{Client, ClientError};
use berth_engine::{Container, EngineClient, Limits};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use steady::{Starts, Steady};

/// Wait between two rounds of checks.
const PAUSE: Duration = Duration::from_secs(1);
/// Time limit for an answer of init.
const PATIENCE: Duration = Duration::from_secs(20);
/// Limits for an answer of the engine.
const ENGINE_LIMITS: Limits = Limits { body: 8 << 20, silence: PATIENCE };
/// The verdict must come this long before init's own time limit.
const MARGIN: Duration = Duration::from_secs(5);

/// Time for which all checks must pass. A service or container that crashes soon after its start crashes within this time.
pub const STEADY: Duration = Duration::from_secs(10);

/// Size limit of a fault's name and of its sentence, in bytes.
const MAX_TEXT: usize = 500;

/// Minimum time for a check, even when the time limit has passed: a check that failed a moment ago may pass now.
const MIN_CHECK_TIME: Duration = Duration::from_secs(2);

/// Paths that the checks use. The default is those of a host; tests use others.
#[derive(Clone, Debug)]
pub struct Places {
    /// init's control socket.
    pub control: PathBuf,
    /// The engine's socket; `None` means the socket in the engine's row.
    pub engine: Option<PathBuf>,
    /// Folder of the image's health checks.
    pub checks: PathBuf,
    /// [`ImageSpec`].
    pub image_spec: PathBuf,
    /// [`HostConfig`].
    pub host_config: PathBuf,
    /// The last host.toml that was applied without an error.
    pub last_good_config: PathBuf,
    /// [`Baseline`].
    pub baseline: PathBuf,
    /// The kernel's routes: `/proc/net/route` (IPv4) and `/proc/net/ipv6_route`.
    pub routes: [PathBuf; 2],
    /// UDP port of name servers.
    pub dns_port: u16,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            control: paths::CONTROL_SOCKET.into(),
            engine: None,
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

impl Places {
    /// A client of this engine.
    fn client(&self, kind: EngineKind) -> Box<dyn EngineClient> {
        let socket = self.engine.as_deref().unwrap_or(Path::new(kind.row().socket));
        berth_engine::client(kind, socket, ENGINE_LIMITS)
    }

    /// A client of the image's engine. `None` if the image has no engine, or its description cannot be read.
    fn engine(&self) -> Option<Box<dyn EngineClient>> {
        let image: ImageSpec = file::json(&self.image_spec).ok()?;
        Some(self.client(image.engine?.kind))
    }
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The part of the host, as in [`Verdict::Bad`].
    pub what: Subject,
    /// The reason, in one sentence.
    pub why: String,
    /// Repeating the check cannot help.
    pub is_final: bool,
}

impl Fault {
    /// Shortens name and sentence, and makes each one line: they may contain output of other programs. init reads the verdict from one of
    /// the last lines of output, of at most 8 KiB.
    fn new(what: Subject, why: impl ToString) -> Self {
        let what = what.renamed(|name| one_line(&name));
        Self { what, why: one_line(&why.to_string()), is_final: false }
    }
}

fn one_line(text: &str) -> String {
    let mut line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.truncate(line.floor_char_boundary(MAX_TEXT));
    line
}

/// The time limit for the verdict, as a time of the monotonic clock, which starts with the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Duration);

impl Deadline {
    /// A little before `seconds` since the kernel's start.
    #[must_use]
    pub fn before(seconds: u32) -> Self {
        let limit = Duration::from_secs(seconds.into());
        Self(limit.saturating_sub(MARGIN.min(limit / 10)))
    }

    /// `time` from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(now() + time)
    }

    /// The time that is left; 0 after the deadline.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }
}

/// Microseconds since the kernel's start.
#[must_use]
pub fn monotonic_us() -> u64 {
    u64::try_from(now().as_micros()).unwrap_or(u64::MAX)
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Repeats the checks until they have passed for the time `steady`, or for all the time that is left until the deadline. Then calls
/// `bless`, which blesses the running version's boot entry.
///
/// `say` gets the current fault each time it changes. If the checks do not pass before the deadline, the verdict is `Bad` with the last
/// fault.
pub fn judge(
    places: &Places,
    deadline: Deadline,
    steady: Duration,
    say: &mut dyn FnMut(&str),
    bless: &mut dyn FnMut() -> Result<(), String>,
) -> Verdict {
    let (mut last, mut steady) = (None, Steady::new(steady));
    if let (_, Some(damage)) = file::json_or_empty::<Option<Baseline>>(&places.baseline) {
        say(&format!("{}; it counts as empty", Chain(&damage)));
    }
    loop {
        let began = now();
        let found = steady.add(examine(places, deadline), began, deadline).and_then(|enough| {
            if enough {
                bless().map_err(|error| Fault::new(Subject::BootEntry, error)).map(|()| true)
            } else {
                Ok(false)
            }
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

/// Runs all checks once, in the order in which the host starts.
fn examine(places: &Places, deadline: Deadline) -> Result<Starts, Fault> {
    let image: ImageSpec =
        file::json(&places.image_spec).map_err(|error| Fault::new(Subject::Image, Chain(&error).to_string()))?;
    let (status, services) = ask_init(places).map_err(|error| Fault::new(Subject::Init, error))?;
    if !status.var.persistent {
        return Err(Fault { is_final: true, ..Fault::new(Subject::Phase("var".to_owned()), "/var is in memory") });
    }
    // An earlier version could read host.toml, and this version cannot. Without it, the host lacks its name, containers and checks.
    let was_good = places.last_good_config.exists();
    if let (Some(error), None, true) = (&status.config.error, &status.config.source, was_good) {
        return Err(Fault { is_final: true, ..Fault::new(Subject::HostConfig, error) });
    }
    services_are_ready(&status, &services)?;
    let mut starts = Starts::of(&services);
    let engine = image.engine.as_ref().map(|engine| (engine.kind, places.client(engine.kind)));
    if let Some((kind, client)) = &engine {
        client.ping().map_err(|error| Fault::new(Subject::Engine(kind.to_string()), error))?;
        starts.add(required_containers_run(&status, &**client)?);
    }
    // A damaged baseline is no fault of the version.
    let (baseline, _) = file::json_or_empty::<Option<Baseline>>(&places.baseline);
    if let Some(baseline) = baseline.filter(|baseline| baseline.to.as_ref() == Some(&image.version)) {
        starts.add(baseline::still_holds(&baseline, places, &status, engine.as_ref().map(|(_, client)| &**client))?);
    }
    for check in checks(places)? {
        program::run(&check, deadline.left().max(MIN_CHECK_TIME))
            .map_err(|why| Fault::new(Subject::Check(check.name.clone()), why))?;
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
        return Err(Fault { is_final: true, ..Fault::new(Subject::Init, "the host is going down") });
    }
    let Some(service) = services.iter().find(|one| one.required && one.state != ServiceState::Ready) else {
        // A failed phase of the boot is not a fault by itself: if a service or container needs the phase, it fails too.
        return match status.problems.iter().find(|problem| !matches!(problem, Problem::Phase { .. })) {
            Some(problem) => Err(Fault::new(Subject::Init, problem)),
            None => Ok(()),
        };
    };
    let why = service.last_exit.clone().unwrap_or_else(|| "not ready yet".to_owned());
    let is_final = service.state == ServiceState::Failed;
    Err(Fault { is_final, ..Fault::new(Subject::Service(service.name.clone()), why) })
}

/// Asks the engine about the required containers, because init knows only their state after their start.
fn required_containers_run(
    status: &StatusReport,
    engine: &dyn EngineClient,
) -> Result<Vec<(String, Container)>, Fault> {
    let mut running = Vec::new();
    let started = |container: &&ContainerStatus| container.required && container.state == ContainerState::Running;
    for container in status.containers.iter().filter(started) {
        let fault = |why: String| Fault::new(Subject::Container(container.name.clone()), why);
        match engine.inspect(&container.name).map_err(|error| fault(error.to_string()))? {
            Some(found) if found.runs() => running.push((container.name.clone(), found)),
            Some(found) => return Err(fault(format!("is {}, with status {}", found.state, found.exit_code))),
            None => return Err(fault("does not exist any more".to_owned())),
        }
    }
    Ok(running)
}

/// The checks of the image, then the checks of host.toml.
fn checks(places: &Places) -> Result<Vec<HealthCheck>, Fault> {
    let mut programs: Vec<PathBuf> = match fs::read_dir(&places.checks) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_program(path)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Fault::new(Subject::Checks, format!("cannot list {}: {error}", places.checks.display())));
        }
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
    all.extend(
        config.map_err(|error| Fault::new(Subject::Checks, Chain(&error).to_string()))?.unwrap_or_default().health,
    );
    Ok(all)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
