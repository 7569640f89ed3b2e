//! The states of all services. Takes events and the time, and returns actions. Uses no clock and makes no system calls.

use super::{
    exit::Exit,
    unit::{SECOND, State, Then, Unit},
};
use berth_contract::{
    control::{Problem, ServiceStatus},
    service::{Readiness, Reload, Restart, ServiceSpec},
};
use std::collections::BTreeMap;

/// Minimum time limit of a shutdown in seconds. Then the remaining services are killed and not waited for.
const SHUTDOWN_LIMIT: u64 = 90;
/// Seconds from SIGKILL until the supervisor stops waiting for the process.
const KILL_LIMIT: u64 = 5;

/// An action for the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start the service, then call [`ServiceStates::started`] or [`ServiceStates::not_started`].
    Start(String),
    /// Send SIGHUP to its main process.
    HangUp { process: u32 },
    /// Send SIGTERM to its main process.
    Terminate { name: String, process: u32 },
    /// Send SIGKILL to its main process, and to its other processes unless `keep_children` is set.
    Kill { name: String, process: u32 },
    /// Send SIGKILL to the processes that are left after the end of its main process `process`.
    KillRest { name: String, process: u32 },
    /// Print a line.
    Report { name: String, change: Change },
}

/// A change that is reported to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The service is ready.
    Ready,
    /// The service has ended and will be started again.
    Again {
        /// How it ended.
        how: String,
        /// Seconds until the next start.
        delay: u64,
    },
    /// The service has failed and will not be started again.
    Failed {
        /// How it ended.
        how: String,
    },
    /// The service has ended as expected.
    Stopped,
    /// The service does not end, even after SIGKILL.
    Stuck,
}

/// All services.
#[derive(Debug)]
pub(super) struct ServiceStates {
    units: BTreeMap<String, Unit>,
    actions: Vec<Action>,
    /// Deadline of a shutdown.
    down_by_us: Option<u64>,
}

impl ServiceStates {
    /// All services, waiting. Every service that one of them needs must be in the map ([`crate::services::load`]).
    pub(super) fn new(specs: BTreeMap<String, ServiceSpec>, now_us: u64) -> Self {
        let units = specs.into_iter().map(|(name, spec)| (name, Unit::new(spec, now_us))).collect();
        Self { units, actions: Vec::new(), down_by_us: None }
    }

    /// The actions that are due.
    pub(super) fn due(&mut self, now_us: u64) -> Vec<Action> {
        for name in self.units.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&name, now_us);
        }
        if let Some(limit) = self.down_by_us {
            self.stop_unneeded(now_us, now_us >= limit);
        }
        std::mem::take(&mut self.actions)
    }

    /// When to call [`ServiceStates::due`] again, if no event comes before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let limit = self.down_by_us.filter(|_| !self.is_down());
        self.units.values().filter_map(Unit::deadline_us).chain(limit).min()
    }

    /// The service of an [`Action::Start`] has this main process.
    pub(super) fn started(&mut self, name: &str, process: u32, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if let State::Starting { deadline_us, .. } = unit.state {
            unit.state = State::Starting { process: Some(process), deadline_us };
            if unit.spec.ready == Readiness::Started {
                self.ready(name, now_us);
            }
        }
    }

    /// The service of an [`Action::Start`] could not be started.
    pub(super) fn not_started(&mut self, name: &str, why: &str, now_us: u64) {
        self.ended(name, format!("cannot be started: {why}"), false, now_us);
    }

    /// The service has reported that it is ready, or its socket answers.
    pub(super) fn ready(&mut self, name: &str, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if let State::Starting { process, .. } = unit.state {
            unit.set(State::Ready { process }, now_us);
            unit.is_reloading = false;
            self.report(name, Change::Ready);
        }
    }

    /// A process has ended. False when it was not the main process of a service.
    pub(super) fn exited(&mut self, process: u32, exit: Exit, now_us: u64) -> bool {
        let found = self.units.iter().find(|(_, unit)| unit.process() == Some(process));
        let Some((name, unit)) = found.map(|(name, unit)| (name.clone(), unit)) else { return false };
        if !unit.spec.keep_children {
            self.actions.push(Action::KillRest { name: name.clone(), process });
        }
        self.ended(&name, exit.to_string(), exit.is_success(), now_us);
        true
    }

    /// The settings of a service have changed: it gets SIGHUP, or is stopped and started, as its file says. A service that is not running
    /// reads them when it starts.
    pub(super) fn reload(&mut self, name: &str, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        match (unit.state, unit.spec.reload) {
            _ if self.down_by_us.is_some() => {}
            (State::Ready { process: Some(process) }, Reload::Signal) => self.actions.push(Action::HangUp { process }),
            // A one-shot service does its work again.
            (State::Ready { process: None } | State::Failed | State::Stopped, _) => {
                (unit.is_reloading, unit.last_exit) = (true, None);
                self.put(name, State::Waiting, now_us);
            }
            // While it starts it does not know signals yet.
            (State::Ready { process: Some(process) } | State::Starting { process: Some(process), .. }, _) => {
                unit.is_reloading = true;
                self.stop(name, process, Then::Start, now_us);
            }
            _ => {}
        }
    }

    /// Stops a service, if it runs, and starts it again. Also starts a service that has ended. False if there is no such service, or the
    /// host is going down.
    pub(super) fn restart(&mut self, name: &str, now_us: u64) -> bool {
        let Some(unit) = self.units.get_mut(name).filter(|_| self.down_by_us.is_none()) else { return false };
        let process = unit.process();
        match (&mut unit.state, process) {
            (State::Stopping { then, .. }, _) => *then = Then::Start,
            (_, Some(process)) => self.stop(name, process, Then::Start, now_us),
            (_, None) => unit.set(State::Waiting, now_us),
        }
        true
    }

    /// Starts to stop all services. A second call can only shorten the time. Every service has the time that its file gives it, even if they end one
    /// after the other, but all together not more than `limit` seconds.
    pub(super) fn shut_down(&mut self, now_us: u64, limit: Option<u64>) {
        let running = self.units.values().filter(|unit| unit.process().is_some());
        let longest: u64 = running.map(|unit| u64::from(unit.spec.stop_timeout) + KILL_LIMIT).sum();
        let seconds = SHUTDOWN_LIMIT.max(longest + KILL_LIMIT).min(limit.unwrap_or(u64::MAX));
        let by_us = now_us + seconds * SECOND;
        self.down_by_us =
            Some(self.down_by_us.map_or(by_us, |before| if limit.is_some() { before.min(by_us) } else { before }));
    }

    /// The services that are being stopped, each with the seconds until it is killed.
    pub(super) fn awaited(&self, now_us: u64) -> Vec<(&str, u64)> {
        let left = |deadline_us: u64| {
            deadline_us.min(self.down_by_us.unwrap_or(deadline_us)).saturating_sub(now_us).div_ceil(SECOND)
        };
        let stopping = self.units.iter().filter_map(|(name, unit)| match unit.state {
            State::Stopping { deadline_us, .. } => Some((name.as_str(), left(deadline_us))),
            _ => None,
        });
        stopping.collect()
    }

    /// Whether a shutdown is complete: no service has a process.
    pub(super) fn is_down(&self) -> bool {
        self.down_by_us.is_some() && self.units.values().all(|unit| unit.process().is_none())
    }

    /// Name of the service with this main process.
    pub(super) fn service_of(&self, process: u32) -> Option<&str> {
        self.units.iter().find(|(_, unit)| unit.process() == Some(process)).map(|(name, _)| name.as_str())
    }

    /// The definition of the service.
    pub(super) fn spec(&self, name: &str) -> Option<&ServiceSpec> {
        self.units.get(name).map(|unit| &unit.spec)
    }

    /// Whether the service has been started exactly once.
    pub(super) fn is_first_start(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(|unit| unit.starts == 1)
    }

    /// Whether the service is ready.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(Unit::is_ready)
    }

    /// Whether all required services are ready.
    pub(super) fn all_required_ready(&self) -> bool {
        self.units.values().all(|unit| unit.is_ready() || !unit.spec.required)
    }

    /// The problems of the required services.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.units.iter().filter(|(_, unit)| unit.spec.required).filter_map(|(name, unit)| unit.problem(name)).collect()
    }

    /// All services, by name.
    pub(super) fn statuses(&self) -> Vec<ServiceStatus> {
        self.units.iter().map(|(name, unit)| unit.status(name)).collect()
    }

    fn report(&mut self, name: &str, change: Change) {
        self.actions.push(Action::Report { name: name.to_owned(), change });
    }

    fn look_at(&mut self, name: &str, now_us: u64) {
        let down = self.down_by_us.is_some();
        let Some(unit) = self.units.get(name) else { return };
        let over = unit.deadline_us().is_some_and(|deadline| deadline <= now_us);
        match unit.state {
            State::Waiting | State::Backoff { .. } if down => self.put(name, State::Stopped, now_us),
            State::Waiting if unit.spec.needs.iter().all(|need| self.is_ready(need)) => self.start(name, now_us),
            State::Backoff { .. } if over => {
                self.put(name, State::Waiting, now_us);
                self.look_at(name, now_us);
            }
            State::Starting { process: Some(process), .. } if over => {
                let how = format!("not ready after {} s", unit.spec.start_timeout);
                if let Some(unit) = self.units.get_mut(name) {
                    unit.last_exit = Some(how);
                }
                self.stop(name, process, Then::Fail, now_us);
            }
            State::Stopping { process, killed: false, then, .. } if over => {
                let deadline_us = now_us + KILL_LIMIT * SECOND;
                self.put(name, State::Stopping { process, deadline_us, killed: true, then }, now_us);
                self.actions.push(Action::Kill { name: name.to_owned(), process });
            }
            State::Stopping { killed: true, .. } if over => {
                self.put(name, State::Failed, now_us);
                self.report(name, Change::Stuck);
            }
            _ => {}
        }
    }

    fn put(&mut self, name: &str, state: State, now_us: u64) {
        if let Some(unit) = self.units.get_mut(name) {
            unit.set(state, now_us);
        }
    }

    fn start(&mut self, name: &str, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        unit.starts = unit.starts.saturating_add(1);
        let deadline_us = now_us + u64::from(unit.spec.start_timeout) * SECOND;
        unit.set(State::Starting { process: None, deadline_us }, now_us);
        self.actions.push(Action::Start(name.to_owned()));
    }

    fn stop(&mut self, name: &str, process: u32, then: Then, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        let deadline_us = now_us + u64::from(unit.spec.stop_timeout) * SECOND;
        unit.set(State::Stopping { process, deadline_us, killed: false, then }, now_us);
        self.actions.push(Action::Terminate { name: name.to_owned(), process });
    }

    /// Stops the services that no running service needs, and at last those with `stop_last`. After the deadline all services are killed at once.
    fn stop_unneeded(&mut self, now_us: u64, over: bool) {
        let running: Vec<(String, u32)> =
            self.units.iter().filter_map(|(name, unit)| Some((name.clone(), unit.process()?))).collect();
        for (name, process) in &running {
            let last = self.units[name].spec.stop_last;
            let waits_for = |other: &ServiceSpec| other.needs.contains(name) || last && !other.stop_last;
            let needed = running.iter().any(|(other, _)| waits_for(&self.units[other].spec));
            let state = self.units[name].state;
            if over {
                self.actions.push(Action::Kill { name: name.clone(), process: *process });
                self.put(name, State::Failed, now_us);
                self.report(name, Change::Stuck);
            } else if let State::Stopping { process, deadline_us, killed, .. } = state {
                // It is being stopped for another reason. Now it must not be started again.
                let unit = self.units.get_mut(name);
                unit.into_iter().for_each(|unit| {
                    unit.state = State::Stopping { process, deadline_us, killed, then: Then::Stay };
                });
            } else if !needed {
                self.stop(name, *process, Then::Stay, now_us);
            }
        }
    }

    fn ended(&mut self, name: &str, how: String, success: bool, now_us: u64) {
        let down = self.down_by_us.is_some();
        let Some(unit) = self.units.get_mut(name) else { return };
        // "Not ready in time" is the cause; the signal that followed is not.
        let timed_out = matches!(unit.state, State::Stopping { then: Then::Fail, .. });
        if matches!(unit.state, State::Stopping { then: Then::Start, .. }) && !down && unit.is_reloading {
            unit.last_exit = None;
            return unit.set(State::Waiting, now_us);
        }
        unit.is_reloading = false;
        let how = unit.last_exit.take().filter(|_| timed_out).unwrap_or(how);
        unit.last_exit = Some(how.clone());
        let starting = matches!(unit.state, State::Starting { .. });
        let (state, change) = if matches!(unit.state, State::Stopping { then: Then::Stay, .. }) {
            (State::Stopped, Change::Stopped)
        } else if matches!(unit.state, State::Stopping { then: Then::Start, .. }) && !down {
            (State::Waiting, Change::Stopped)
        } else if unit.is_one_shot() && success && starting {
            (State::Ready { process: None }, Change::Ready)
        } else if down {
            (State::Stopped, Change::Stopped)
        } else {
            match unit.spec.restart {
                Restart::Always => again(unit, how, now_us),
                Restart::OnFailure | Restart::No if success && !timed_out => (State::Stopped, Change::Stopped),
                Restart::OnFailure => again(unit, how, now_us),
                Restart::No => (State::Failed, Change::Failed { how }),
            }
        };
        unit.set(state, now_us);
        self.report(name, change);
    }
}

fn again(unit: &mut Unit, how: String, now_us: u64) -> (State, Change) {
    let delay = unit.next_delay(now_us);
    (State::Backoff { until_us: now_us + delay * SECOND }, Change::Again { how, delay })
}

#[cfg(test)]
#[path = "states_tests.rs"]
mod tests;
