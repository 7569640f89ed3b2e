//! The timeline of the boot: start and end of every phase and service.

use berth_contract::boot_report::{PhaseStamp, Stage};
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Microseconds of the monotonic clock, which starts with the kernel.
#[must_use]
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    part(now.tv_sec) * 1_000_000 + part(now.tv_nsec) / 1000
}

/// The timeline of the boot. A clone refers to the same timeline, so that threads can add to it.
#[derive(Clone, Debug, Default)]
pub struct Timeline(Arc<Mutex<Vec<PhaseStamp>>>);

/// A phase that is running.
#[derive(Debug)]
#[must_use = "a phase that never ends shows as running"]
pub struct RunningPhase {
    timeline: Timeline,
    index: usize,
}

impl Timeline {
    /// Continues the timeline of an earlier stage.
    #[must_use]
    pub fn continued(phases: Vec<PhaseStamp>) -> Self {
        Self(Arc::new(Mutex::new(phases)))
    }

    /// Stamps the start of a phase.
    pub fn begin(&self, stage: Stage, name: &str) -> RunningPhase {
        let mut phases = self.lock();
        phases.push(PhaseStamp { name: name.to_owned(), stage, start_us: now_us(), end_us: None, error: None });
        RunningPhase { timeline: self.clone(), index: phases.len() - 1 }
    }

    /// All stamps so far, ordered by start.
    #[must_use]
    pub fn stamps(&self) -> Vec<PhaseStamp> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PhaseStamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunningPhase {
    /// Stamps the end of the phase, with its error. Returns the duration in microseconds.
    pub fn end(self, error: Option<String>) -> u64 {
        let end = now_us();
        let mut phases = self.timeline.lock();
        let stamp = &mut phases[self.index];
        (stamp.end_us, stamp.error) = (Some(end), error);
        end.saturating_sub(stamp.start_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_may_overlap_and_are_ordered_by_start() {
        let timeline = Timeline::default();
        let slow = timeline.begin(Stage::Host, "slow");
        let quick = timeline.clone().begin(Stage::Host, "quick");
        quick.end(Some("no disk".into()));
        assert_eq!(timeline.stamps()[0].end_us, None);
        slow.end(None);
        let [slow, quick] = &timeline.stamps()[..] else { panic!("two stamps") };
        assert_eq!((slow.name.as_str(), quick.name.as_str()), ("slow", "quick"));
        assert!(slow.start_us <= quick.start_us && quick.end_us <= slow.end_us);
        assert_eq!(quick.error.as_deref(), Some("no disk"));
    }
}
