//! The state of the running host, and the answers to clients.

use super::{
    Handover, SupervisorPaths,
    declared::declared,
    facts,
    fleet::Fleet,
    helper::Helper,
    hostctl_error::control_error,
    judge::{self, Judge},
    process::Errors,
    settings,
};
use crate::{
    config, console,
    control::{Answers, LogName, Readiness, Started},
    ending::{Ending, GOING_DOWN},
    services::{self, ServiceError},
    timeline::{Timeline, now_us},
};
use berth_contract::{
    boot_report::{InitrdReport, Stage},
    control::{
        BootReport, ConfigChange, ConfigStatus, ContainerStatus, ControlError, EngineStatus, HostState, LogLine,
        Problem, ServiceStatus, StatusReport,
    },
    fault::PathError,
    host_config::HostConfig,
    image_spec::ImageSpec,
    time_config::TimeStatus,
    update::BootEnd,
};
use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

/// When a shutdown first says what it waits for, and the time until it says so again, in microseconds.
const FIRST_WORD_US: u64 = 15_000_000;
const NEXT_WORD_US: u64 = 30_000_000;

/// The running host: its services, the judge, and the facts for `status`.
#[derive(Debug)]
pub(super) struct RunningHost {
    pub(super) fleet: Fleet,
    judge: Judge,
    hostctl: PathBuf,
    pub(super) image: ImageSpec,
    initrd: InitrdReport,
    timeline: Timeline,
    pub(super) config: ConfigStatus,
    /// The configuration in force.
    pub(super) settings: HostConfig,
    /// Programs that make a change of the configuration true.
    pub(super) helpers: Vec<Helper>,
    pub(super) paths: SupervisorPaths,
    pub(super) declared: Vec<ContainerStatus>,
    pub(super) machine_id: String,
    var_persistent: bool,
    /// Seconds that the services have together for their end after a bad verdict.
    pub(super) verdict_limit: u64,
    faults: Vec<ServiceError>,
    network_status: PathBuf,
    time_status: PathBuf,
    containers_status: PathBuf,
    var: PathBuf,
    engine_us: Option<u64>,
    ready_us: Option<u64>,
    pub(super) ending: Option<Ending>,
    /// When to say next what a shutdown waits for.
    say_us: u64,
}

impl RunningHost {
    /// Takes its part of the handover. The event loop takes the rest.
    pub(super) fn new(handover: &Handover, paths: &SupervisorPaths) -> Result<Self, PathError> {
        let mut services = services::load(&paths.services);
        if let Some(engine) = handover.image.engine.as_ref().filter(|_| !handover.var_persistent) {
            services.leave_out_engine(engine.kind.row().service);
        }
        for fault in &services.faults {
            console::error(format_args!("{fault}"));
        }
        let settings = handover.config.config.clone();
        settings::write_all(&paths.service_config, &services.specs, &settings);
        let (declared, verdict_limit) = declared(&settings, &handover.image);
        let environment = config::environment(&settings);
        Ok(Self {
            fleet: Fleet::new(services.specs, paths, environment, handover.timeline.clone())?,
            judge: Judge::new(
                handover.boot.clone(),
                handover.image.health.limit,
                &paths.hostctl,
                &paths.control.kernel_log,
            ),
            hostctl: paths.hostctl.clone(),
            image: handover.image.clone(),
            initrd: handover.initrd.clone(),
            timeline: handover.timeline.clone(),
            config: handover.config.status.clone(),
            settings,
            helpers: Vec::new(),
            paths: paths.clone(),
            declared,
            machine_id: handover.machine_id.clone(),
            var_persistent: handover.var_persistent,
            verdict_limit,
            faults: services.faults,
            network_status: paths.network_status.clone(),
            time_status: paths.time_status.clone(),
            containers_status: paths.containers_status.clone(),
            var: paths.var.clone(),
            engine_us: None,
            ready_us: None,
            ending: None,
            say_us: 0,
        })
    }

    /// Records when the engine is ready for the first time, and when all required services are.
    pub(super) fn notice_readiness(&mut self) {
        if self.ending.is_some() || self.ready_us.is_some() {
            return;
        }
        let now = now_us();
        if self.engine_us.is_none() && self.engine_is_ready() {
            self.engine_us = Some(now);
        }
        if self.fleet.states.all_required_ready() {
            self.ready_us = Some(now);
            let engine = self.image.engine.as_ref().map(|engine| format!(" {}-{}", engine.kind, engine.version));
            let (seconds, hundredths) = (now / 1_000_000, now / 10_000 % 100);
            console::announce(&format!("berth:{} ready after {seconds}.{hundredths:02} s", engine.unwrap_or_default()));
            for problem in self.problems() {
                console::warning(format_args!("degraded: {problem}"));
            }
        }
    }

    /// Starts the check whether the host is healthy.
    pub(super) fn begin_to_judge(&mut self) {
        if let Some(why) = self.judge.begin(&mut self.fleet) {
            self.go_down(Ending::Reboot, BootEnd::Verdict, &why);
        }
    }

    /// Takes the verdict, if there is one.
    pub(super) fn judge(&mut self) {
        if self.ending.is_none()
            && let Some(why) = self.judge.work(&mut self.fleet, now_us())
        {
            self.go_down(Ending::Reboot, BootEnd::Verdict, &why);
        }
    }

    /// When the event loop must check the host again, if no event comes before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let judge = self.judge.deadline_us().filter(|_| self.ending.is_none());
        let say = self.ending.map(|_| self.say_us);
        self.fleet.next_deadline_us().into_iter().chain(judge).chain(say).min()
    }

    /// Starts the shutdown, if it has not started yet.
    pub(super) fn begin_to_end(&mut self, ending: Ending, why: &str) {
        let how = match ending {
            Ending::Reboot => BootEnd::Reboot,
            Ending::Poweroff => BootEnd::Poweroff,
        };
        self.go_down(ending, how, why);
    }

    fn go_down(&mut self, ending: Ending, how: BootEnd, why: &str) {
        if self.ending.is_none() {
            console::announce(&format!("going down: {why}"));
            self.ending = Some(ending);
            GOING_DOWN.store(true, Ordering::Relaxed);
            // A service that hangs must not delay the return to a good version.
            let limit = (how == BootEnd::Verdict).then_some(self.verdict_limit);
            self.judge.ends(how);
            self.fleet.shut_down(limit);
            self.say_us = now_us() + FIRST_WORD_US;
        }
    }

    /// Says from time to time what a shutdown waits for.
    pub(super) fn notice_slow_end(&mut self) {
        let now = now_us();
        if let Some(ending) = self.ending.filter(|_| now >= self.say_us) {
            self.say_us = now + NEXT_WORD_US;
            for (name, seconds) in self.fleet.states.awaited(now) {
                console::announce(&format!(
                    "going down: waits for {name}, which is killed in {seconds} s; `{} --limit SECONDS` shortens this",
                    verb(ending)
                ));
            }
        }
    }

    /// What follows the shutdown, once all services have stopped. Waits for the boot record to be written.
    pub(super) fn ended(&self) -> Option<Ending> {
        let ended = self.ending.filter(|_| self.fleet.states.is_down());
        if ended.is_some() {
            self.judge.wait_for_record();
        }
        ended
    }

    fn engine_is_ready(&self) -> bool {
        self.image.engine.as_ref().is_some_and(|engine| self.fleet.states.is_ready(engine.kind.row().service))
    }

    fn problems(&self) -> Vec<Problem> {
        let failed = |stamp: &berth_contract::boot_report::PhaseStamp| {
            let error = stamp.error.as_ref().filter(|_| stamp.stage != Stage::Service)?;
            Some(Problem::Phase { name: stamp.name.clone(), error: error.clone() })
        };
        let mut problems: Vec<Problem> = self.timeline.stamps().iter().filter_map(failed).collect();
        problems.extend(self.faults.iter().map(|fault| Problem::ServiceFile { error: fault.to_string() }));
        let services = self.fleet.states.problems();
        // Only while a service has a problem: the report about containers is not updated afterwards.
        if !services.is_empty() {
            problems.extend(
                self.containers()
                    .into_iter()
                    .filter(|one| one.required)
                    .filter_map(|one| Some(Problem::Container { name: one.name, error: one.error? })),
            );
        }
        problems.extend(services);
        problems
    }

    fn containers(&self) -> Vec<ContainerStatus> {
        facts::containers(&self.containers_status, &self.declared)
    }

    fn state(&self, problems: &[Problem]) -> HostState {
        if self.ending.is_some() {
            HostState::Stopping
        } else if !problems.is_empty() && (self.ready_us.is_some() || !self.fleet.states.problems().is_empty()) {
            HostState::Degraded
        } else if self.fleet.states.all_required_ready() {
            HostState::Running
        } else {
            HostState::Booting
        }
    }
}

impl Answers for RunningHost {
    fn status(&self) -> StatusReport {
        let uname = rustix::system::uname();
        let problems = self.problems();
        StatusReport {
            image_id: self.image.id.clone(),
            version: self.image.version.clone(),
            kernel: uname.release().to_string_lossy().into_owned(),
            slot: self.initrd.slot,
            root_hash: self.initrd.root_hash,
            hostname: uname.nodename().to_string_lossy().into_owned(),
            machine_id: self.machine_id.clone(),
            state: self.state(&problems),
            problems,
            uptime_us: now_us(),
            engine: self.image.engine.as_ref().map(|engine| EngineStatus {
                kind: engine.kind,
                version: engine.version.clone(),
                ready: self.engine_is_ready(),
            }),
            config: self.config.clone(),
            network: facts::report(&self.network_status),
            time: facts::report(&self.time_status).map(|time: TimeStatus| time.at(Duration::from_micros(now_us()))),
            memory: facts::memory(),
            var: facts::var(&self.var, self.var_persistent),
            containers: self.containers(),
        }
    }

    fn boot(&self) -> BootReport {
        let mut phases = self.timeline.stamps();
        phases.sort_by_key(|stamp| stamp.start_us);
        BootReport { phases, ready_us: self.ready_us, engine_us: self.engine_us }
    }

    fn services(&self) -> Vec<ServiceStatus> {
        self.fleet.states.statuses()
    }

    fn readiness(&self) -> Readiness {
        let problems = self.problems();
        match self.state(&problems) {
            HostState::Booting => Readiness::Booting,
            HostState::Running => Readiness::Running,
            HostState::Degraded => Readiness::Degraded(problems),
            HostState::Stopping => Readiness::Stopping,
        }
    }

    fn log_names(&self) -> Vec<String> {
        let mut names = self.fleet.names();
        names.extend([judge::LOG, judge::SLOTS_LOG].map(str::to_owned));
        names
    }

    fn log(&self, log: &LogName, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        match log {
            LogName::Program(number) => self.fleet.programs.since(*number, from, limit),
            LogName::Service(name) => self.judge.log(name, &self.fleet, from, limit).unwrap_or_else(|| {
                self.fleet.output(name).map_or((Vec::new(), from), |output| output.since(from, limit))
            }),
            LogName::Init => {
                let (mut lines, next) = console::history(from);
                let first = next - lines.len() as u64;
                let mut bytes = 0;
                let fits = lines.iter().take_while(|line| {
                    let fits = bytes < limit;
                    bytes += line.text.len();
                    fits
                });
                let count = fits.count();
                lines.truncate(count);
                (lines, first + count as u64)
            }
        }
    }

    fn configure(&mut self, place: &str, watch: bool) -> Result<ConfigChange, String> {
        self.reconfigure(place, watch)
    }
    fn level_in_init(&self, number: u64) -> u8 {
        console::level_of(number) as u8
    }

    fn start_hostctl(&mut self, arguments: &[String], input: Option<&str>) -> Result<Started, String> {
        let mut words = vec![self.hostctl.display().to_string()];
        words.extend_from_slice(arguments);
        let Fleet { programs, cgroups, .. } = &mut self.fleet;
        programs.start("hostctl", &words, Errors::Apart, input, cgroups).map_err(|error| error.to_string())
    }

    fn end_of(&self, program: &Started) -> Option<Result<(), ControlError>> {
        let (exit, errors) = self.fleet.programs.end(program.number())?;
        Some(match exit.is_success() {
            true => Ok(()),
            false if errors.is_empty() => {
                Err(ControlError { message: format!("hostctl ended with {exit}"), hint: None, code: None })
            }
            false => Err(control_error(&errors)),
        })
    }

    fn restart(&mut self, service: &str) -> Result<(), String> {
        match self.fleet.restart(service) {
            true => {
                console::announce(&format!("{service} is restarted: a client asked for it"));
                Ok(())
            }
            false if self.ending.is_some() => Err("the host is going down".to_owned()),
            false => Err(format!("no service has the name {service:?}")),
        }
    }

    fn end(&mut self, ending: Ending, limit: Option<u64>) -> Result<(), String> {
        match self.ending {
            Some(first) if first != ending => return Err(format!("the host is going down already: {first:?}")),
            Some(_) => {}
            None => self.begin_to_end(ending, verb(ending)),
        }
        if limit.is_some() {
            self.fleet.shut_down(limit);
        }
        Ok(())
    }
}

/// The command for this end.
fn verb(ending: Ending) -> &'static str {
    match ending {
        Ending::Reboot => "hostctl reboot",
        Ending::Poweroff => "hostctl poweroff",
    }
}
