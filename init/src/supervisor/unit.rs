//! One service as it stands.

use berth_contract::{
    control::{Problem, ServiceState, ServiceStatus},
    service::{Readiness, ServiceSpec},
};

/// From one start to the next, for a service that keeps dying, in seconds: doubled each time.
const FIRST_DELAY: u64 = 1;
/// The longest of these delays.
const LONGEST_DELAY: u64 = 30;
/// A service that was ready for so long, in seconds, starts again with the shortest delay.
const HEALTHY_AFTER: u64 = 60;
/// One second in the unit of all times here.
pub(super) const SECOND: u64 = 1_000_000;

/// Where a service is in its life. All times in microseconds since kernel start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For its needs.
    Waiting,
    /// Not ready yet. The process is known as soon as it has been made.
    Starting { process: Option<u32>, deadline_us: u64 },
    /// Ready; without a process: a one-shot that is done.
    Ready { process: Option<u32> },
    /// To be started again.
    Backoff { until_us: u64 },
    /// Told to end.
    Stopping { process: u32, deadline_us: u64, killed: bool, then: Then },
    /// Ended as it should.
    Stopped,
    /// Ended, and stays so.
    Failed,
}

/// What follows when a process that was told to end has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: the host goes down.
    Stay,
    /// What its `restart` says of a failure: it was not ready in time.
    Fail,
}

/// A service: what it shall be, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) spec: ServiceSpec,
    pub(super) state: State,
    pub(super) since_us: u64,
    /// Ends in a row, without a time of health in between.
    failures: u32,
    /// How often it was started.
    pub(super) starts: u32,
    pub(super) last_exit: Option<String>,
}

impl Unit {
    pub(super) fn new(spec: ServiceSpec, now_us: u64) -> Self {
        Self { spec, state: State::Waiting, since_us: now_us, failures: 0, starts: 0, last_exit: None }
    }

    pub(super) fn set(&mut self, state: State, now_us: u64) {
        (self.state, self.since_us) = (state, now_us);
    }

    pub(super) fn process(&self) -> Option<u32> {
        match self.state {
            State::Starting { process, .. } | State::Ready { process } => process,
            State::Stopping { process, .. } => Some(process),
            State::Waiting | State::Backoff { .. } | State::Stopped | State::Failed => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// A one-shot that has done its work.
    pub(super) fn is_one_shot(&self) -> bool {
        self.spec.ready == Readiness::Exit
    }

    /// When something is to be done with it, if nothing happens before.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        match self.state {
            State::Starting { deadline_us, .. } | State::Stopping { deadline_us, .. } => Some(deadline_us),
            State::Backoff { until_us } => Some(until_us),
            State::Waiting | State::Ready { .. } | State::Stopped | State::Failed => None,
        }
    }

    /// How long to wait before the next start, in seconds; counts this end.
    pub(super) fn next_delay(&mut self, now_us: u64) -> u64 {
        if self.is_ready() && now_us.saturating_sub(self.since_us) >= HEALTHY_AFTER * SECOND {
            self.failures = 0;
        }
        let delay = FIRST_DELAY << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        delay.min(LONGEST_DELAY)
    }

    /// Why the host is not well because of it; none while it is well, or on its way for the first time.
    pub(super) fn problem(&self, name: &str) -> Option<Problem> {
        let is_problem = match self.state {
            State::Failed | State::Stopped | State::Stopping { .. } | State::Backoff { .. } => true,
            State::Starting { .. } | State::Waiting => self.starts > 1 || self.last_exit.is_some(),
            State::Ready { .. } => false,
        };
        let end = self.last_exit.clone().unwrap_or_else(|| "not started".to_owned());
        is_problem.then(|| Problem::Service { name: name.to_owned(), state: self.service_state(), end })
    }

    fn service_state(&self) -> ServiceState {
        match self.state {
            State::Waiting => ServiceState::Waiting,
            State::Starting { .. } => ServiceState::Starting,
            State::Ready { .. } => ServiceState::Ready,
            State::Backoff { .. } => ServiceState::Backoff,
            State::Stopping { .. } => ServiceState::Stopping,
            State::Stopped => ServiceState::Stopped,
            State::Failed => ServiceState::Failed,
        }
    }

    /// For the control protocol.
    pub(super) fn status(&self, name: &str) -> ServiceStatus {
        ServiceStatus {
            name: name.to_owned(),
            state: self.service_state(),
            required: self.spec.required,
            pid: self.process(),
            restarts: self.starts.saturating_sub(1),
            last_exit: self.last_exit.clone(),
            since_us: self.since_us,
        }
    }
}
