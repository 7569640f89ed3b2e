//! Decides whether the checks have passed for long enough.
//!
//! A service that keeps exiting may run each time it is checked. So the checks also compare the numbers of restarts and the process ids.

use super::{Deadline, Fault, PAUSE, now};
use berth_contract::{control::ServiceStatus, subject::Subject};
use berth_engine::Container;
use std::{collections::BTreeMap, time::Duration};

/// Number of restarts and process id of each required service, and of each container that must run.
#[derive(Debug, Default)]
pub(super) struct Starts(BTreeMap<Subject, (u64, u64)>);

impl Starts {
    /// Those of the required services.
    pub(super) fn of(services: &[ServiceStatus]) -> Self {
        let required = services.iter().filter(|service| service.required);
        let start = |service: &ServiceStatus| (service.restarts.into(), service.pid.unwrap_or(0).into());
        Self(required.map(|service| (Subject::Service(service.name.clone()), start(service))).collect())
    }

    /// Adds those of containers.
    pub(super) fn add(&mut self, containers: Vec<(String, Container)>) {
        self.0.extend(
            containers.into_iter().map(|(name, found)| (Subject::Container(name), (found.restarts, found.pid))),
        );
    }

    /// The first service or container that was restarted after `before`.
    fn differs_from(&self, before: &Self) -> Option<&Subject> {
        let again = |(subject, start): &(&Subject, _)| before.0.get(*subject).is_some_and(|old| old != *start);
        self.0.iter().find(again).map(|(subject, _)| subject)
    }
}

/// The results of the rounds of checks up to now.
#[derive(Debug)]
pub(super) struct Steady {
    /// Time for which the checks must pass.
    needed: Duration,
    /// Start of the first round of the rounds that passed without interruption; `None` after a fault.
    since: Option<Duration>,
    last: Starts,
    /// A restart that was seen in an earlier round.
    unsteady: Option<Fault>,
}

impl Steady {
    pub(super) fn new(needed: Duration) -> Self {
        Self { needed, since: None, last: Starts::default(), unsteady: None }
    }

    /// Adds the result of a round that started at `began`. Returns whether the checks have passed for long enough.
    ///
    /// If the time until the deadline is shorter than the needed time, passing until the deadline is enough. But not after a restart
    /// was seen.
    pub(super) fn add(
        &mut self,
        round: Result<Starts, Fault>,
        began: Duration,
        deadline: Deadline,
    ) -> Result<bool, Fault> {
        let starts = round.inspect_err(|_| self.since = None)?;
        let again =
            starts.differs_from(&self.last).map(|subject| Fault::new(subject.clone(), "has exited, and was restarted"));
        self.last = starts;
        if let Some(fault) = again {
            self.since = None;
            self.unsteady = Some(fault.clone());
            return Err(fault);
        }
        // Count from the start of one round to the start of another: a single slow round is not enough.
        if began.saturating_sub(*self.since.get_or_insert(began)) >= self.needed {
            return Ok(true);
        }
        let left = deadline.left();
        // The next round may take longer than this one, so stop when less than two more rounds fit.
        match &self.unsteady {
            None => Ok(left <= PAUSE + 2 * now().saturating_sub(began)),
            Some(fault) if left <= PAUSE => Err(fault.clone()),
            Some(_) => Ok(false),
        }
    }
}
