//! The state machine of all services: events and the time go in, things to do come out. No clock, no system call.

use super::{
    exit::Exit,
    unit::{SECOND, State, Then, Unit},
};
use berth_contract::{
    control::{Problem, ServiceStatus},
    service::{Readiness, Restart, ServiceSpec},
};
use std::collections::BTreeMap;

/// For the whole of a shutdown, in seconds; then what is left is killed and left behind.
const SHUTDOWN_LIMIT: u64 = 90;
/// From SIGKILL to giving up on a process that the kernel does not let go, in seconds.
const KILL_LIMIT: u64 = 5;

/// Something that the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start it, and tell [`Machine::started`] or [`Machine::not_started`] at once.
    Start(String),
    /// SIGTERM to its main process.
    Terminate {
        /// Of this service.
        name: String,
        /// Its main process.
        process: u32,
    },
    /// SIGKILL: to its main process, and to the others of the service unless they shall survive.
    Kill {
        /// Of this service.
        name: String,
        /// Its main process.
        process: u32,
    },
    /// SIGKILL to what its main process, which has ended, left behind.
    KillRest {
        /// Of this service.
        name: String,
        /// What was its main process.
        process: u32,
    },
    /// Something worth a line.
    Report {
        /// Of this service.
        name: String,
        /// What.
        change: Change,
    },
}

/// A change that users want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is ready.
    Ready,
    /// It ended and will be started again after so many seconds.
    Again {
        /// How it ended.
        how: String,
        /// Seconds.
        delay: u64,
    },
    /// It ended and stays so, which is wrong.
    Failed {
        /// How it ended.
        how: String,
    },
    /// It ended as it should.
    Stopped,
    /// It does not end, not even by SIGKILL.
    Stuck,
}

/// All services.
#[derive(Debug)]
pub(super) struct Machine {
    units: BTreeMap<String, Unit>,
    actions: Vec<Action>,
    /// When a shutdown must be over.
    down_by_us: Option<u64>,
}

impl Machine {
    /// Services whose needs are all among them ([`crate::services::load`]).
    pub(super) fn new(specs: BTreeMap<String, ServiceSpec>, now_us: u64) -> Self {
        let units = specs.into_iter().map(|(name, spec)| (name, Unit::new(spec, now_us))).collect();
        Self { units, actions: Vec::new(), down_by_us: None }
    }

    /// What is to be done now.
    pub(super) fn due(&mut self, now_us: u64) -> Vec<Action> {
        for name in self.units.keys().cloned().collect::<Vec<_>>() {
            self.look_at(&name, now_us);
        }
        if let Some(limit) = self.down_by_us {
            self.stop_unneeded(now_us, now_us >= limit);
        }
        std::mem::take(&mut self.actions)
    }

    /// When to ask again, if nothing happens before.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        let limit = self.down_by_us.filter(|_| !self.is_down());
        self.units.values().filter_map(Unit::deadline_us).chain(limit).min()
    }

    /// The process of a [`Action::Start`].
    pub(super) fn started(&mut self, name: &str, process: u32, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if let State::Starting { deadline_us, .. } = unit.state {
            unit.state = State::Starting { process: Some(process), deadline_us };
            if unit.spec.ready == Readiness::Started {
                self.ready(name, now_us);
            }
        }
    }

    /// A [`Action::Start`] came to nothing.
    pub(super) fn not_started(&mut self, name: &str, why: &str, now_us: u64) {
        self.ended(name, format!("cannot be started: {why}"), false, now_us);
    }

    /// It says so, or its socket answers.
    pub(super) fn ready(&mut self, name: &str, now_us: u64) {
        let Some(unit) = self.units.get_mut(name) else { return };
        if let State::Starting { process, .. } = unit.state {
            unit.set(State::Ready { process }, now_us);
            self.report(name, Change::Ready);
        }
    }

    /// A process ended. False when it was no service's main process.
    pub(super) fn exited(&mut self, process: u32, exit: Exit, now_us: u64) -> bool {
        let found = self.units.iter().find(|(_, unit)| unit.process() == Some(process));
        let Some((name, unit)) = found.map(|(name, unit)| (name.clone(), unit)) else { return false };
        if !unit.spec.keep_children {
            self.actions.push(Action::KillRest { name: name.clone(), process });
        }
        self.ended(&name, exit.to_string(), exit.is_success(), now_us);
        true
    }

    /// Begins to stop everything; a second call changes nothing.
    pub(super) fn shut_down(&mut self, now_us: u64) {
        self.down_by_us.get_or_insert(now_us + SHUTDOWN_LIMIT * SECOND);
    }

    /// Whether a shutdown has come to its end: no service has a process.
    pub(super) fn is_down(&self) -> bool {
        self.down_by_us.is_some() && self.units.values().all(|unit| unit.process().is_none())
    }

    /// The service whose main process this is.
    pub(super) fn service_of(&self, process: u32) -> Option<&str> {
        self.units.iter().find(|(_, unit)| unit.process() == Some(process)).map(|(name, _)| name.as_str())
    }

    /// What the service shall be.
    pub(super) fn spec(&self, name: &str) -> Option<&ServiceSpec> {
        self.units.get(name).map(|unit| &unit.spec)
    }

    /// Whether it has been started once and not more.
    pub(super) fn is_first_start(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(|unit| unit.starts == 1)
    }

    /// Whether it is ready now.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.units.get(name).is_some_and(Unit::is_ready)
    }

    /// Whether all that the host needs is.
    pub(super) fn all_required_ready(&self) -> bool {
        self.units.values().all(|unit| unit.is_ready() || !unit.spec.required)
    }

    /// What is wrong with services that the host needs.
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

    /// Tells those to end whom no running service needs; when the time is over, everybody at once, for good.
    fn stop_unneeded(&mut self, now_us: u64, over: bool) {
        let running: Vec<(String, u32)> =
            self.units.iter().filter_map(|(name, unit)| Some((name.clone(), unit.process()?))).collect();
        for (name, process) in &running {
            let needed = running.iter().any(|(other, _)| self.units[other].spec.needs.contains(name));
            let state = self.units[name].state;
            if over {
                self.actions.push(Action::Kill { name: name.clone(), process: *process });
                self.put(name, State::Failed, now_us);
                self.report(name, Change::Stuck);
            } else if let State::Stopping { process, deadline_us, killed, .. } = state {
                // It was being stopped for another reason; now it stays down.
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
        // That it was not ready in time says more than the signal that followed.
        let timed_out = matches!(unit.state, State::Stopping { then: Then::Fail, .. });
        let how = unit.last_exit.take().filter(|_| timed_out).unwrap_or(how);
        unit.last_exit = Some(how.clone());
        let starting = matches!(unit.state, State::Starting { .. });
        let (state, change) = if matches!(unit.state, State::Stopping { then: Then::Stay, .. }) {
            (State::Stopped, Change::Stopped)
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
#[path = "machine_tests.rs"]
mod tests;
