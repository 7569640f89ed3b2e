//! Ctrl-C and `kill`: the process removes unfinished files, prints a message and ends.

use crate::{report::Report, scratch};
use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{process, sync::Arc, thread};

/// From now on, a signal ends the process with the exit status that shells use: 128 plus the signal's number.
pub(super) fn watch(report: &Arc<Report>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot watch for signals")?;
    let report = Arc::clone(report);
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Held to the end: a thread whose files are gone must not report that, nor end the process first.
            let _cleared = scratch::clear();
            report.interrupted();
            #[expect(clippy::exit, reason = "other threads are in the middle of their work, and are to stay there")]
            process::exit(128 + signal);
        }
    });
    Ok(())
}
