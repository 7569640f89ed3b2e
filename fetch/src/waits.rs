//! Pauses and time limits of retries while a server is unreachable.

use crate::{
    error::FetchError,
    settings::{Pace, Patience},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// The retries of one transfer.
pub(crate) struct Waits {
    patience: Patience,
    /// Number of bytes that count as progress. Without this minimum, a very slow server could keep the transfer alive forever.
    enough: u64,
    got: u64,
    since: Instant,
    pause: Duration,
    tries: u32,
}

impl Waits {
    pub(crate) fn new(patience: Patience, pace: Pace) -> Self {
        let enough = pace.floor.saturating_mul(pace.window.as_secs().max(1));
        Self { patience, enough, got: 0, since: Instant::now(), pause: patience.pause, tries: 0 }
    }

    /// Records received bytes. Enough of them reset the time limit and the pause.
    pub(crate) fn progress(&mut self, bytes: usize) {
        self.got = self.got.saturating_add(bytes as u64);
        if self.got >= self.enough {
            (self.got, self.since, self.pause, self.tries) = (0, Instant::now(), self.patience.pause, 0);
        }
    }

    /// Waits before the next retry. Returns an error if a retry cannot help or the time limit is over. `heard` tells whether
    /// the server has ever answered.
    pub(crate) fn after(&mut self, error: FetchError, heard: bool) -> Result<(), FetchError> {
        if !error.may_pass() {
            return Err(error);
        }
        // Do not wait before the first retry: the server may only have closed a connection that was kept open.
        let pause = if self.tries == 0 { Duration::ZERO } else { self.pause };
        let limit = if heard { self.patience.total } else { self.patience.first };
        let waited = self.since.elapsed();
        if waited + pause > limit {
            return Err(FetchError::GaveUp { waited, last: Box::new(error) });
        }
        if self.tries > 0 {
            self.pause = (self.pause * 2).min(self.patience.longest);
        }
        self.tries += 1;
        thread::sleep(pause);
        Ok(())
    }
}
