//! Waiting for a server that is away.

use crate::{
    error::FetchError,
    settings::{Pace, Patience},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Counts what one transfer has been waiting for.
pub(crate) struct Waits {
    patience: Patience,
    /// So many bytes are progress. Fewer are not, or a server that drips could go on for ever.
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

    /// Bytes have come.
    pub(crate) fn progress(&mut self, bytes: usize) {
        self.got = self.got.saturating_add(bytes as u64);
        if self.got >= self.enough {
            (self.got, self.since, self.pause, self.tries) = (0, Instant::now(), self.patience.pause, 0);
        }
    }

    /// Waits until the question may be asked again, or gives up. `heard` tells whether the server has ever answered.
    pub(crate) fn after(&mut self, error: FetchError, heard: bool) -> Result<(), FetchError> {
        if !error.may_pass() {
            return Err(error);
        }
        // A connection that was kept open may just have been closed at the other end.
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
