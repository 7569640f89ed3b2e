//! The services and their processes. Performs the actions of [`ServiceStates`], and reports events to it.

use super::{
    SupervisorPaths,
    cgroup::{self, Cgroups},
    exit::Exit,
    notify::NotifySocket,
    output::{LineCutter, Output},
    process,
    programs::Programs,
    sockets::SocketWatch,
    states::{Action, Change, ServiceStates},
};
use crate::{
    console,
    timeline::{RunningPhase, Timeline, now_us},
};
use berth_contract::{
    boot_report::Stage,
    control::LogLine,
    fault::{At, PathError},
    service::{Readiness, ServiceSpec},
};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    io::{Errno, read},
    process::{Signal, WaitOptions, wait},
};
use std::{
    collections::BTreeMap,
    io::PipeReader,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Tokens of the fleet's epoll. Pipes have tokens from [`FIRST_PIPE`] on.
const NOTIFY: u64 = 0;
const SOCKETS: u64 = 1;
const PROGRAMS: u64 = 2;
const FIRST_PIPE: u64 = 16;
/// Maximum number of bytes of a service that are read in one turn.
const BYTES_PER_TURN: usize = 64 * 1024;
/// Maximum number of notifications that are read in one turn. The rest waits for the next turn.
const MESSAGES_PER_TURN: u32 = 64;

/// All services of the host.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) states: ServiceStates,
    pub(super) programs: Programs,
    outputs: BTreeMap<String, Output>,
    pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    epoll: OwnedFd,
    pub(super) cgroups: Cgroups,
    sockets: SocketWatch,
    notify: Option<NotifySocket>,
    notify_path: PathBuf,
    /// Variables that every service and program gets: the proxy.
    environment: Vec<(String, String)>,
    timeline: Timeline,
    /// Time stamps of services that are starting for the first time.
    stamps: BTreeMap<String, RunningPhase>,
    /// Whether there is work for the next turn that no descriptor reports.
    due: bool,
}

/// The output of one process of a service and its children.
#[derive(Debug)]
struct Pipe {
    service: String,
    reader: PipeReader,
    cutter: LineCutter,
}

impl Fleet {
    pub(super) fn new(
        specs: BTreeMap<String, ServiceSpec>,
        paths: &SupervisorPaths,
        environment: Vec<(String, String)>,
        timeline: Timeline,
    ) -> Result<Self, PathError> {
        let (cgroups, made) = Cgroups::new(paths.cgroup.as_deref());
        let say = |error: PathError| console::error(format_args!("{error}"));
        made.unwrap_or_else(say);
        let notify = NotifySocket::bind(&paths.notify).map_err(say).ok();
        let fleet = Self {
            outputs: specs.keys().map(|name| (name.clone(), Output::default())).collect(),
            states: ServiceStates::new(specs, now_us()),
            programs: Programs::new(environment.clone())?,
            environment,
            pipes: BTreeMap::new(),
            next_pipe: FIRST_PIPE,
            epoll: epoll::create(CreateFlags::CLOEXEC).at("open", "epoll")?,
            cgroups,
            sockets: SocketWatch::new().at("open", "inotify")?,
            notify,
            notify_path: paths.notify.clone(),
            timeline,
            stamps: BTreeMap::new(),
            due: true,
        };
        fleet.watch(fleet.sockets.as_fd(), SOCKETS)?;
        fleet.watch(fleet.programs.as_fd(), PROGRAMS)?;
        if let Some(notify) = &fleet.notify {
            fleet.watch(notify.as_fd(), NOTIFY)?;
        }
        Ok(fleet)
    }

    /// Does everything that can be done without blocking.
    pub(super) fn work(&mut self) {
        self.due = false;
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error is ignored: the next turn reports the same events.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&at_once));
        for event in events {
            self.read_pipe(event.data.u64());
        }
        self.take_notifications();
        self.ask_sockets();
        self.programs.work();
        self.reap();
        loop {
            let actions = self.states.due(now_us());
            if actions.is_empty() {
                return;
            }
            actions.into_iter().for_each(|action| self.perform(action));
        }
    }

    /// When to call [`Fleet::work`] again, if no event comes before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let due = (self.due || self.programs.is_due()).then_some(0);
        self.states.next_deadline_us().into_iter().chain(self.sockets.next_deadline_us()).chain(due).min()
    }

    /// Sets the variables of services and programs that are started from now on.
    pub(super) fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.programs.environment.clone_from(&environment);
        self.environment = environment;
    }

    /// See [`ServiceStates::reload`].
    pub(super) fn reload(&mut self, name: &str) {
        self.states.reload(name, now_us());
        self.due = true;
    }

    /// See [`ServiceStates::shut_down`].
    pub(super) fn shut_down(&mut self, limit: Option<u64>) {
        self.states.shut_down(now_us(), limit);
        self.due = true;
    }

    /// See [`ServiceStates::restart`].
    pub(super) fn restart(&mut self, name: &str) -> bool {
        self.due = true;
        self.states.restart(name, now_us())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.outputs.keys().cloned().collect()
    }

    pub(super) fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.get(name)
    }

    fn watch(&self, fd: BorrowedFd<'_>, token: u64) -> Result<(), PathError> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token), EventFlags::IN).at("watch", "service")
    }

    /// Reads lines from a pipe, up to the limit of one turn.
    fn read_pipe(&mut self, token: u64) {
        let Some(pipe) = self.pipes.get_mut(&token) else { return };
        let Some(output) = self.outputs.get_mut(&pipe.service) else { return };
        let at_us = now_us();
        let (mut bytes, mut taken) = ([0; 16 * 1024], 0);
        while taken < BYTES_PER_TURN {
            match read(&pipe.reader, &mut bytes) {
                Ok(count) if count > 0 => {
                    taken += count;
                    pipe.cutter.push(&bytes[..count], |text| output.push(LogLine { at_us, text }));
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // The other end is closed.
                Ok(_) | Err(_) => {
                    if let Some(text) = pipe.cutter.finish() {
                        output.push(LogLine { at_us, text });
                    }
                    self.pipes.remove(&token);
                    return;
                }
            }
        }
    }

    fn take_notifications(&mut self) {
        let mut left = MESSAGES_PER_TURN;
        while let Some(Ok(Some(sender))) = self.notify.as_ref().map(|notify| notify.next_ready(&mut left)) {
            let main = self.states.service_of(sender).map(str::to_owned);
            if let Some(name) = main.or_else(|| self.cgroups.service_of(sender)) {
                // A notification is ignored unless the service's file asks for it.
                if self.states.spec(&name).is_some_and(|spec| spec.ready == Readiness::Notify) {
                    self.states.ready(&name, now_us());
                }
            }
        }
    }

    fn ask_sockets(&mut self) {
        for name in self.sockets.look(now_us()) {
            self.states.ready(&name, now_us());
        }
    }

    /// Reaps all children that have ended, including orphans.
    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let process = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or(0);
                    let Some(exit) = Exit::of(status) else { continue };
                    if !self.programs.exited(process, exit)
                        && let Some(name) = self.states.service_of(process).map(str::to_owned)
                    {
                        // First read the rest of its output: the message about its end shows the last line.
                        let pipes: Vec<u64> = self.pipes_of(&name);
                        pipes.into_iter().for_each(|pipe| self.read_pipe(pipe));
                        self.states.exited(process, exit, now_us());
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn pipes_of(&self, name: &str) -> Vec<u64> {
        self.pipes.iter().filter(|(_, pipe)| pipe.service == name).map(|(token, _)| *token).collect()
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(name) => self.start(&name),
            Action::HangUp { process } => cgroup::signal(process, Signal::HUP),
            Action::Terminate { process, .. } => cgroup::signal(process, Signal::TERM),
            Action::Kill { name, process } => {
                cgroup::signal(process, Signal::KILL);
                if self.states.spec(&name).is_some_and(|spec| !spec.keep_children) {
                    self.cgroups.kill(&name, process);
                }
            }
            Action::KillRest { name, process } => self.cgroups.kill(&name, process),
            Action::Report { name, change } => self.report(&name, &change),
        }
    }

    fn start(&mut self, name: &str) {
        let Some(spec) = self.states.spec(name).cloned() else { return };
        if self.states.is_first_start(name) {
            self.stamps.insert(name.to_owned(), self.timeline.begin(Stage::Service, name));
        }
        if let Readiness::Socket(path) = &spec.ready {
            self.sockets.await_socket(name, Path::new(path), now_us());
        }
        match process::start(name, &spec, &self.environment, &self.cgroups, &self.notify_path) {
            Ok((process, reader)) => {
                let token = self.next_pipe;
                self.next_pipe += 1;
                if let Err(error) = self.watch(reader.as_fd(), token) {
                    console::warning(format_args!("service {name}: its output cannot be read: {error}"));
                } else {
                    let pipe = Pipe { service: name.to_owned(), reader, cutter: LineCutter::default() };
                    self.pipes.insert(token, pipe);
                }
                self.states.started(name, process, now_us());
            }
            Err(error) => self.states.not_started(name, &error.to_string(), now_us()),
        }
        self.due = true;
    }

    fn report(&mut self, name: &str, change: &Change) {
        let stamp = self.stamps.remove(name);
        if *change != Change::Ready {
            self.sockets.forget(name);
        }
        let (error, line) = match change {
            Change::Ready => {
                match stamp.map(|stamp| stamp.end(None)) {
                    Some(took_us) => console::announce(&format!("{name} ok ({} ms)", took_us / 1000)),
                    None => console::announce(&format!("{name} ok again")),
                }
                return;
            }
            Change::Again { how, delay } => (how, format!("{how}, restarting in {delay} s")),
            Change::Failed { how } => (how, format!("{how}, not restarting")),
            Change::Stopped => {
                let _ = stamp.map(|stamp| stamp.end(None));
                return console::announce(&format!("{name} stopped"));
            }
            Change::Stuck => {
                return console::error(format_args!("{name} does not end, even after SIGKILL"));
            }
        };
        let _ = stamp.map(|stamp| stamp.end(Some(error.clone())));
        let last = self.outputs.get(name).and_then(Output::last).map(|line| format!("; it said: {}", line.text));
        console::error(format_args!("{name} FAILED: {line}{}", last.unwrap_or_default()));
    }
}

impl AsFd for Fleet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
