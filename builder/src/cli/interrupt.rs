//! Handles Ctrl-C and `kill`: removes unfinished files, prints a message and ends the process.

use crate::{report::Report, scratch};
use anyhow::{Context, Result};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{process, sync::Arc, thread};

/// Starts to watch for signals. A signal ends the process with the exit status that shells use: 128 plus the signal's number.
pub(super) fn watch(report: &Arc<Report>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot watch for signals")?;
    let report = Arc::clone(report);
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // Hold this guard until the process ends. Other threads may fail because their files are gone: they must not report
            // an error or end the process first.
            let _cleared = scratch::clear();
            report.interrupted();
            #[expect(clippy::exit, reason = "other threads are still working and must not continue")]
            process::exit(128 + signal);
        }
    });
    Ok(())
}
