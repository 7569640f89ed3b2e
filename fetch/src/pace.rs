//! Detects transfers that are too slow.

use crate::settings::Pace;
use std::time::Instant;

/// Counts the bytes in the current time window.
pub(crate) struct Meter {
    pace: Pace,
    since: Instant,
    bytes: u64,
}

impl Meter {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, since: Instant::now(), bytes: 0 }
    }

    /// Adds `bytes`. Returns false if a time window ends now and was too slow.
    pub(crate) fn count(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < self.pace.window {
            return true;
        }
        let fast = u128::from(self.bytes) * 1000 >= u128::from(self.pace.floor) * elapsed.as_millis();
        *self = Self::new(self.pace);
        fast
    }
}
