//! Wakes the threads that wait for new lines.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Counts changes. Threads wait for the next one.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    rings: u64,
    stops: bool,
}

impl Bell {
    /// New lines were stored.
    pub fn ring(&self) {
        self.lock().rings += 1;
        self.changed.notify_all();
    }

    /// The process ends.
    pub fn stop(&self) {
        self.lock().stops = true;
        self.changed.notify_all();
    }

    /// Whether the process ends.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.lock().stops
    }

    /// Number of changes so far.
    #[must_use]
    pub fn rings(&self) -> u64 {
        self.lock().rings
    }

    /// Waits for a change after `rings`, or for the end of the process, but not longer than `limit`.
    pub fn wait(&self, rings: u64, limit: Duration) {
        self.wait_while(limit, |state| state.rings == rings && !state.stops);
    }

    /// Waits for `time`, or for the end of the process.
    pub fn pause(&self, time: Duration) {
        self.wait_while(time, |state| !state.stops);
    }

    fn wait_while(&self, limit: Duration, waits: impl Fn(&State) -> bool) {
        drop(self.changed.wait_timeout_while(self.lock(), limit, |state| waits(state)));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
