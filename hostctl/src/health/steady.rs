//! Has the host been well for long enough? What ends again and again is well at each look that finds it between two ends; how often it
//! has been started tells.

use super::{Deadline, Fault, PAUSE, now};
use berth_contract::{control::ServiceStatus, subject::Subject};
use berth_engine::Container;
use std::{collections::BTreeMap, time::Duration};

/// Starts and process of each required service, and of each container that has to run.
#[derive(Debug, Default)]
pub(super) struct Starts(BTreeMap<Subject, (u64, u64)>);

impl Starts {
    /// Of services.
    pub(super) fn of(services: &[ServiceStatus]) -> Self {
        let required = services.iter().filter(|service| service.required);
        let start = |service: &ServiceStatus| (service.restarts.into(), service.pid.unwrap_or(0).into());
        Self(required.map(|service| (Subject::Service(service.name.clone()), start(service))).collect())
    }

    /// And of containers.
    pub(super) fn add(&mut self, containers: Vec<(String, Container)>) {
        self.0.extend(
            containers.into_iter().map(|(name, found)| (Subject::Container(name), (found.restarts, found.pid))),
        );
    }

    /// What has been started again since.
    fn differs_from(&self, before: &Self) -> Option<&Subject> {
        let again = |(subject, start): &(&Subject, _)| before.0.get(*subject).is_some_and(|old| old != *start);
        self.0.iter().find(again).map(|(subject, _)| subject)
    }
}

/// Looks, one after the other.
#[derive(Debug)]
pub(super) struct Steady {
    needed: Duration,
    /// The beginning of the first of those looks that have all been well up to now.
    since: Option<Duration>,
    last: Starts,
    /// What was started again while it was looked at.
    unsteady: Option<Fault>,
}

impl Steady {
    pub(super) fn new(needed: Duration) -> Self {
        Self { needed, since: None, last: Starts::default(), unsteady: None }
    }

    /// One more look, that began then: whether the host has been well for long enough. Where the time is short, what is left of it must
    /// do, but not for what was seen to end.
    pub(super) fn add(
        &mut self,
        look: Result<Starts, Fault>,
        began: Duration,
        deadline: Deadline,
    ) -> Result<bool, Fault> {
        let starts = look.inspect_err(|_| self.since = None)?;
        let again = starts
            .differs_from(&self.last)
            .map(|subject| Fault::new(subject.clone(), "has ended, and was started again"));
        self.last = starts;
        if let Some(fault) = again {
            self.since = None;
            self.unsteady = Some(fault.clone());
            return Err(fault);
        }
        // From look to look: however long one takes, it is one.
        if began.saturating_sub(*self.since.get_or_insert(began)) >= self.needed {
            return Ok(true);
        }
        let left = deadline.left();
        // The next look may take longer than this one.
        match &self.unsteady {
            None => Ok(left <= PAUSE + 2 * now().saturating_sub(began)),
            Some(fault) if left <= PAUSE => Err(fault.clone()),
            Some(_) => Ok(false),
        }
    }
}
