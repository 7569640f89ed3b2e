//! One service: its definition and its current state.

use berth_contract::{
    control::{Problem, ServiceState, ServiceStatus},
    service::{Readiness, ServiceSpec},
};

/// Seconds from the end of a service to its next start. Doubled each time, if the service keeps ending.
const FIRST_DELAY: u64 = 1;
/// Maximum of this delay in seconds.
const LONGEST_DELAY: u64 = 30;
/// After a service was ready for this time, in seconds, its next restart has the first delay again.
const HEALTHY_AFTER: u64 = 60;
/// One second in microseconds, the unit of all times here.
pub(super) const SECOND: u64 = 1_000_000;

/// State of a service. All times are in microseconds since the kernel's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Waits until the services that it needs are ready.
    Waiting,
    /// Started, but not ready yet. `process` is set once the process exists.
    Starting { process: Option<u32>, deadline_us: u64 },
    /// Ready. `process` is `None` for a one-shot service that has finished.
    Ready { process: Option<u32> },
    /// Ended; will be started again.
    Backoff { until_us: u64 },
    /// Told to end. `killed` is set after SIGKILL.
    Stopping { process: u32, deadline_us: u64, killed: bool, then: Then },
    /// Ended as expected.
    Stopped,
    /// Failed; will not be started again.
    Failed,
}

/// What follows when a process that was told to end has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The service stays stopped, because the host goes down.
    Stay,
    /// It is treated as a failure, because the service was not ready in time. `restart` decides what follows.
    Fail,
    /// It is started again at once, because a client asked for it, or because its settings have changed.
    Start,
}

/// A service: its definition and its state.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) spec: ServiceSpec,
    pub(super) state: State,
    pub(super) since_us: u64,
    /// Number of consecutive ends, without a healthy time in between.
    failures: u32,
    /// How often the service was started.
    pub(super) starts: u32,
    pub(super) last_exit: Option<String>,
    /// It is being started again because its settings have changed: not a problem until it ends.
    pub(super) is_reloading: bool,
}

impl Unit {
    pub(super) fn new(spec: ServiceSpec, now_us: u64) -> Self {
        Self {
            spec,
            state: State::Waiting,
            since_us: now_us,
            failures: 0,
            starts: 0,
            last_exit: None,
            is_reloading: false,
        }
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

    /// Whether this is a one-shot service: its end means that it is ready.
    pub(super) fn is_one_shot(&self) -> bool {
        self.spec.ready == Readiness::Exit
    }

    /// When the state must be checked again, if no event comes before.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        match self.state {
            State::Starting { deadline_us, .. } | State::Stopping { deadline_us, .. } => Some(deadline_us),
            State::Backoff { until_us } => Some(until_us),
            State::Waiting | State::Ready { .. } | State::Stopped | State::Failed => None,
        }
    }

    /// Counts this end, and returns the delay before the next start in seconds.
    pub(super) fn next_delay(&mut self, now_us: u64) -> u64 {
        if self.is_ready() && now_us.saturating_sub(self.since_us) >= HEALTHY_AFTER * SECOND {
            self.failures = 0;
        }
        let delay = FIRST_DELAY << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        delay.min(LONGEST_DELAY)
    }

    /// The problem that this service is for the host. `None` while it is ready, or starts for the first time.
    pub(super) fn problem(&self, name: &str) -> Option<Problem> {
        let is_problem = !self.is_reloading
            && match self.state {
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

    /// The status for the control protocol.
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
