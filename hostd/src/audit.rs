//! The log of hostd: what clients have changed, and which ones were refused. It goes to stderr, which init keeps (`hostctl logs hostd`).

use std::{
    cell::Cell,
    fmt::Display,
    io::{Write, stderr},
};

/// Number of refused connections that are logged in a minute. Anybody in the network can be refused, and the log has a limit.
const REFUSALS: u32 = 20;
/// Seconds after which refusals are logged again.
const PERIOD: i64 = 60;

/// The log.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Start of the present period, and the number of refusals in it.
    refusals: Cell<(i64, u32)>,
}

impl Audit {
    /// Logs a line.
    pub(crate) fn line(&self, text: impl Display) {
        // If stderr cannot be written, the line has nowhere else to go.
        let _ = writeln!(stderr(), "{text}");
    }

    /// Logs why a connection was refused, at `now` seconds, unless there were too many in the last minute.
    pub(crate) fn refused(&self, now: i64, text: impl Display) {
        let (start, count) = self.refusals.get();
        let (start, count) = if now.saturating_sub(start) >= PERIOD || now < start { (now, 0) } else { (start, count) };
        self.refusals.set((start, count.saturating_add(1)));
        if count < REFUSALS {
            self.line(text);
        } else if count == REFUSALS {
            self.line("further refused connections of this minute are not logged");
        }
    }
}
